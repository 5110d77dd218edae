"""What is usual: the suite for a day held against the days before it.

Judged is one row per measure, which says how far the day is away from what was learned: more
than one tolerance is said, more than what stops is stopped (`analytics/gates/learned.py`).
A day may be odd and true, a holiday or a release; but a tenth of the plays, seconds sent as
milliseconds, or a column that is empty at once are never a holiday.
"""

from __future__ import annotations

from collections.abc import Mapping

import great_expectations as gx

from expectations import rules

SHOWN = ["table", "column", "measure", "day", "value", "usual"]
REASONS = {
    "volume": "Rows of a day against the same weekday of the last weeks; part of a delivery is "
    "missing, came twice, or its service changed.",
    "missing": "The share of empty values; a column is no longer filled.",
    "hours": "The hours of the day at which things happen; a clock or a time zone moved.",
    "numbers": "The middle of a number; a unit or a currency changed.",
    "shares": "How often a flag is true or a number zero; silent zeroes look like data.",
    "words": "How often each word of a short list comes; a column was swapped or froze.",
    "ids": "How many different values come, how often the most frequent; a constant, or a bot.",
    "texts": "Length and alphabet of texts; an encoding broke, or another column came.",
}


def suite(away: Mapping[str, str], far: Mapping[str, str]) -> gx.ExpectationSuite:
    """The rules by family of measures; `away` and `far` name the columns that say how far."""
    return gx.ExpectationSuite(
        name="bronze_learned",
        expectations=[
            rule
            for family, reason in REASONS.items()
            for rule in (
                rules.between(
                    far[family], f"{family}_not_far_from_learned", reason, maximum=1, shown=SHOWN
                ),
                rules.between(
                    away[family], f"{family}_as_learned", reason, maximum=1, shown=SHOWN,
                    severity="warning",
                ),
            )
        ],
    )  # fmt: skip
