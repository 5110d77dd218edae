"""Generated passwords, one file each, mode 0600."""

from __future__ import annotations

import contextlib
import os
import secrets as random
import tempfile
from pathlib import Path


def secret(folder: Path, name: str) -> str:
    """The password called `name`; made on first use, the same ever after."""
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        handle, fresh = tempfile.mkstemp(dir=folder, prefix=f".{name}.")  # mode 0600
        with os.fdopen(handle, "w") as file:
            file.write(random.token_urlsafe(24))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # atomic: the first writer wins
        os.unlink(fresh)
    return path.read_text()
