"""Bring a bronze frame into the canonical shape of a table."""

from __future__ import annotations

import polars as pl

from analytics.lake.hashing import NULL, SEPARATOR, md5
from analytics.lake.lineage import LINEAGE
from analytics.lake.tables import TABLES
from analytics.tenants import Source, Tenant

# The time of what a source states without saying since when (a song catalogue).
EVER = pl.datetime(2000, 1, 1, time_unit="us", time_zone="UTC")
# The instants that years 1 to 9999 hold, in microseconds since 1970.
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999


def epoch(number: pl.Expr, microseconds: int) -> pl.Expr:
    """Instants from a count of units since 1970, each of so many microseconds.

    A count beyond years 1 to 9999 gives the nearest of them, for the gate to name: without
    that it would overflow into some year of our own.
    """
    within = number.clip(FIRST // microseconds + 1, LAST // microseconds)
    counted = (within * microseconds).cast(pl.Int64)
    return counted.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def canonical(
    table: str,
    tenant: Tenant,
    source: Source,
    bronze: pl.DataFrame,
    columns: dict[str, pl.Expr],
) -> pl.DataFrame:
    """The columns the table stores (null where not given) + LINEAGE, one row per bronze row."""
    types = TABLES[table].stored
    unknown = set(columns) - set(types)
    assert not unknown, f"{table} has no {unknown}"
    given = {**columns, "tenant_id": pl.lit(tenant.id), "_source": pl.lit(source.name)}
    return bronze.select(
        (given[c] if c in given else pl.col(c) if c in LINEAGE else pl.lit(None)).cast(t).alias(c)
        for c, t in {**types, **LINEAGE}.items()
    )


def identified(bronze: pl.DataFrame, name: str, parts: list[pl.Expr]) -> pl.DataFrame:
    """The frame with a column `name`: the md5 of the parts, the same on every machine."""
    text = bronze.select(
        pl.concat_str([p.cast(pl.String).fill_null(NULL) for p in parts], separator=SEPARATOR)
    ).to_series()
    return bronze.with_columns(md5(text).alias(name))


def song_key(artist: pl.Expr, title: pl.Expr, milliseconds: pl.Expr) -> list[pl.Expr]:
    """What identifies a song that has no id: artist, title and length to the millisecond."""
    return [
        artist.str.strip_chars().str.to_lowercase(),
        title.str.strip_chars().str.to_lowercase(),
        milliseconds,
    ]
