"""Into the warehouse and out to the tenants: COPY, dbt, publication."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from psycopg import sql

from analytics import warehouse
from analytics.interval import Interval
from analytics.lake import read
from analytics.settings import Settings
from analytics.warehouse import dbt as project
from analytics.warehouse.copy import CHUNK, copy_frames
from bench import rows
from bench.figure import Figure, rate, seconds
from bench.place import FILE_TENANTS, Place


def load(place: Place) -> list[Figure]:
    """COPY of frames, and a whole load, against psycopg with the bytes at hand."""
    settings = place.warehouse
    frame = rows.plays(place.size.rows)
    pieces = [piece.write_csv(include_header=False).encode() for piece in frame.iter_slices(CHUNK)]
    table = sql.Identifier("raw", "bench_plays")
    with warehouse.connect(settings, autocommit=True) as connection:
        connection.execute("create table raw.bench_plays (like raw.plays)")

        def empty() -> None:
            connection.execute(sql.SQL("truncate {}").format(table))

        def bare() -> None:
            query = sql.SQL("copy {} ({}) from stdin (format csv)").format(
                table, sql.SQL(", ").join(map(sql.Identifier, frame.columns))
            )
            with connection.cursor() as cursor, cursor.copy(query) as copy:
                for piece in pieces:
                    copy.write(piece)

        bare_seconds = seconds(bare, place.size.repeats, before=empty)
        copied = seconds(
            lambda: copy_frames(connection, table, [frame]), place.size.repeats, before=empty
        )
        connection.execute("drop table raw.bench_plays")
    loaded = seconds(lambda: _load_all(settings, place.interval), place.size.repeats)
    all_rows = _silver_rows(settings)
    per_row = bare_seconds / frame.height
    return [
        rate(
            "copy", "rows into a table by COPY", frame.height, copied, bare_seconds,
            how=f"{frame.height:,} plays, encoded from a frame while the server takes them",
            bare="psycopg copies the same bytes, ready in memory", aim_ratio=0.8,
        ),
        rate(
            "load", "silver → raw, whole history", all_rows, loaded, per_row * all_rows,
            how=f"{all_rows:,} rows of all tables and {len(FILE_TENANTS)} tenants read from Delta,"
            " replaced in one transaction a tenant, keys checked",
            bare="psycopg's rate on plays without a key, as above",
        ),
    ]  # fmt: skip


def models(place: Place) -> list[Figure]:
    """dbt from nothing, and one day's window; dbt's own start is part of both."""
    settings = place.loaded
    last = place.interval.end
    day = Interval(last - timedelta(days=1), last)
    full = seconds(lambda: _dbt(settings, "--full-refresh"), 1)
    window = seconds(
        lambda: _dbt(settings, "--vars", json.dumps(day.as_extra())), min(3, place.size.repeats)
    )
    size = f"{_silver_rows(settings):,} rows in raw"
    return [
        Figure("dbt_full", "dbt, full refresh", round(full, 1), "s", f"all models over {size}"),
        Figure("dbt_day", "dbt, one day", round(window, 1), "s", f"the same models, {size}"),
    ]


def publish(place: Place) -> list[Figure]:
    """Marts into `serve`: everything anew, and nothing new."""
    settings = place.loaded
    if not (settings.dbt_target / "manifest.json").exists():
        _dbt(settings, "--full-refresh")
    written = 0
    manifest = project.parse(settings)

    def all_tenants() -> None:
        nonlocal written
        for tenant in FILE_TENANTS:
            done = warehouse.publish(settings, tenant, None, "bench", {}, manifest=manifest)
            written += sum(done.rows.values())

    first = seconds(all_tenants, 1)
    rows_written = written
    again = seconds(all_tenants, place.size.repeats)
    return [
        rate(
            "publish", "publish marts to serve", rows_written, first, None,
            how=f"{rows_written:,} rows of {len(FILE_TENANTS)} tenants, one transaction each",
        ),
        Figure(
            "publish_again", "publish when nothing is new", round(again, 2), "s",
            f"every published row of {len(FILE_TENANTS)} tenants compared",
        ),
    ]  # fmt: skip


def _load_all(settings: Settings, interval: Interval) -> None:
    for tenant in FILE_TENANTS:
        warehouse.load(settings, tenant, interval)


def _silver_rows(settings: Settings) -> int:
    from analytics.lake.tables import TABLES

    return sum(read.scan(settings, t).select("tenant_id").collect().height for t in TABLES)


def _dbt(settings: Settings, *arguments: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "--quiet", "run", *arguments],
        env={**os.environ, **warehouse.dbt_environment(settings)},
        cwd=project.DBT_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"dbt failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
