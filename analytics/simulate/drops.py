"""A file per table and day of arrival: Parquet drops, or CSV beside an event log."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from analytics.simulate.files import whole
from analytics.simulate.layout import CSV, PARQUET, PARQUET_UNITS
from analytics.simulate.world import Day


def write_parquet(folder: Path, day: date, spelt: Day) -> None:
    """Replace `<table>/<day>.parquet` of every table."""
    for table, columns in PARQUET.items():
        units = PARQUET_UNITS.get(table, {})
        frame = spelt[table].select(
            _in_unit(name, units.get(name)).alias(theirs) for name, theirs in columns.items()
        )
        with whole(folder / table / f"{day}.parquet") as half:
            frame.write_parquet(half, compression="zstd", compression_level=1)


def write_csv(folder: Path, day: date, spelt: Day) -> None:
    """Replace `<table>/<day>.csv` of the tables that stand beside the event log."""
    for table, columns in CSV.items():
        frame = spelt[table].select(pl.col(name).alias(theirs) for name, theirs in columns.items())
        with whole(folder / table / f"{day}.csv") as half:
            frame.write_csv(half, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")


def _in_unit(column: str, unit: str | None) -> pl.Expr:
    if unit == "epoch_ms":
        return pl.col(column).dt.epoch("ms")
    if unit == "seconds":
        return pl.col(column) / 1000
    return pl.col(column)
