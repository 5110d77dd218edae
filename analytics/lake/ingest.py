"""Commit units to bronze: whole, once, with bounded memory.

Order of the steps of a group of units: schemas, rejects, quarantine, rows. Only the last
holds the app transactions, so a kill anywhere before makes the next try read
the units again, and the earlier writes take the same rows twice without harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import chain

import polars as pl
from deltalake.transaction import AddAction

from analytics.errors import SchemaError, SourceError
from analytics.interval import Interval
from analytics.lake import anew, append, delta, paths, quarantine, schemas
from analytics.lake.lineage import REJECTS
from analytics.settings import Settings
from analytics.sources import reader
from analytics.sources.base import Came, ReadUnit, Unit
from analytics.tenants import Source, Tenant

ROWS_IN_MEMORY = 500_000  # beyond, the rows of a group wait as files of the table
UNITS_A_COMMIT = 256

Seen = Callable[[int, int], None]  # units read, of how many


def app(source: Source, unit: Unit) -> str:
    """Name of the app transaction that says: this unit is in."""
    return f"unit/{source.name}/{unit.name}"


@dataclass
class Group:
    """Units that go in by one commit."""

    uri: str  # of the bronze table
    columns: pl.Schema
    loose: list[AddAction]  # files that no commit was ever given
    units: list[Unit] = field(default_factory=list)
    frames: list[pl.DataFrame] = field(default_factory=list)
    files: list[AddAction] = field(default_factory=list)  # of rows that memory holds no more
    rejects: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    came: Came | None = None  # of a single unit

    def take(self, other: Group) -> None:
        self.units += other.units
        self.frames += other.frames
        self.files += other.files
        self.rejects += other.rejects
        self.rows += other.rows

    def is_full(self) -> bool:
        return self.rows >= ROWS_IN_MEMORY or len(self.units) >= UNITS_A_COMMIT

    def spill(self) -> None:
        """Write the rows that memory holds, once they are so many."""
        if sum(frame.height for frame in self.frames) >= ROWS_IN_MEMORY:
            for file in append.data_files(self.uri, anew.in_columns(self.frames, self.columns)):
                self.files.append(file)
                self.loose.append(file)
            self.frames = []

    def portions(self, names: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows; with names, those of these units alone."""
        for frame in chain(self._written(), self.frames):
            yield frame if names is None else frame.filter(pl.col("_file").is_in(names))

    def are_given(self) -> None:
        """The files are a commit's now, not ours to remove."""
        self.loose[:] = [file for file in self.loose if file not in self.files]

    def _written(self) -> Iterator[pl.DataFrame]:
        return (pl.read_parquet(f"{self.uri}/{file.path}") for file in self.files)


def ingest(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    units: list[Unit],
    run_id: str,
    *,
    as_one: bool = False,
    known: Collection[str] = (),
    seen: Seen = lambda done, total: None,
) -> tuple[int, int]:
    """Read the units and commit them, `as_one` by one commit; gives rows kept and rows rejected.

    A unit that cannot be read, or whose columns changed as they may not, is left out whole; the
    others arrive, then it is raised. The columns of `known` units are no news.
    """
    rows = rejected = 0
    problems: list[SourceError] = []
    door = schemas.Door(settings, tenant, source)
    empty = partial(
        Group, paths.bronze(settings, tenant.id, source.name), anew.columns_of(source), []
    )
    group = empty()
    with (
        append.discarding(group.uri, group.loose),
        reader(source.format).session(settings, tenant, source) as read,
    ):
        for number, unit in enumerate(units, 1):
            try:
                found = _read(read, unit, empty())
                if found.came is not None and unit.name not in known:
                    unfit = _unfit(found, tenant.bad_row_budget)
                    door.admit(unit, schemas.read_as(source, found.came, unfit))
                group.take(found)
            except SourceError as error:
                problems.append(error)
            seen(number, len(units))
            if as_one:
                group.spill()
            elif group.is_full():
                rows, rejected = rows + group.rows, rejected + _bad_rows(group)
                _commit(settings, tenant, source, interval, group, door, run_id)
                group = empty()
        if group.units:
            rows, rejected = rows + group.rows, rejected + _bad_rows(group)
            _commit(settings, tenant, source, interval, group, door, run_id)
    raise_all(problems)
    return rows, rejected


