"""A file per table and day of arrival: Parquet drops, or CSV beside an event log."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from analytics.simulate.canonical import Spelt
from analytics.simulate.files import whole
from analytics.simulate.layout import CSV, PARQUET, PARQUET_UNITS


def write_parquet(folder: Path, day: date, spelt: Spelt) -> None:
    """Replace `<table>/<day>.parquet` of every table."""
    for table, columns in PARQUET.items():
        units = PARQUET_UNITS.get(table, {})
        rows = spelt[table]
        frame = pl.DataFrame(
            {theirs: _in_unit(rows[name], units.get(name)) for name, theirs in columns.items()}
        )
        with whole(folder / table / f"{day}.parquet") as half:
            frame.write_parquet(half, compression="zstd", compression_level=1)


def write_csv(folder: Path, day: date, spelt: Spelt) -> None:
    """Replace `<table>/<day>.csv` of the tables that stand beside the event log."""
    for table, columns in CSV.items():
        frame = pl.DataFrame({theirs: spelt[table][name] for name, theirs in columns.items()})
        with whole(folder / table / f"{day}.csv") as half:
            frame.write_csv(half, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")


def _in_unit(values: pl.Series, unit: str | None) -> pl.Series:
    if unit == "epoch_ms":
        return values.dt.epoch("ms")
    if unit == "seconds":
        return values / 1000
    return values
