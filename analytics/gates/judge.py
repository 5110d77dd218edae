"""Judges one table at a door: the verdict, the good rows, the bad rows.

Pure: frames in, judgement out. Who stores what is the door's business.

Row rules are judged on what came, with a tolerance of the tenant's budget:
above it the tenant stops, within it the bad rows are split off and the rest
must pass whole. Critical table rules always stop. Warnings never do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import polars as pl

from analytics.errors import AnalyticsError
from analytics.gates import engine, split
from analytics.gates.report import EXAMPLES, RuleResult
from analytics.lake.portions import Portions

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

    good: Portions  # as it came, less the bad rows
    bad: Portions  # as it came, each row once
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
    """Judge what came as one frame."""
    heard = Hearing(suite, Portions(), Portions())
    heard.hear(frame)
    return heard.verdict(budget, unreadable)


class Hearing:
    """One table on trial: its rows are heard a portion at a time, then comes the verdict."""

    def __init__(self, suite: ExpectationSuite, good: Portions, bad: Portions) -> None:
        """`good` and `bad` keep the rows, split by the critical row rules."""
        self._suite = suite
        self._good, self._bad = good, bad
        self._readable: list[Expectation] = []
        self._predicates: dict[str, split.Predicate] = {}
        self._considered: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._rows = 0
        self._schema: dict[str, pl.DataType] = {}

    def hear(self, rows: pl.DataFrame) -> None:
        """Count what breaks which rule, and keep the good rows apart from the bad."""
        if not self._schema:
            self._schema = dict(rows.schema)
            self._readable = [e for e in self._suite.expectations if _reads(e) <= set(rows.columns)]
            row_rules = [e for e in self._readable if split.is_row_rule(e)]
            self._predicates = {split.rule_of(e): split.predicate(e) for e in row_rules}
        self._rows += rows.height
        faults = rows.select(
            **{rule: p.broken for rule, p in self._predicates.items()},
            **{f"considered {rule}": p.considered for rule, p in self._predicates.items()},
        )
        for rule, p in self._predicates.items():
            self._considered[rule] += int(faults[f"considered {rule}"].sum())
            count = int(faults[rule].sum())
            self._broken[rule] += count
            if count:
                shown = self._examples.setdefault(rule, [])
                shown += _examples(rows.filter(faults[rule]), p.value)
        is_bad = pl.Series([False]).new_from_index(0, rows.height)
        for expectation in _critical(self._readable):
            is_bad = is_bad | faults[split.rule_of(expectation)]
        if is_bad.any():
            self._bad.add(rows.filter(is_bad))
            rows = rows.filter(~is_bad)
        self._good.add(rows)

    def verdict(self, budget: float | None, unreadable: int = 0) -> Judgement:
        """What Great Expectations says of all that was heard; `unreadable` rows are bad ones.

        A budget of None is for measures, which are no rows of the tenant's: none are counted.

        Raises AnalyticsError when Great Expectations cannot evaluate a rule or
        disagrees with the split about the number of bad rows: that is our bug.
        """
        rows, bad = self._rows + unreadable, self._bad.height
        allowed = allowed_rows(budget or 0, rows)
        came = engine.Rows([self._good, self._bad], self._visible())
        verdict = engine.validate(
            [_tolerating(e, allowed, self._considered) for e in self._readable],
            came,
            self._suite.name,
        )
        results = self._results(verdict)
        critical = [split.rule_of(e) for e in _critical(self._readable)]
        if budget is not None:
            by_rule = {rule: self._broken[rule] for rule in critical}
            results.append(_budget_result(bad + unreadable, rows, allowed, by_rule, unreadable))
        is_stopped = any(result.stops for result in results)
        if bad and not is_stopped:
            self._must_pass_whole()
        # What is stopped is not set aside, and may be any number of rows.
        judged = islice(self._bad, 1 if is_stopped else None)
        broken = [
            _with_rule(portion, self._predicates[rule]) for portion in judged for rule in critical
        ]
        if not broken:
            nothing = pl.DataFrame(schema=self._schema)
            broken = [nothing.with_columns(_rule=None, _column=None, _value=None)]
        return Judgement(
            self._good,
            self._bad,
            pl.concat(broken),
            tuple(results),
            rows,
            unreadable,
            allowed,
            verdict,
        )

    def _visible(self) -> list[str]:
        """The table's own columns, and of the lineage what a rule reads."""
        read = set().union(*map(_reads, self._suite.expectations))
        return [c for c in self._schema if not c.startswith("_") or c in read]

    def _results(self, verdict: ExpectationSuiteValidationResult) -> list[RuleResult]:
        said = {_rule_said(result): result for result in verdict.results}
        results = []
        for expectation in self._suite.expectations:
            rule = split.rule_of(expectation)
            if rule not in said:  # its column did not come; columns_match stops that
                continue
            result = said[rule]
            if result.exception_info and _raised(result.exception_info):
                raise AnalyticsError(
                    f"{self._suite.name}: Great Expectations could not evaluate {rule}: "
                    f"{result.exception_info}"
                )
            found = dict(result.result)
            unexpected = int(found.get("unexpected_count") or 0)
            if rule in self._predicates and unexpected != self._broken[rule]:
                raise AnalyticsError(
                    f"{self._suite.name}: Great Expectations finds {unexpected} rows against "
                    f"{rule}, the split {self._broken[rule]}; correct analytics/gates/split.py"
                )
            is_row_rule = rule in self._predicates
            results.append(
                RuleResult(
                    rule=rule,
                    kind=(expectation.meta or {})["kind"],
                    severity=str(getattr(expectation.severity, "value", expectation.severity)),
                    passed=bool(result.success),
                    unexpected=unexpected,
                    considered=self._considered[rule] if is_row_rule else self._rows,
                    columns=split.columns_of(expectation),
                    reason=str(expectation.description or "").removeprefix(f"{rule}: "),
                    expectation=result.expectation_config.type if result.expectation_config else "",
                    observed="" if result.success else _observed(expectation, found),
                    examples=tuple(dict.fromkeys(self._examples.get(rule, ())))[:EXAMPLES],
                )
            )
        return results

    def _must_pass_whole(self) -> None:
        """What is left passes every critical row rule without any tolerance."""
        left = engine.Rows([self._good], self._visible())
        verdict = engine.validate(_critical(self._readable), left, f"{self._suite.name}_rest")
        broken = [_rule_said(result) for result in verdict.results if not result.success]
        if broken:
            raise AnalyticsError(
                f"{self._suite.name}: rows were split off, yet the rest breaks "
                f"{', '.join(broken)}; correct analytics/gates/split.py"
            )


