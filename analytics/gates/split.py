"""Finds the bad rows in Polars, by the very bounds the expectations declare.

Great Expectations gives the verdict; which rows to set aside is computed here,
vectorised, because its own list of rows costs seconds on a million. The judge
holds both counts against each other, so the two can never drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation


@dataclass(frozen=True)
class Predicate:
    """A row rule as expressions over the frame."""

    rule: str
    columns: tuple[str, ...]
    considered: pl.Expr  # rows the rule has an opinion on
    broken: pl.Expr  # of these, the rows at fault; never null
    value: pl.Expr  # what to show for a row at fault, as text


def rule_of(expectation: Expectation) -> str:
    return (expectation.meta or {})["rule"]


def is_row_rule(expectation: Expectation) -> bool:
    return (expectation.meta or {})["kind"] == "row"


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """The columns an expectation reads; none for rules about the table as such."""
    if hasattr(expectation, "column"):
        return (expectation.column,)
    named = [getattr(expectation, name, None) for name in ("column_A", "column_B")]
    return tuple(c for c in (*named, *getattr(expectation, "column_list", ())) if c)


def read_beside(expectation: Expectation) -> tuple[str, ...]:
    """The columns that tell which rows an expectation is for."""
    condition = getattr(expectation, "row_condition", None)
    return () if condition is None else (condition.column.name,)


def predicate(expectation: Expectation) -> Predicate:
    """The expectation as Polars expressions; TypeError for a kind nobody taught it."""
    import great_expectations.expectations as gxe

    columns = columns_of(expectation)
    given = pl.all_horizontal(pl.col(c).is_not_null() for c in columns)
    value = _text((*(expectation.meta or {}).get("shown", ()), *columns))
    if isinstance(expectation, gxe.ExpectColumnValuesToNotBeNull):
        meant = _rows_meant(expectation)
        missing = meant & pl.col(expectation.column).is_null()
        return Predicate(rule_of(expectation), columns, meant, missing, value)
    if isinstance(expectation, gxe.ExpectColumnValuesToBeBetween):
        fine = _within(expectation)
    elif isinstance(expectation, gxe.ExpectColumnValuesToBeInSet):
        fine = pl.col(expectation.column).is_in(list(expectation.value_set or []))
    elif isinstance(expectation, gxe.ExpectColumnValuesToMatchRegex):
        fine = pl.col(expectation.column).str.contains(str(expectation.regex))
    elif isinstance(expectation, gxe.ExpectColumnPairValuesAToBeGreaterThanB):
        a, b = pl.col(expectation.column_A), pl.col(expectation.column_B)
        fine = a >= b if expectation.or_equal else a > b
    elif isinstance(expectation, gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord):
        a, b = map(pl.col, expectation.column_list)
        fine = a != b
    elif isinstance(expectation, gxe.ExpectColumnPairValuesToBeEqual):
        fine = pl.col(expectation.column_A) == pl.col(expectation.column_B)
    else:
        raise TypeError(
            f"{type(expectation).__name__} is declared a row rule, but the split does not know "
            "how to find its rows; teach analytics/gates/split.py or make it a table rule"
        )
    return Predicate(rule_of(expectation), columns, given, given & ~fine.fill_null(True), value)


def _rows_meant(expectation: Expectation) -> pl.Expr:
    """The rows its condition leaves: all, or those whose value is in none of some."""
    condition = expectation.row_condition  # type: ignore[attr-defined]
    if condition is None:
        return pl.lit(True)
    if condition.operator != "NOT_IN":
        raise TypeError(f"the split knows no condition {condition}; teach analytics/gates/split.py")
    return ~pl.col(condition.column.name).is_in(list(condition.parameter)).fill_null(True)


def _within(expectation: Expectation) -> pl.Expr:
    column = pl.col(expectation.column)  # type: ignore[attr-defined]
    low, high = expectation.min_value, expectation.max_value  # type: ignore[attr-defined]
    fine = pl.lit(True)
    if low is not None:
        fine = fine & (column > low if expectation.strict_min else column >= low)  # type: ignore[attr-defined]
    if high is not None:
        fine = fine & (column < high if expectation.strict_max else column <= high)  # type: ignore[attr-defined]
    return fine


def _text(columns: tuple[str, ...]) -> pl.Expr:
    if len(columns) == 1:
        return pl.col(columns[0]).cast(pl.String)
    return pl.concat_str(
        [pl.concat_str([pl.lit(f"{c}="), pl.col(c).cast(pl.String)]) for c in columns],
        separator=", ",
        ignore_nulls=True,
    )
