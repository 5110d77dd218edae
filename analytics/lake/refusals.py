"""What a disk or an object store refuses, said in one line that tells what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from analytics.errors import LakeError

FULL = "No space left on device|Disk quota exceeded|File too large"
SHUT = "Permission denied|Read-only file system|Operation not permitted"


@contextmanager
def told() -> Iterator[None]:
    """Raises LakeError for what the store refuses; any other OSError as it is."""
    try:
        yield
    except FileNotFoundError:  # what is not there was not refused
        raise
    except (BaseError, OSError) as error:
        raise refusal(error) or OSError(str(error)) from None


def refusal(error: Exception) -> LakeError | None:
    """A refusal of the disk or the object store; None for any other error."""
    said = " ".join(re.sub(r"\x1b\[\d*m|↳", "", str(error)).split())
    full = re.search(FULL, said)
    if full is not None:
        return LakeError(
            f"the disk of the lake takes no more: {full[0]}. Make room, then run the task again; "
            "nothing was half written"
        )
    shut = re.search(SHUT, said)
    if shut is not None:
        where = re.search(
            rf"(/[^\s:\"']+)['\"]?: (?:{SHUT})|(?:path|to): \"([^\"]+)\"|'([^']+)'", said
        )
        place = next(filter(None, where.groups()), "the lake") if where else "the lake"
        return LakeError(
            f"{place} cannot be written: {shut[0]}. Let the account that runs this write below "
            "ANALYTICS_LAKE_ROOT and ANALYTICS_VAR_DIR, then run the task again; nothing was half "
            "written"
        )
    found = re.search(r"Error performing \w+ .*", said)
    if found is None:
        return None
    return LakeError(
        f"the object store of the lake failed: {found[0]}. Check the address and the login in its "
        "variables, then run the task again; nothing was half written"
    )
