"""What a computed feature table looks like, for the gate that judges it before it is written."""

from __future__ import annotations

import polars as pl

from spark_jobs.churn_columns import COLUMNS, FEATURES, WITHIN, Column

DATE = ("tenant_id", "as_of_date")


def rows_by_date(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per as-of date: its rows, and how many listeners they are of."""
    counts = frame.group_by(*DATE).agg(rows=pl.len(), keys=pl.col("listener_id").n_unique())
    return counts.sort(*DATE)


def values_by_date(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per as-of date and column, the declared bounds beside what was found.

    `feature` also names differences that cannot be negative, such as
    `plays_28d - plays_7d`. `missing` counts NaN, too, which no declaration allows.
    """
    given = [_of(frame, c.name, pl.col(c.name)) for c in COLUMNS if isinstance(c, Column)]
    features = [
        _of(frame, f.name, pl.col(f.name), f.lower, f.upper, nullable=f.nullable, number=True)
        for f in FEATURES
    ]
    within = [
        _of(frame, f"{whole} - {part}", pl.col(whole) - pl.col(part), 0, nullable=True, number=True)
        for part, whole in WITHIN
    ]
    return pl.concat([*given, *features, *within]).sort(*DATE, maintain_order=True)


def _of(
    frame: pl.DataFrame,
    name: str,
    value: pl.Expr,
    lower: float | None = None,
    upper: float | None = None,
    *,
    nullable: bool = False,
    number: bool = False,
) -> pl.DataFrame:
    nulls = value.null_count().cast(pl.Int64)
    nans = value.cast(pl.Float64).is_nan().sum().cast(pl.Int64) if number else pl.lit(0)
    unknown = pl.lit(None, pl.Float64)
    return (
        frame.group_by(*DATE)
        .agg(
            missing=nulls + nans,
            may_miss=nulls if nullable else pl.lit(0, pl.Int64),
            least=value.min().cast(pl.Float64) if number else unknown,
            lower=pl.lit(lower, pl.Float64),
            most=value.max().cast(pl.Float64) if number else unknown,
            upper=pl.lit(upper, pl.Float64),
        )
        .select(*DATE, pl.lit(name).alias("feature"), pl.exclude(*DATE))
    )
