"""The named rules that suites are made of.

Every rule carries a kind (`row`: bad rows are split off within the tenant's
budget; `table`: no budget helps), a name that quarantine rows, messages and
data docs use, a severity (`critical` stops, `warning` is only recorded) and, in
its description, the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from analytics.interval import Interval
from analytics.lake.tables import EARLIEST

Severity = Literal["critical", "warning"]
SOURCE = "_source"  # of the lineage: which of the tenant's sources a row is from
SIX_HOURS_MS = 6 * 3600 * 1000


def _declared(
    kind: str, rule: str, reason: str, severity: Severity, shown: Sequence[str] = ()
) -> dict[str, Any]:
    """What every rule carries; `shown` are columns that name a row at fault in its examples."""
    return {
        "severity": severity,
        "description": f"{rule}: {reason}",
        "meta": {"kind": kind, "rule": rule, **({"shown": [*shown]} if shown else {})},
    }


# ---- row rules


class ExpectListenedMsToBePlausible(gxe.ExpectColumnValuesToBeBetween):
    """Between nothing and six hours, in milliseconds."""

    column: str = "listened_ms"
    min_value: float = 0
    max_value: float = SIX_HOURS_MS


class ExpectAmountToBePositive(gxe.ExpectColumnValuesToBeBetween):
    """One minor unit or more; a refund is told by its kind, never by its sign."""

    column: str = "amount_minor"
    min_value: float = 1


class ExpectStarsToBeOneToFive(gxe.ExpectColumnValuesToBeBetween):
    """One to five."""

    column: str = "stars"
    min_value: float = 1
    max_value: float = 5


class ExpectCurrencyCode(gxe.ExpectColumnValuesToMatchRegex):
    """Three capital letters."""

    column: str = "currency"
    regex: str = "^[A-Z]{3}$"


def is_given(column: str, reason: str, *, but_of: Sequence[str] = ()) -> Expectation:
    """The column is never null, except in rows of sources that cannot know it."""
    if but_of:
        reason += f" Not asked of {', '.join(sorted(but_of))}, which cannot know it."
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column,
        row_condition=Column(SOURCE).is_not_in(sorted(but_of)) if but_of else None,
        **_declared("row", f"{column}_is_given", reason, "critical"),
    )


def not_after(column: str, end: datetime) -> Expectation:
    """The instant lies no later than the end of the interval: nothing arrives before it happens."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        max_value=end,
        **_declared(
            "row",
            f"{column}_not_after_interval",
            "An event cannot have happened after the interval it arrived in; a clock is wrong.",
            "critical",
        ),
    )


def not_before_2000(column: str) -> Expectation:
    """The instant is no forgotten epoch, no zero date."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=EARLIEST,
        **_declared(
            "row",
            f"{column}_not_before_2000",
            "No streaming service is that old; an empty clock or epoch zero was sent.",
            "critical",
        ),
    )


def between(
    column: str,
    rule: str,
    reason: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    severity: Severity = "critical",
    shown: Sequence[str] = (),
) -> Expectation:
    """The number lies within both bounds, ends included; null is no number."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=minimum,
        max_value=maximum,
        **_declared("row", rule, reason, severity, shown),
    )


