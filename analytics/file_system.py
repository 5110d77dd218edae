"""What the file system refused, in words for people."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)


def explained(error: OSError, var: Path | None = None) -> str:
    """One line: which path is in the way, and what to do.

    `var` is named where the system names no path, as on a full disk.
    """
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    what = error.strerror or " ".join(str(error).split()) or type(error).__name__
    if error.errno in _FULL:
        return (
            f"the disk of {path or var or 'this machine'} is full; make room, then run this again"
        )
    if path is None:
        return what
    if error.errno in _FORBIDDEN:
        return (
            f"{path}: {what.lower()} for user {_user()}; run this as the owner of "
            f"{_nearest(path)}, or correct its rights"
        )
    if error.errno in _NO_FOLDER and not (nearest := _nearest(path)).is_dir():
        setting = "ANALYTICS_VAR_DIR" if var and nearest in (var, *var.parents) else "the option"
        return (
            f"{nearest} is a file where a folder is needed; move it away, or set {setting} "
            "to a folder"
        )
    return f"{path}: {what.lower()}; correct the path, or the setting or option that names it"


def _nearest(path: Path) -> Path:
    """The path itself or the deepest folder above it that is there."""
    return next((p for p in (path, *path.parents) if os.path.lexists(p)), path)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())
