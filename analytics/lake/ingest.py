"""Commit units to bronze: whole, once, with bounded memory.

Order of the steps of a group of units: rejects, quarantine, rows. Only the last
holds the app transactions, so a kill anywhere before makes the next try read
the units again, and the earlier writes take the same rows twice without harm.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from analytics.errors import SchemaError, SourceError
from analytics.interval import Interval
from analytics.lake import delta, paths, quarantine
from analytics.lake.lineage import ORIGIN, REJECTS
from analytics.settings import Settings
from analytics.sources import reader
from analytics.sources.base import ReadUnit, Unit
from analytics.tenants import Source, Tenant

ROWS_IN_MEMORY = 500_000  # beyond, the rows of a group wait on disk
UNITS_A_COMMIT = 256


def app(source: Source, unit: Unit) -> str:
    """Name of the app transaction that says: this unit is in."""
    return f"unit/{source.name}/{unit.name}"


@dataclass
class Group:
    """Units that go in by one commit."""

    units: list[Unit] = field(default_factory=list)
    frames: list[pl.DataFrame] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    rejects: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0

    def take(self, other: Group) -> None:
        self.units += other.units
        self.frames += other.frames
        self.parts += other.parts
        self.rejects += other.rejects
        self.rows += other.rows

    def is_full(self) -> bool:
        return self.rows >= ROWS_IN_MEMORY or len(self.units) >= UNITS_A_COMMIT


def ingest(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    units: list[Unit],
    run_id: str,
) -> tuple[int, int]:
    """Read the units and commit them; gives rows kept and rows rejected.

    A unit that cannot be read is left out whole; the others arrive, then it is raised.
    """
    rows = rejected = 0
    problems: list[SourceError] = []
    settings.spool.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bronze-", dir=settings.spool) as spool,
        reader(source.format).session(settings, tenant, source) as read,
    ):
        group = Group()
        for unit in units:
            try:
                group.take(_read(read, unit, Path(spool)))
            except SourceError as error:
                problems.append(error)
            if group.is_full():
                rows, rejected = rows + group.rows, rejected + _bad_rows(group)
                _commit(settings, tenant, source, interval, group, run_id)
                group = Group()
        if group.units:
            rows, rejected = rows + group.rows, rejected + _bad_rows(group)
            _commit(settings, tenant, source, interval, group, run_id)
    raise_all(problems)
    return rows, rejected


def raise_all(problems: list[SourceError]) -> None:
    """Nothing, the one problem, or one error that names each."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = SchemaError if all(isinstance(p, SchemaError) for p in problems) else SourceError
        raise kind("\n".join(map(str, problems)))


def _read(read: ReadUnit, unit: Unit, spool: Path) -> Group:
    """All of one unit, or SourceError and nothing."""
    group = Group(units=[unit])
    waiting = 0
    for batch in read(unit):
        group.rows += batch.rows.height
        waiting += batch.rows.height
        group.frames.append(batch.rows)
        if batch.rejects.height:
            group.rejects.append(batch.rejects)
        if waiting >= ROWS_IN_MEMORY:
            part = spool / f"{unit.digest[:16]}-{len(group.parts)}.parquet"
            pl.concat(group.frames).write_parquet(part)
            group.parts.append(part)
            group.frames, waiting = [], 0
    return group


def _bad_rows(group: Group) -> int:
    return sum(frame.n_unique(["file", "row"]) for frame in group.rejects)


def _commit(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    group: Group,
    run_id: str,
) -> None:
    _set_rejects_aside(settings, tenant, source, interval, group, run_id)
    uri = paths.bronze(settings, tenant.id, source.name)
    columns = {"tenant_id": pl.String, **reader(source.format).schema(source), **ORIGIN}

    def attempt() -> None:
        table = delta.open_table(uri)
        before = {u.name: table and table.transaction_version(app(source, u)) for u in group.units}
        todo = [u for u in group.units if before[u.name] != u.number]  # another process may win
        if not todo:
            return
        replaced = [u.name for u in todo if before[u.name] is not None]
        names = None if len(todo) == len(group.units) else [u.name for u in todo]
        delta.write(
            table if table is not None else uri,
            _stream(group, columns, names),
            predicate=_in("_file", replaced) if replaced else None,
            commit=delta.properties(
                [(app(source, u), u.number) for u in todo], {"ingest_run": run_id}
            ),
        )

    delta.retrying(attempt)


def _set_rejects_aside(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    group: Group,
    run_id: str,
) -> None:
    """Rejects replace those that the same files had before, and go to quarantine."""
    rejects = pl.concat([pl.DataFrame(schema=REJECTS), *group.rejects])
    uri = paths.bronze_rejects(settings, tenant.id, source.name)
    names = [u.name for u in group.units]

    def replace() -> None:
        table = delta.open_table(uri)
        stale: list[str] = []
        if table is not None:
            old = pl.scan_delta(table).select("file").filter(pl.col("file").is_in(names)).unique()
            stale = old.collect()["file"].to_list()
        if rejects.height or stale:
            once = delta.next_number(table, "rejects")
            delta.write(
                table if table is not None else uri,
                rejects,
                predicate=_in("file", sorted({*stale, *rejects["file"]})) if stale else None,
                commit=delta.properties([once]),
            )

    delta.retrying(replace)
    quarantine.write(
        settings,
        tenant.id,
        interval,
        rejects.rename({"row": "row_number", "raw": "row"}),
        door="extract",
        run_id=run_id,
    )


def _in(column: str, values: list[str]) -> str:
    return f"{column} in ({', '.join(map(delta.literal, values))})"


def _stream(
    group: Group, columns: dict[str, pl.DataType | type[pl.DataType]], names: list[str] | None
) -> pa.RecordBatchReader:
    schema = pl.DataFrame(schema=columns).to_arrow().schema

    def frames() -> Iterator[pl.DataFrame]:
        for part in group.parts:
            yield pl.read_parquet(part)
        yield from group.frames

    def batches() -> Iterator[pa.RecordBatch]:
        for frame in frames():
            kept = frame if names is None else frame.filter(pl.col("_file").is_in(names))
            yield from kept.select(list(columns)).to_arrow().cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())
