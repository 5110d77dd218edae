"""Generated passwords, one file each, mode 0600."""

from __future__ import annotations

import os
import secrets as random
from pathlib import Path


def secret(folder: Path, name: str) -> str:
    """The password called `name`; made on first use, the same ever after."""
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        fresh = folder / f".{name}.{os.getpid()}"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(random.token_urlsafe(24))
        try:
            os.link(fresh, path)  # atomic: the first writer wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()