def arrives_within(column: str, interval: Interval, days: int, reason: str) -> Expectation:
    """The instant lies at most so many days before the interval it arrives in."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=interval.start - timedelta(days=days),
        **_declared("row", f"{column}_arrives_in_time", reason, "critical"),
    )


def one_of(
    column: str, values: list[str], reason: str, *, severity: Severity = "critical"
) -> Expectation:
    """The value is one of a closed list; null is no value."""
    return gxe.ExpectColumnValuesToBeInSet(
        column=column,
        value_set=values,
        **_declared("row", f"{column}_is_known", reason, severity),
    )


def matches(
    column: str, regex: str, rule: str, reason: str, *, severity: Severity = "critical"
) -> Expectation:
    """The text has a shape; anchor the pattern at both ends."""
    return gxe.ExpectColumnValuesToMatchRegex(
        column=column, regex=regex, **_declared("row", rule, reason, severity)
    )


def not_earlier_than(
    column: str, than: str, reason: str, *, severity: Severity = "critical"
) -> Expectation:
    """One instant is at or after another, where both are given."""
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=column,
        column_B=than,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        **_declared("row", f"{column}_not_before_{than}", reason, severity),
    )


def at_least(
    column: str,
    other: str,
    rule: str,
    reason: str,
    *,
    severity: Severity = "critical",
    shown: Sequence[str] = (),
) -> Expectation:
    """One number is no smaller than another, where both are given."""
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=column,
        column_B=other,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        **_declared("row", rule, reason, severity, shown),
    )


def differ(column: str, other: str, rule: str, reason: str, *, severity: Severity) -> Expectation:
    """Two columns never hold the same value, where both are given."""
    return gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(
        column_list=[column, other],
        ignore_row_if="any_value_is_missing",
        **_declared("row", rule, reason, severity),
    )


def equals(
    column: str, other: str, rule: str, reason: str, *, shown: Sequence[str] = ()
) -> Expectation:
    """Two columns hold the same number, row by row."""
    return gxe.ExpectColumnPairValuesToBeEqual(
        column_A=column,
        column_B=other,
        ignore_row_if="either_value_is_missing",
        **_declared("row", rule, reason, "critical", shown),
    )


# ---- table rules


def columns_match(columns: list[str]) -> Expectation:
    """Exactly these columns, in any order."""
    return gxe.ExpectTableColumnsToMatchSet(
        column_set=columns,
        exact_match=True,
        **_declared(
            "table",
            "columns_match",
            "Everything downstream is written against these names.",
            "critical",
        ),
    )


def has_rows(reason: str, *, severity: Severity) -> Expectation:
    """There is at least one row."""
    return gxe.ExpectTableRowCountToBeBetween(
        min_value=1, **_declared("table", "has_rows", reason, severity)
    )


def enough_rows(least: int, reason: str) -> Expectation:
    """There are at least so many rows."""
    return gxe.ExpectTableRowCountToBeBetween(
        min_value=least, **_declared("table", "enough_rows", reason, "critical")
    )


def enough_rows_a_day(interval: Interval, least: int, reason: str) -> Expectation:
    """There are at least so many rows for each day of the interval."""
    return enough_rows(least * len(interval.days()), reason)


def mostly_given(column: str, share: float, reason: str) -> Expectation:
    """The column is given in at least this share of the rows."""
    return gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
        column=column,
        min_value=share,
        **_declared("table", f"{column}_is_mostly_given", reason, "warning"),
    )


def at_most_times(column: str, other: str, times: float, reason: str) -> Expectation:
    """One number is at most so many times another, where both are given."""
    return gxe.UnexpectedRowsExpectation(
        unexpected_rows_query=f"SELECT * FROM {{batch}} WHERE {column} > {times} * {other}",  # noqa: S608  (our own columns)
        **_declared("table", f"{column}_within_{other}", reason, "warning"),
    )


def is_fresh(column: str, end: datetime, within: timedelta, reason: str) -> Expectation:
    """The newest instant up to the end lies so close to it; a clock ahead makes nothing fresh."""
    return gxe.ExpectColumnMaxToBeBetween(
        column=column,
        min_value=end - within,
        row_condition=Column(column) <= end.isoformat(),
        **_declared("table", f"{column}_is_fresh", reason, "critical"),
    )


def not_one_value(column: str, rule: str, reason: str) -> Expectation:
    """The column holds at least two different values."""
    return gxe.ExpectColumnUniqueValueCountToBeBetween(
        column=column, min_value=2, **_declared("table", rule, reason, "critical")
    )


def unique(columns: list[str], rule: str, reason: str, *, severity: Severity) -> Expectation:
    """No two rows share these columns."""
    return gxe.ExpectCompoundColumnsToBeUnique(
        column_list=columns, **_declared("table", rule, reason, severity)
    )


def plausible_listening() -> Expectation:
    return ExpectListenedMsToBePlausible(
        **_declared(
            "row",
            "listened_ms_is_plausible",
            "Time does not run backwards, and the longest item is six hours; "
            "a resumed player may count twice within that.",
            "critical",
        )
    )


def positive_amount(reason: str) -> Expectation:
    return ExpectAmountToBePositive(
        **_declared("row", "amount_minor_is_positive", reason, "critical")
    )


def stars_in_range() -> Expectation:
    return ExpectStarsToBeOneToFive(
        **_declared("row", "stars_are_one_to_five", "The form offers no other number.", "critical")
    )


def currency_code() -> Expectation:
    return ExpectCurrencyCode(
        **_declared(
            "row",
            "currency_is_a_code",
            "Amounts of another currency must never be added up; ISO 4217 codes tell them apart.",
            "critical",
        )
    )