def _critical(expectations: Iterable[Expectation]) -> list[Expectation]:
    """The rules by which rows are set aside."""
    return [
        e
        for e in expectations
        if split.is_row_rule(e) and getattr(e.severity, "value", e.severity) == "critical"
    ]


def _reads(expectation: Expectation) -> set[str]:
    return {*split.columns_of(expectation), *split.read_beside(expectation)}


def _tolerating(
    expectation: Expectation, allowed: int, considered: Mapping[str, int]
) -> Expectation:
    """The expectation with `mostly` so set that exactly `allowed` rows may fail.

    Great Expectations counts the share among the rows a rule has an opinion on,
    the budget is a share of all rows that came: both meet in this quotient.
    """
    rule = split.rule_of(expectation)
    if not split.is_row_rule(expectation) or not considered[rule]:
        return expectation
    mostly = max(0.0, (float(considered[rule]) - float(allowed)) / float(considered[rule]))
    return expectation.copy(update={"mostly": mostly})


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


def _examples(rows: pl.DataFrame, value: pl.Expr) -> list[str]:
    shown = rows.head(1000).select(value.fill_null("null").alias("value"))["value"]
    return shown.unique(maintain_order=True).head(EXAMPLES).to_list()


def _with_rule(rows: pl.DataFrame, p: split.Predicate) -> pl.DataFrame:
    """Of these rows those that break the rule, with what they broke."""
    return rows.filter(p.broken).with_columns(
        pl.lit(p.rule, pl.String).alias("_rule"),
        pl.lit(", ".join(p.columns), pl.String).alias("_column"),
        p.value.alias("_value"),
    )


def _budget_result(
    count: int, rows: int, allowed: int, by_rule: Mapping[str, int], unreadable: int
) -> RuleResult:
    most = sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))
    examples = [f"{rule} ({n})" for rule, n in most[:EXAMPLES] if n]
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
