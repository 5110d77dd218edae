"""What a proposal changes in the suite in force: rules to add, to tighten, to loosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from analytics.gates import split
from analytics.interval import Interval
from analytics.proposals.observed import Proposed

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

Kind = Literal["add", "tighten", "loosen"]
OF_INTERVAL = {  # what follows the interval that is judged, by shape
    "arrives_within": "{column} at most {days} d before the interval it arrives in",
    "enough_rows_a_day": "rows at least {least:,} a day",
}


@dataclass(frozen=True)
class Change:
    """One rule as it is and as it would be."""

    kind: Kind
    rule: str
    before: str | None
    after: str
    severity: str
    reason: str


def changes(
    rules: Sequence[Proposed], force: Sequence[Expectation], interval: Interval
) -> tuple[Change, ...]:
    """The changes, in the order of the proposal."""
    known = {split.rule_of(rule): rule for rule in force}
    found = []
    for proposed in rules:
        after = proposed.rule(interval)
        name = split.rule_of(after)
        before = known.get(name)
        found.append(
            Change(
                kind=_kind(before, after),
                rule=name,
                before=_in_force(proposed, before, interval) if before else None,
                after=_asked(proposed, after),
                severity=str(getattr(after.severity, "value", after.severity)),
                reason=str(after.description).removeprefix(f"{name}: "),
            )
        )
    return tuple(found)


def _in_force(proposed: Proposed, rule: Expectation, interval: Interval) -> str:
    """What the rule in force asks, in the words of the one proposed."""
    if proposed.shape == "enough_rows_a_day":
        least = rule.min_value // len(interval.days())  # type: ignore[attr-defined]
        return OF_INTERVAL[proposed.shape].format(least=least)
    return said(rule)


def _asked(proposed: Proposed, rule: Expectation) -> str:
    if proposed.of_interval:
        return OF_INTERVAL[proposed.shape].format(**proposed.arguments)
    return said(rule)


def _kind(before: Expectation | None, after: Expectation) -> Kind:
    if before is None:
        return "add"
    if hasattr(after, "value_set"):
        return "loosen"  # words in force are never taken away
    low, high = _ends(after)
    least, most = _ends(before)
    return "tighten" if low >= least and high <= most else "loosen"


def _ends(rule: Expectation) -> tuple[float, float]:
    low, high = getattr(rule, "min_value", None), getattr(rule, "max_value", None)
    return -math.inf if low is None else low, math.inf if high is None else high


def said(rule: Expectation) -> str:
    """What a rule asks, in a few words."""
    columns = ", ".join(split.columns_of(rule))
    if hasattr(rule, "value_set"):
        return f"{columns} is one of {', '.join(map(str, rule.value_set))}"
    if hasattr(rule, "regex"):
        return f"{columns} looks like {rule.regex}"
    if hasattr(rule, "unexpected_rows_query"):
        return "no row with " + str(rule.unexpected_rows_query).partition(" WHERE ")[2]
    if hasattr(rule, "min_value"):
        what = "share given" if "Proportion" in type(rule).__name__ else ""
        what = what or ("" if columns else "rows")
        span = _span(rule.min_value, getattr(rule, "max_value", None))
        return " ".join(filter(None, (columns, what, span)))
    if hasattr(rule, "column_list"):
        return f"no two rows share {columns}"
    return f"{columns} is given"


def _span(low: object, high: object) -> str:
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    return f"at least {_number(low)}" if high is None else f"at most {_number(high)}"


def _number(value: object) -> str:
    return f"{value:,.10g}" if isinstance(value, (int, float)) else str(value)
