"""Run a command as a process whose peak memory is its own."""

from __future__ import annotations

from collections.abc import Sequence


def fresh(*command: str) -> Sequence[str]:
    """The command, begun by a small shell.

    Linux counts into a process's peak what its parent held when it began, and these tests
    hold gigabytes.
    """
    return ("sh", "-c", '"$@"; exit $?', "sh", *command)
