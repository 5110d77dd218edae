"""supervisord, such that a full disk does not end it: what cannot be written is dropped.

`python supervisord.py -c CONF` is what `Supervisor.start` runs. A log it cannot write
supervisord reports on stderr, a file on the same disk, and ends where that fails too;
with it go all services, whose output it reads.
"""

import contextlib
import io
import os
import sys


class Unfailing(io.TextIOBase):
    """stderr as far as it can be written."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))
        return len(text)


if __name__ == "__main__":
    from supervisor.supervisord import main

    sys.stderr = Unfailing()
    main()