def raise_all(problems: list[SourceError]) -> None:
    """Nothing, the one problem, or one error that names each."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = SchemaError if all(isinstance(p, SchemaError) for p in problems) else SourceError
        raise kind("\n".join(map(str, problems)))


def _read(read: ReadUnit, unit: Unit, group: Group) -> Group:
    """All of one unit, or SourceError and nothing."""
    group.units.append(unit)
    for batch in read(unit):
        group.rows += batch.rows.height
        group.came = schemas.together(group.came, batch.came)
        group.frames.append(batch.rows)
        if batch.rejects.height:
            group.rejects.append(batch.rejects)
        group.spill()
    return group


def _unfit(group: Group, budget: float) -> set[str]:
    """Columns in which nothing fits its type, unless a gate would let so many bad rows go."""
    allowed = budget * (group.rows + _bad_rows(group))
    lost: Counter[str] = Counter()
    for frame in group.rejects:
        lost.update(frame.filter(pl.col("rule").str.starts_with("type:"))["column"])
    unfit = {column for column, count in lost.items() if count > allowed}
    for rows in group.portions():
        if not unfit:
            break
        given = rows.select(pl.col(unfit).is_not_null().any())
        unfit = {column for column in unfit if not given[column].item()}
    return unfit


def _bad_rows(group: Group) -> int:
    return sum(frame.n_unique(["file", "row"]) for frame in group.rejects)


def _commit(
    settings: Settings,
    tenant: Tenant,
    source: Source,
    interval: Interval,
    group: Group,
    door: schemas.Door,
    run_id: str,
) -> None:
    """Commit the group's files by their names; its rows, where they replace others."""
    door.record(run_id)
    _set_rejects_aside(settings, tenant, source, interval, group, run_id)

    def attempt() -> None:
        table = delta.open_table(group.uri)
        if table is not None and not anew.is_as_declared(table, source):
            anew.write(
                table, source, group.portions(), [u.name for u in group.units],
                delta.properties(
                    [(app(source, u), u.number) for u in group.units], {"ingest_run": run_id}
                ),
            )  # fmt: skip
            return
        before = {u.name: table and table.transaction_version(app(source, u)) for u in group.units}
        todo = [u for u in group.units if before[u.name] != u.number]  # another process may win
        if not todo:
            return
        names = [u.name for u in todo]
        commit = delta.properties(
            [(app(source, u), u.number) for u in todo], {"ingest_run": run_id}
        )
        target = table if table is not None else group.uri
        if any(before[name] is not None for name in names):
            rows = anew.in_columns(group.portions(names), group.columns)
            # Of every row written it must hold, of those of new units as well.
            delta.write(target, rows, predicate=_in("_file", names), commit=commit)
        elif len(todo) < len(group.units):
            rows = anew.in_columns(group.portions(names), group.columns)
            delta.write(target, rows, commit=commit)
        else:
            group.are_given()  # a commit that seems to fail may have come to pass
            rows = anew.in_columns(group.frames, group.columns)
            delta.write(target, rows, files=group.files, commit=commit)

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
    for span, found in _by_interval(interval, rejects):
        quarantine.write(
            settings,
            tenant.id,
            span,
            found.rename({"row": "row_number", "raw": "row"}),
            door="extract",
            run_id=run_id,
        )


def _by_interval(
    interval: Interval, rejects: pl.DataFrame
) -> Iterator[tuple[Interval, pl.DataFrame]]:
    """The rejects of this interval, and those that a source read anew has of other days."""
    days = interval.days()
    mine = pl.col("arrived_on").is_between(days[0], days[-1]).fill_null(True)
    yield interval, rejects.filter(mine)
    for (day,), found in rejects.filter(~mine).group_by("arrived_on", maintain_order=True):
        assert isinstance(day, date)
        yield Interval.day(day), found


def _in(column: str, values: list[str]) -> str:
    return f"{column} in ({', '.join(map(delta.literal, values))})"
