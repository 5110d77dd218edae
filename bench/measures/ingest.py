"""Event lines on their way to silver, rows a second."""

from __future__ import annotations

import polars as pl
from deltalake import DeltaTable, write_deltalake

from analytics.gates import bronze as gate
from analytics.lake import bronze, paths, silver
from analytics.settings import Settings
from analytics.sources.eventsim import FIELDS
from bench.figure import Figure, rate, seconds
from bench.place import Place
from bench.rows import whole_lines

TENANT = "spotify_premium"


def measure(place: Place) -> list[Figure]:
    """Lines → bronze, then bronze → gate → silver, of the tenant that writes event lines."""
    files = sorted((place.simulated / "landing" / TENANT / "events").glob("*.jsonl"))
    worlds: list[Settings] = []

    def anew() -> None:
        worlds.append(place.landed_settings())

    def extract() -> None:
        bronze.extract(worlds[-1], TENANT, place.interval, "bench")

    extracted = seconds(extract, place.size.repeats, before=anew)
    rows = sum(_rows(worlds[-1], s.name) for s in _sources(worlds[-1]))

    def onward() -> None:
        settings = worlds.pop()
        gate(settings, TENANT, place.interval, "bench")
        silver.land(settings, TENANT, place.interval, "bench")

    # Loaded once a process: a task pays it once, whatever the rows.
    from analytics.gates import engine

    loading = seconds(lambda: engine.context(), 1)
    last = worlds[-1]
    landed = seconds(onward, min(place.size.repeats, len(worlds)))
    return [
        rate(
            "ingest_bronze", "event lines and CSV → bronze", rows, extracted,
            _bare_bronze(place, files),
            how=f"{rows:,} rows of {len(files)} days and seven sources, typed, hashed, committed",
            bare="Polars reads the same event lines typed, delta-rs writes them by one commit",
        ),
        rate(
            "ingest_silver", "bronze → gate → silver", rows, landed, _bare_silver(place, last),
            how="conformed, judged by Great Expectations with data docs, staged, landed",
            bare="the bronze rows read and written by tenant with delta-rs",
        ),
        Figure(
            "gate_loading", "Great Expectations loads", round(loading, 2), "s",
            "import and context, once a process (0 when already loaded)",
        ),
    ]  # fmt: skip


def _bare_bronze(place: Place, files: list) -> float:
    lines = [whole_lines(file) for file in files]

    def read_and_write() -> None:
        events = pl.concat(pl.read_ndjson(day, schema=FIELDS, ignore_errors=True) for day in lines)
        write_deltalake(str(place.fresh("bare") / "events"), events)

    return seconds(read_and_write, place.size.repeats)


def _bare_silver(place: Place, settings: Settings) -> float:
    tables = [paths.bronze(settings, TENANT, source.name) for source in _sources(settings)]

    def read_and_write() -> None:
        out = place.fresh("bare")
        for number, table in enumerate(tables):
            rows = pl.read_delta(table)
            write_deltalake(str(out / str(number)), rows, partition_by=["tenant_id"])

    return seconds(read_and_write, place.size.repeats)


def _sources(settings: Settings) -> list:
    from analytics.tenants import get_tenant

    return list(get_tenant(settings, TENANT).sources)


def _rows(settings: Settings, source: str) -> int:
    return DeltaTable(paths.bronze(settings, TENANT, source)).to_pyarrow_dataset().count_rows()
