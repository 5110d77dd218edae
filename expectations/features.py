"""What models may learn from: the suites of a feature table, judged before it replaces anything.

A feature table is judged by its profile: one row per as-of date with its rows and distinct
keys, and one per as-of date and feature with what is missing, its least and its largest value
beside what was declared. Nothing is tolerated here: what is wrong now was computed wrong by us.
"""

from __future__ import annotations

import great_expectations as gx

from expectations import rules

ROWS = ["tenant_id", "as_of_date", "rows", "keys"]
SHOWN = ["feature", "as_of_date"]


def rows_suite(table: str) -> gx.ExpectationSuite:
    """The rules for the rows of a feature table, one row an as-of date."""
    return gx.ExpectationSuite(
        name=f"features_{table}",
        expectations=[
            rules.columns_match(ROWS),
            rules.has_rows(
                "Nobody to learn from: a tenant without paying listeners may have none.",
                severity="warning",
            ),
            rules.equals(
                "keys", "rows", "grain_is_unique",
                "One row per (tenant_id, listener_id, as_of_date); else one is learnt twice.",
            ),
        ],
    )  # fmt: skip


def values_suite(table: str) -> gx.ExpectationSuite:
    """The rules for its values, one row an as-of date and feature."""
    return gx.ExpectationSuite(
        name=f"features_{table}_values",
        expectations=[
            rules.at_least(
                "may_miss", "missing", "features_are_given",
                "Declared as always known; a gap here is read as another listener's habit.",
                shown=SHOWN,
            ),
            rules.at_least(
                "least", "lower", "features_not_below_bounds",
                "Counts and shares begin at nothing, and a window holds the shorter ones in it.",
                shown=SHOWN,
            ),
            rules.at_least(
                "upper", "most", "features_not_above_bounds",
                "A share ends at one, days at the days looked back; more means another unit.",
                shown=SHOWN,
            ),
        ],
    )  # fmt: skip
