"""What the file system refused, in words for people."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from analytics.errors import AnalyticsError

FEW_BYTES = 64 * 2**20  # with less free a write may have failed, and given back what it took
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
        return full(path, var)
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


def full(path: Path | None = None, var: Path | None = None) -> str:
    """A full disk: that of `path`, or where no path is known, perhaps that of `var`."""
    where = f"the disk of {path} is full" if path else "a disk is full"
    guess = f", likely that of {var}" if var and not path else ""
    return f"{where}{guess}; make room, then run the same command again"


def is_full(error: BaseException, folder: Path | None = None) -> bool:
    """Polars, Delta and PostgreSQL raise errors of their own for it, in many words.

    So any error counts where next to nothing is free on the folder's disk.
    """
    return "No space left on device" in str(error) or (folder is not None and not _has_room(folder))


def require_room(folder: Path) -> None:
    """Raise AnalyticsError where next to nothing is free on the folder's disk."""
    if not _has_room(folder):
        raise AnalyticsError(full(folder))


def _has_room(folder: Path) -> bool:
    return shutil.disk_usage(_nearest(folder.absolute())).free >= FEW_BYTES


def _nearest(path: Path) -> Path:
    """The path itself or the deepest folder above it that is there."""
    return next((p for p in (path, *path.parents) if os.path.lexists(p)), path)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())
