"""A file per table and day of arrival: Parquet drops, or CSV beside an event log.

The files of a day are one query: starting one costs Polars more than so few rows.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date
from pathlib import Path

import polars as pl

from analytics.simulate.canonical import Spelt
from analytics.simulate.files import whole
from analytics.simulate.layout import CSV, PARQUET, PARQUET_UNITS


def write_parquet(folder: Path, day: date, spelt: Spelt) -> None:
    """Replace `<table>/<day>.parquet` of every table."""
    with ExitStack() as halves:
        sinks = []
        for table, columns in PARQUET.items():
            units = PARQUET_UNITS.get(table, {})
            rows = spelt[table]
            frame = pl.LazyFrame(
                {theirs: _in_unit(rows[name], units.get(name)) for name, theirs in columns.items()}
            )
            half = halves.enter_context(whole(folder / table / f"{day}.parquet"))
            sinks.append(
                frame.sink_parquet(half, compression="zstd", compression_level=1, lazy=True)
            )
        pl.collect_all(sinks)


def write_csv(folder: Path, day: date, spelt: Spelt) -> None:
    """Replace `<table>/<day>.csv` of the tables that stand beside the event log."""
    with ExitStack() as halves:
        sinks = []
        for table, columns in CSV.items():
            frame = pl.LazyFrame({theirs: spelt[table][name] for name, theirs in columns.items()})
            half = halves.enter_context(whole(folder / table / f"{day}.csv"))
            sinks.append(frame.sink_csv(half, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ", lazy=True))
        pl.collect_all(sinks)


def _in_unit(values: pl.Series, unit: str | None) -> pl.Series:
    if unit == "epoch_ms":
        return values.dt.epoch("ms")
    if unit == "seconds":
        return values / 1000
    return values
