"""What may enter: one suite a canonical table, judged before silver.

Volume and freshness stop where a source declares what it owes; without a word
from it an empty table only warns, for a quiet day is no fault of a small tenant.
Repeated keys are no fault here (landing removes them), so they only warn.
What holds for one table alone stands in `by_table.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import great_expectations as gx
from great_expectations.expectations.expectation import Expectation

from analytics.interval import Interval
from analytics.lake.tables import TABLES, Table
from analytics.tenants import Source
from expectations import by_table, rules


def suite(
    table: str,
    interval: Interval,
    sources: Sequence[Source] = (),
    lacking: Mapping[str, Sequence[str]] | None = None,
) -> gx.ExpectationSuite:
    """The rules for one canonical table's rows that came in one interval.

    `sources` owe this table what they declare; `lacking` names, by column, the
    sources that cannot know it.
    """
    declared = TABLES[table]
    lacking = lacking or {}
    return gx.ExpectationSuite(
        name=f"bronze_{table}",
        expectations=[
            *_table_rules(declared, [rules.SOURCE] if lacking else []),
            *_rules_of_what_is_owed(declared, interval, sources),
            *_rules_of_every_table(declared, interval, lacking),
            *by_table.OWN_RULES[table](),
        ],
    )


def with_rules(suite: gx.ExpectationSuite, own: Sequence[Expectation]) -> gx.ExpectationSuite:
    """The suite with these rules added, each in place of the one of its name."""
    named = {(e.meta or {})["rule"]: e for e in (*suite.expectations, *own)}
    return gx.ExpectationSuite(name=suite.name, expectations=[*named.values()])


def _table_rules(table: Table, read_beside: list[str]) -> list[Expectation]:
    return [
        rules.columns_match([*table.stored, *read_beside]),
        rules.has_rows(
            "The source feeds this table; an empty interval is worth a look, "
            "yet a quiet day is no fault.",
            severity="warning",
        ),
        rules.unique(
            ["tenant_id", table.key],
            "keys_are_unique",
            "A source that repeats itself is worth a look; landing keeps one row a key.",
            severity="warning",
        ),
    ]


def _rules_of_what_is_owed(
    table: Table, interval: Interval, sources: Sequence[Source]
) -> list[Expectation]:
    """What several sources owe one table adds up; the most punctual says how fresh it must be."""
    found: list[Expectation] = []
    rows = {s.name: s.least_rows_a_day for s in sources if s.least_rows_a_day}
    if rows:
        least = sum(rows.values()) * len(interval.days())
        owed = ", ".join(f"{name} {n}" for name, n in rows.items())
        reason = f"Declared as least_rows_a_day: {owed}; a part of the delivery is missing."
        found.append(rules.enough_rows(least, reason))
    days = {s.name: s.fresh_within_days for s in sources if s.fresh_within_days}
    if days:
        name, within = min(days.items(), key=lambda item: item[1])
        reason = f"Declared as fresh_within_days: {name} {within}; the source stands still."
        found.append(rules.is_fresh(table.time, interval.end, timedelta(days=within), reason))
    return found


def _rules_of_every_table(
    table: Table, interval: Interval, lacking: Mapping[str, Sequence[str]]
) -> list[Expectation]:
    reasons = {
        "tenant_id": "A row without its tenant could be shown to another.",
        table.key: "A row without its key cannot be told from its repetition.",
        table.time: "A row without its time belongs to no interval.",
    }
    otherwise = f"{table.name} mean nothing without it."
    return [
        *(rules.is_given(column, reasons.get(column, otherwise)) for column in table.required),
        *(
            rules.is_given(column, otherwise, but_of=lacking.get(column, ()))
            for column in table.knowable
        ),
        rules.not_after(table.time, interval.end),
        rules.not_before_2000(table.time),
    ]
