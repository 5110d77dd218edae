"""Judges one table at a door: the verdict, the good rows, the bad rows.

Pure: frames in, judgement out. Who stores what is the door's business.

Row rules are judged on what came, with a tolerance of the tenant's budget:
above it the tenant stops, within it the bad rows are split off and the rest
must pass whole. Critical table rules always stop. Warnings never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from analytics.errors import AnalyticsError
from analytics.gates import engine, split
from analytics.gates.report import EXAMPLES, RuleResult

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.expectations.expectation import Expectation

BUDGET_RULE = "bad_rows_within_budget"


@dataclass(frozen=True)
class Judgement:
    """The verdict on one table."""

    good: pl.DataFrame  # as it came, less the bad rows
    bad: pl.DataFrame  # as it came, each row once
    broken: pl.DataFrame  # as it came plus _rule, _column, _value: one row per bad row and rule
    results: tuple[RuleResult, ...]
    rows: int  # came, unreadable ones included
    unreadable: int
    allowed: int
    gx_result: ExpectationSuiteValidationResult

    @property
    def stops(self) -> list[RuleResult]:
        return [result for result in self.results if result.stops]


def allowed_rows(budget: float, rows: int) -> int:
    """How many of so many rows the budget lets go bad: 1 % of 250 rows is 2."""
    return int(Decimal(str(budget)) * rows)


def judge(
    suite: ExpectationSuite,
    frame: pl.DataFrame,
    budget: float | None = 0.0,
    *,
    unreadable: int = 0,
) -> Judgement:
    """Judge what came against a suite; `unreadable` rows count as bad ones.

    A budget of None is for measures, which are no rows of the tenant's: none are counted.

    Raises AnalyticsError when Great Expectations cannot evaluate a rule or
    disagrees with the split about the number of bad rows: that is our bug.
    """
    rows = frame.height + unreadable
    allowed = allowed_rows(budget or 0, rows)
    readable = [e for e in suite.expectations if _reads(e) <= set(frame.columns)]
    predicates = {split.rule_of(e): split.predicate(e) for e in readable if split.is_row_rule(e)}
    faults = frame.select(
        **{rule: p.broken for rule, p in predicates.items()},
        **{f"considered {rule}": p.considered for rule, p in predicates.items()},
    )
    considered = {r: int(faults[f"considered {r}"].sum()) for r in predicates}

    verdict = engine.validate(
        [_tolerating(e, allowed, considered) for e in readable],
        _visible(suite, frame),
        suite.name,
    )
    results = _results(suite, verdict, frame, predicates, faults, considered)

    critical = [r.rule for r in results if r.kind == "row" and r.severity == "critical"]
    mask = pl.Series([False], dtype=pl.Boolean).new_from_index(0, frame.height)
    for rule in critical:
        mask = mask | faults[rule]
    bad = frame.filter(mask)
    broken = _broken_rules(frame, faults, [predicates[rule] for rule in critical])
    if budget is not None:
        results.append(_budget_result(bad.height + unreadable, rows, allowed, broken, unreadable))
    good = frame.filter(~mask)
    if bad.height and not any(result.stops for result in results):
        _must_pass_whole(suite, readable, good)
    return Judgement(good, bad, broken, tuple(results), rows, unreadable, allowed, verdict)


def _reads(expectation: Expectation) -> set[str]:
    return {*split.columns_of(expectation), *split.read_beside(expectation)}


def _visible(suite: ExpectationSuite, frame: pl.DataFrame) -> pl.DataFrame:
    """The table's own columns, and of the lineage what a rule reads."""
    read = set().union(*map(_reads, suite.expectations))
    return frame.select(c for c in frame.columns if not c.startswith("_") or c in read)


def _tolerating(expectation: Expectation, allowed: int, considered: dict[str, int]) -> Expectation:
    """The expectation with `mostly` so set that exactly `allowed` rows may fail.

    Great Expectations counts the share among the rows a rule has an opinion on,
    the budget is a share of all rows that came: both meet in this quotient.
    """
    rule = split.rule_of(expectation)
    if not split.is_row_rule(expectation) or not considered[rule]:
        return expectation
    mostly = max(0.0, (float(considered[rule]) - float(allowed)) / float(considered[rule]))
    return expectation.copy(update={"mostly": mostly})


