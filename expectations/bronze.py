"""What may enter: one suite a canonical table, judged before silver.

Volume and freshness stop where a source declares what it owes; without a word
from it an empty table only warns, for a quiet day is no fault of a small tenant.
Repeated keys are no fault here (landing removes them), so they only warn.
Closed lists are critical where a downstream number depends on the word, a
warning where a new word is news but harms nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import great_expectations as gx
from great_expectations.expectations.expectation import Expectation

from analytics.interval import Interval
from analytics.lake.tables import TABLES, Table
from analytics.tenants import Source
from expectations import rules

PLANS = ["free", "premium", "family"]


def suite(table: str, interval: Interval, sources: Sequence[Source] = ()) -> gx.ExpectationSuite:
    """The rules for one canonical table's rows that came in one interval.

    `sources` owe this table what they declare.
    """
    declared = TABLES[table]
    return gx.ExpectationSuite(
        name=f"bronze_{table}",
        expectations=[
            *_table_rules(declared),
            *_rules_of_what_is_owed(declared, interval, sources),
            *_rules_of_every_table(declared, interval),
            *_OWN_RULES[table](),
        ],
    )


def _table_rules(table: Table) -> list[Expectation]:
    return [
        rules.columns_match(list(table.columns)),
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


def _rules_of_every_table(table: Table, interval: Interval) -> list[Expectation]:
    reasons = {
        "tenant_id": "A row without its tenant could be shown to another.",
        table.key: "A row without its key cannot be told from its repetition.",
        table.time: "A row without its time belongs to no interval.",
    }
    return [
        *(
            rules.is_given(column, reasons.get(column, f"{table.name} mean nothing without it."))
            for column in table.required
        ),
        rules.not_after(table.time, interval.end),
        rules.not_before_2000(table.time),
    ]


def _country() -> Expectation:
    return rules.matches(
        "country",
        "^[A-Z]{2}$",
        "country_is_a_code",
        "Two capital letters (ISO 3166) are expected; maps go wrong without, money does not.",
        severity="warning",
    )


def _plays() -> list[Expectation]:
    return [
        rules.plausible_listening(),
        rules.between(
            "track_ms", "track_ms_is_positive", "A track of no length cannot be listened to.",
            minimum=1,
        ),
        _country(),
    ]  # fmt: skip


def _app_events() -> list[Expectation]:
    return []


def _listeners() -> list[Expectation]:
    return [
        rules.between(
            "birth_year", "birth_year_is_plausible", "A joke in a form; no number depends on it.",
            minimum=1900, maximum=2020, severity="warning",
        ),
        rules.not_earlier_than(
            "updated_at", "signed_up_at",
            "Nobody changes an account before opening it; tenure is computed from other events.",
            severity="warning",
        ),
        _country(),
    ]  # fmt: skip


def _tracks() -> list[Expectation]:
    return [
        rules.between(
            "duration_ms", "duration_ms_is_positive", "A track of no length cannot be played.",
            minimum=1,
        )
    ]  # fmt: skip


def _subscription_events() -> list[Expectation]:
    churn = "The churn label and revenue are told by this word."
    return [
        rules.one_of("kind", ["sign_up", "upgrade", "downgrade", "cancel"], churn),
        rules.one_of("plan_from", PLANS, churn),
        rules.one_of("plan_to", PLANS, churn),
    ]


def _payments() -> list[Expectation]:
    return [
        rules.positive_amount(),
        rules.currency_code(),
        rules.one_of("kind", ["charge", "refund"], "The kind decides the sign in revenue."),
        rules.one_of(
            "plan", PLANS, "A new plan is news; revenue counts it all the same.",
            severity="warning",
        ),
    ]  # fmt: skip


def _touchpoints() -> list[Expectation]:
    return [
        rules.between(
            "cost_micros", "cost_micros_not_negative", "Advertising never pays us back.", minimum=0
        )
    ]


def _exposures() -> list[Expectation]:
    return []


def _tickets() -> list[Expectation]:
    return [
        rules.not_earlier_than(
            "resolved_at", "opened_at", "An answer before the question is a clock fault."
        ),
        rules.between(
            "satisfaction", "satisfaction_is_one_to_five", "The form offers no other number.",
            minimum=1, maximum=5,
        ),
    ]  # fmt: skip


def _reviews() -> list[Expectation]:
    return [rules.stars_in_range()]


_OWN_RULES = {
    "plays": _plays,
    "app_events": _app_events,
    "listeners": _listeners,
    "tracks": _tracks,
    "subscription_events": _subscription_events,
    "payments": _payments,
    "touchpoints": _touchpoints,
    "exposures": _exposures,
    "tickets": _tickets,
    "reviews": _reviews,
}
