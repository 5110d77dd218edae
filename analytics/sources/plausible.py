"""The span of time a source plausibly covers, whatever a few broken clocks say."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

# A gap no service's history has; beyond it at most so many rows are a fault, not an era.
FAR = timedelta(days=5 * 365)
FEW = 3
FEW_PER_MILLE = 1


def plausible_span(instants: pl.Series) -> tuple[datetime, datetime] | None:
    """First and last instant, without the few that stand years apart from all others.

    At an end at most three rows (one in a thousand, where that is more) and never half
    of all are left out, and only where more than five years lie between them and the
    rest: a play in 2099, a clock that starts in 1970. None without instants.
    """
    known = instants.drop_nulls().sort()
    if known.is_empty():
        return None
    few = min(most_left_out(len(known)), (len(known) - 1) // 2)
    far_after = (known.diff() > FAR).fill_null(False)  # from the row before it
    first = max((i for i in range(1, few + 1) if far_after[i]), default=0)
    beyond = (i for i in range(len(known) - few, len(known)) if far_after[i])
    last = min(beyond, default=len(known)) - 1
    return known[first], known[last]


def most_left_out(rows: int) -> int:
    """How many of so many rows can be left out at an end."""
    return max(FEW, rows * FEW_PER_MILLE // 1000)
