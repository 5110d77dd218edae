"""Plays simulated a second, in each form they are handed over in."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from analytics.simulate.config import SimulationConfig
from analytics.simulate.layout import POSTGRES, relation
from analytics.simulate.profiles import SAMPLE
from analytics.simulate.run import SimulationReport, simulate
from analytics.simulate.side_by_side import workers_for
from bench.figure import Figure, rate, seconds
from bench.place import Place
from bench.rows import whole_lines

AIM = 200_000  # plays/s
LARGER = 4  # a day costs a fixed amount beside its plays: larger tenants, fewer days
FORMS = {"eventsim": "JSON lines and CSV", "parquet": "Parquet", "postgres": "PostgreSQL"}


def measure(place: Place) -> list[Figure]:
    """Each form alone in one process, then all three tenants as `analytics simulate` does."""
    figures, bare_total = [], 0.0
    days, repeats = place.size.sample_days, min(3, place.size.repeats)
    dsn = _database(place)
    for profile in SAMPLE:
        config = SimulationConfig(days=days, scale=_scale(place), tenants=(profile,), drift={})
        dsns = {profile.id: dsn} if profile.writes == "postgres" else {}
        reports: list[SimulationReport] = []
        folder = place.fresh("simulator")

        def run(
            config: SimulationConfig = config,
            folder: Path = folder,
            dsns: dict[str, str] = dsns,
            reports: list[SimulationReport] = reports,
        ) -> None:
            reports.append(simulate(config, folder / "landing", folder / "truth", dsns))

        ours = seconds(run, repeats)
        bare = _bare(place, folder / "landing" / profile.id, dsns.get(profile.id))
        made = reports[-1].plays
        bare_total += bare
        figures.append(
            rate(
                f"simulator_{profile.writes}",
                f"simulate, handed over as {FORMS[profile.writes]}",
                made, ours, bare, unit="plays/s", aim=AIM,
                how=f"{made:,} plays of {days} days with all that belongs to them",
                bare="the finished frames written once more by Polars, or copied by psycopg",
            )
        )  # fmt: skip
    samples = SimulationConfig(days=days, scale=_scale(place), drift={})
    figures.append(
        _together(place, dsn, samples, "simulator_all", "simulate, all three tenants", bare_total)
    )
    larger = samples.model_copy(
        update={"scale": LARGER * _scale(place), "days": max(2, days // LARGER)}
    )
    name = f"simulate, tenants {LARGER} times the sample's"
    figures.append(_together(place, dsn, larger, "simulator_larger", name))
    return figures


def _scale(place: Place) -> float:
    """The sample's own density at most: more plays a day would flatter."""
    return min(1.0, place.size.scale)


def _together(
    place: Place, dsn: str, config: SimulationConfig, id: str, name: str, bare: float | None = None
) -> Figure:
    dsns = {p.id: dsn for p in config.tenants if p.writes == "postgres"}
    workers = workers_for(len(config.tenants))
    folder = place.fresh("simulator")
    reports: list[SimulationReport] = []
    ours = seconds(
        lambda: reports.append(
            simulate(config, folder / "landing", folder / "truth", dsns, workers=workers)
        ),
        min(3, place.size.repeats),
    )
    made = reports[-1].plays
    return rate(
        id, name, made, ours, bare, unit="plays/s", aim=AIM,
        how=f"{made:,} plays of {config.days} days with all that belongs to them, "
        f"{workers} processes",
        bare="the finished frames written once more by Polars and psycopg, one after the other"
        if bare is not None else "",
    )  # fmt: skip


def _bare(place: Place, landing: Path, dsn: str | None) -> float:
    """Seconds to write what lies there again, from memory, without making anything up."""
    if dsn is not None:
        return _bare_copy(dsn, place.size.repeats)
    out = place.fresh("bare")
    frames: list[tuple[str, pl.DataFrame]] = []
    for file in sorted(landing.rglob("*.*")):
        if file.suffix == ".jsonl":
            frames.append(("json", pl.read_ndjson(whole_lines(file), ignore_errors=True)))
        elif file.suffix == ".csv":
            frames.append(("csv", pl.read_csv(file)))
        elif file.suffix == ".parquet":
            frames.append(("parquet", pl.read_parquet(file)))

    def write() -> None:
        for number, (kind, frame) in enumerate(frames):
            path = out / f"{number}.{kind}"
            if kind == "json":
                frame.write_ndjson(path)
            elif kind == "csv":
                frame.write_csv(path)
            else:
                frame.write_parquet(path)

    return seconds(write, place.size.repeats)


def _bare_copy(dsn: str, repeats: int) -> float:
    """Seconds to copy the same bytes into tables without an index."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        contents = {}
        for table in POSTGRES:
            name = sql.Identifier(*relation(table).split("."))
            target = sql.Identifier("app", f"bare_{table}")
            connection.execute(sql.SQL("create table {} (like {})").format(target, name))
            data = io.BytesIO()
            query = sql.SQL("copy {} to stdout (format csv)").format(name)
            with connection.cursor() as cursor, cursor.copy(query) as copy:
                for piece in copy:
                    data.write(piece)
            contents[table] = data.getvalue()

        def clear() -> None:
            for table in contents:
                name = sql.Identifier("app", f"bare_{table}")
                connection.execute(sql.SQL("truncate {}").format(name))

        def write() -> None:
            for table, content in contents.items():
                query = sql.SQL("copy {} from stdin (format csv)").format(
                    sql.Identifier("app", f"bare_{table}")
                )
                with connection.cursor() as cursor, cursor.copy(query) as copy:
                    copy.write(content)

        return seconds(write, repeats, before=clear)


def _database(place: Place) -> str:
    with psycopg.connect(place.postgres.dsn(), autocommit=True) as connection:
        connection.execute("create database operational")
    return place.postgres.dsn("operational")
