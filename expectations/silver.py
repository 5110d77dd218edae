"""What readers may see: the suite of a landing, judged before its first commit.

A landing is judged by its profile: one row a table, with what it is about to write, how much
of it is sound, and examples of what is not. Nothing is tolerated that could only be made wrong
by us; a play whose listener or track nobody told of is the source's, and may come first.
"""

from __future__ import annotations

import great_expectations as gx
from great_expectations.expectations.expectation import Expectation

from expectations import rules

REFERENCES = {"plays": {"listener_id": "listeners", "track_id": "tracks"}}
MAY_BE_UNKNOWN = 0.01  # of the rows


def suite() -> gx.ExpectationSuite:
    """The rules for one landing of one tenant, one row a table."""
    return gx.ExpectationSuite(
        name="silver_landing",
        expectations=[
            _all(
                "keys", "held", "keys_are_unique", "repeated",
                "Silver would hold one row of each key that comes; two double every number.",
            ),
            _all(
                "own", "rows", "rows_are_the_tenants_own", "others",
                "A row of another tenant would be shown to the wrong people.",
            ),
            _all(
                "timely", "rows", "times_are_in_the_touched_days", "untimely",
                "Features and the warehouse read the days that a landing says it touched; what "
                "lies outside would never reach them.",
            ),
            _all(
                "typed", "columns", "types_are_canonical", "mistyped",
                "Everything downstream is written against these columns and types.",
            ),
            _all(
                "grows_by", "landed", "ledger_balances", None,
                "Silver grows by the rows that the ledger says landed, or one was lost or doubled.",
            ),
            rules.at_least(
                "may_be_unknown", "unknown", "references_are_known",
                "A play may come before the news of its listener or track: up to "
                f"{MAY_BE_UNKNOWN:.0%} is a late catalogue, more is one that stands still. Names "
                "are missing then, no number is wrong.",
                severity="warning", shown=["table", "strangers"],
            ),
        ],
    )  # fmt: skip


def _all(sound: str, of: str, rule: str, examples: str | None, reason: str) -> Expectation:
    shown = ["table", *([examples] if examples else [])]
    return rules.equals(sound, of, rule, reason, shown=shown)