def _results(
    suite: ExpectationSuite,
    verdict: ExpectationSuiteValidationResult,
    frame: pl.DataFrame,
    predicates: dict[str, split.Predicate],
    faults: pl.DataFrame,
    considered: dict[str, int],
) -> list[RuleResult]:
    said = {_rule_said(result): result for result in verdict.results}
    results = []
    for expectation in suite.expectations:
        rule = split.rule_of(expectation)
        if rule not in said:  # its column did not come; columns_match stops that
            continue
        result = said[rule]
        if result.exception_info and _raised(result.exception_info):
            raise AnalyticsError(
                f"{suite.name}: Great Expectations could not evaluate {rule}: "
                f"{result.exception_info}"
            )
        found = dict(result.result)
        unexpected = int(found.get("unexpected_count") or 0)
        if rule in predicates and unexpected != int(faults[rule].sum()):
            raise AnalyticsError(
                f"{suite.name}: Great Expectations finds {unexpected} rows against {rule}, the "
                f"split finds {faults[rule].sum()}; correct analytics/gates/split.py"
            )
        p = predicates.get(rule)
        results.append(
            RuleResult(
                rule=rule,
                kind=(expectation.meta or {})["kind"],
                severity=str(getattr(expectation.severity, "value", expectation.severity)),
                passed=bool(result.success),
                unexpected=unexpected,
                considered=considered.get(rule, frame.height),
                columns=split.columns_of(expectation),
                reason=str(expectation.description or "").removeprefix(f"{rule}: "),
                expectation=result.expectation_config.type if result.expectation_config else "",
                observed="" if result.success else _observed(expectation, found),
                examples=_examples(frame.filter(faults[rule]), p.value) if p else (),
            )
        )
    return results


def _rule_said(result: ExpectationValidationResult) -> str:
    config = result.expectation_config
    assert config is not None
    return config.meta["rule"]


def _raised(info: dict[str, Any]) -> bool:
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(isinstance(i, dict) and i.get("raised_exception") for i in info.values())


def _observed(expectation: Expectation, found: dict[str, Any]) -> str:
    mismatched = (found.get("details") or {}).get("mismatched")
    if mismatched:
        return ", ".join(f"{kind} {', '.join(map(str, v))}" for kind, v in mismatched.items())
    value, least = found.get("observed_value"), getattr(expectation, "min_value", None)
    if least is not None:
        return f"observed {_said(value)}, at least {_said(least)}"
    return "" if value is None else f"observed {value}"


def _said(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return "nothing" if value is None else str(value)


def _examples(rows: pl.DataFrame, value: pl.Expr) -> tuple[str, ...]:
    shown = rows.head(1000).select(value.fill_null("null").alias("value"))["value"]
    return tuple(shown.unique(maintain_order=True).head(EXAMPLES))


def _broken_rules(
    frame: pl.DataFrame, faults: pl.DataFrame, predicates: Sequence[split.Predicate]
) -> pl.DataFrame:
    """The rows at fault with what they broke: one row per source row and rule."""
    return pl.concat(
        [
            frame.filter(faults[p.rule]).with_columns(
                pl.lit(p.rule, pl.String).alias("_rule"),
                pl.lit(", ".join(p.columns), pl.String).alias("_column"),
                p.value.alias("_value"),
            )
            for p in predicates
        ]
        or [frame.clear().with_columns(_rule=None, _column=None, _value=None)]
    )


def _budget_result(
    count: int, rows: int, allowed: int, broken: pl.DataFrame, unreadable: int
) -> RuleResult:
    by_rule = broken.group_by("_rule").len().sort("len", "_rule", descending=[True, False])
    examples = [f"{rule} ({n})" for rule, n in by_rule.head(EXAMPLES).iter_rows()]
    if unreadable:
        examples.insert(0, f"unreadable ({unreadable})")
    return RuleResult(
        rule=BUDGET_RULE,
        kind="budget",
        severity="critical",
        passed=count <= allowed,
        unexpected=count,
        considered=rows,
        reason="Each bad row counts once, whatever it broke, unreadable ones included.",
        examples=tuple(examples[:EXAMPLES]),
    )


def _must_pass_whole(
    suite: ExpectationSuite, readable: list[Expectation], good: pl.DataFrame
) -> None:
    """What is left passes every critical row rule without any tolerance."""
    strict = [
        e
        for e in readable
        if split.is_row_rule(e) and getattr(e.severity, "value", e.severity) == "critical"
    ]
    verdict = engine.validate(strict, _visible(suite, good), f"{suite.name}_rest")
    broken = [_rule_said(result) for result in verdict.results if not result.success]
    if broken:
        raise AnalyticsError(
            f"{suite.name}: rows were split off, yet the rest breaks {', '.join(broken)}; "
            "correct analytics/gates/split.py"
        )
