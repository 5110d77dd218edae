"""What a table's rows look like, UTC day by UTC day: what later days are compared with.

Grain    one row per (tenant_id, table, day, column, measure). A measure is a number (`value`)
         or the shares of a column's words or of a day's hours (`shares`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import polars as pl

from analytics.lake.portions import Portions
from analytics.lake.tables import TABLES, Table

SAMPLE = 5_000  # rows of a day that are looked at; of a larger day every n-th
WORDS = 50  # different values up to which a text column is a closed list of words
NAMES = {"campaign", "experiment", "variant"}  # come and go with what they name: no shape
SHARES = pl.List(pl.Struct({"word": pl.String, "share": pl.Float64}))
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "table": pl.String,
    "day": pl.Date,
    "column": pl.String,  # '' for the table as such
    "measure": pl.String,
    "rows": pl.Int64,  # the measure was taken of
    "value": pl.Float64,
    "shares": SHARES,
}
NUMBERS = pl.Float64


def daily_profile(tenant_id: str, tables: Mapping[str, Portions], days: list[date]) -> pl.DataFrame:
    """The profile of the canonical tables' rows that happened on these days, empty days too."""
    found = [
        part.select(pl.lit(tenant_id).alias("tenant_id"), pl.lit(name).alias("table"), pl.all())
        for name, portions in tables.items()
        for part in _of(TABLES[name], portions, days)
    ]
    if not found:
        return pl.DataFrame(schema=COLUMNS)
    return pl.concat(part.select(_typed(part)) for part in found)


def _typed(part: pl.DataFrame) -> list[pl.Expr]:
    return [
        (pl.col(c) if c in part.columns else pl.lit(None)).cast(kind).alias(c)
        for c, kind in COLUMNS.items()
    ]


def _of(table: Table, portions: Portions, days: list[date]) -> Iterator[pl.DataFrame]:
    wanted = pl.DataFrame({"day": days}, schema={"day": pl.Date})
    day = pl.col(table.time).dt.date().alias("day")
    counts = [
        rows.group_by(day).agg(value=pl.len().cast(NUMBERS))
        for rows in portions.columns(table.time)
    ]
    counted = pl.concat(counts).group_by("day").sum().join(wanted, on="day", how="semi")
    yield wanted.join(counted, on="day", how="left").select(
        "day", pl.lit("").alias("column"), pl.lit("rows").alias("measure"),
        pl.col("value").fill_null(0).cast(pl.Int64).alias("rows"), pl.col("value").fill_null(0),
    )  # fmt: skip
    if counted.is_empty():
        return
    dated = _sampled(table, portions, counted)
    plain = [c for c in table.columns if c not in ("tenant_id", table.time)]
    measures = {
        (column, measure): value
        for column in plain
        for measure, value in _measures(column, table.columns[column]).items()
    }
    wide = dated.group_by("day").agg(
        pl.len().alias("rows"),
        *(v.cast(NUMBERS).alias(f"{c}|{m}") for (c, m), v in measures.items()),
    )
    long = wide.unpivot(index=["day", "rows"]).drop_nulls("value")
    name = pl.col("variable").str.split_exact("|", 1)
    yield long.select(
        "day", name.struct[0].alias("column"), name.struct[1].alias("measure"),
        pl.col("rows").cast(pl.Int64), "value",
    )  # fmt: skip
    yield _shares(dated, table.time, pl.col(table.time).dt.hour().cast(pl.String), "hours")
    for column in plain:
        is_text = table.columns[column] == pl.String
        if is_text and column not in NAMES and dated[column].n_unique() <= WORDS:
            yield _shares(dated, column, pl.col(column), "words")


def _sampled(table: Table, portions: Portions, counted: pl.DataFrame) -> pl.DataFrame:
    """At most SAMPLE rows a day, evenly from all over it."""
    every = counted.select("day", every=(pl.col("value").cast(pl.Int64) + SAMPLE - 1) // SAMPLE)
    seen = every.select("day", seen=pl.lit(0, pl.Int64))  # rows of the day in earlier portions
    found = []
    for rows in portions.columns(*(c for c in table.columns if c != "tenant_id")):
        day = rows.select(day=pl.col(table.time).dt.date())
        of_day = day.join(every, on="day", how="left", maintain_order="left").join(
            seen, on="day", how="left", maintain_order="left"
        )
        number = pl.int_range(pl.len(), dtype=pl.Int64).over("day") + pl.col("seen")
        chosen = of_day.select((number % pl.col("every") == 0).fill_null(False)).to_series()
        found.append(rows.with_columns(day["day"]).filter(chosen))
        more = day.group_by("day").agg(more=pl.len().cast(pl.Int64))
        seen = seen.join(more, on="day", how="left").select(
            "day", seen=pl.col("seen") + pl.col("more").fill_null(0)
        )
    return pl.concat(found)


def _measures(name: str, dtype: object) -> dict[str, pl.Expr]:
    column = pl.col(name)
    missing = {"missing": column.is_null().mean()}
    if name in NAMES:
        return missing
    if dtype == pl.Boolean:
        return missing | {"true": column.mean()}
    if dtype == pl.String:
        given = column.drop_nulls()
        return missing | {
            "distinct": given.n_unique() / given.len(),
            "top": given.unique_counts().max() / given.len(),
            "foreign": given.str.contains(r"[^\x00-\x7F]").mean(),
            "length": given.str.len_chars().mean(),
        }
    if (isinstance(dtype, type) and issubclass(dtype, pl.Date)) or isinstance(dtype, pl.Datetime):
        return missing
    return missing | {"median": column.median(), "zero": (column == 0).mean()}


def _shares(dated: pl.DataFrame, column: str, word: pl.Expr, measure: str) -> pl.DataFrame:
    """By day, the share of rows of each word among the rows that have one."""
    counts = dated.select("day", word=word).drop_nulls().group_by("day", "word").len()
    return (
        counts.sort("day", "word")
        .group_by("day", maintain_order=True)
        .agg(
            rows=pl.col("len").sum().cast(pl.Int64),
            shares=pl.struct("word", share=pl.col("len") / pl.col("len").sum()),
        )
        .select(
            "day",
            pl.lit(column).alias("column"),
            pl.lit(measure).alias("measure"),
            "rows",
            "shares",
        )
    )
