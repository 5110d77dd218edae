"""The columns that each source came with, and whether a change of them may pass.

Grain    bronze_schemas/<tenant>/<source>: one row per column of each schema that differs from
         the one before it, with the file that first came so and what changed.
Re-run   safe: a schema is written once, before the rows of the file that brought it.
Red      a type changed in a way that the source's `compatibility` forbids. Nothing of that
         file arrives; the source's other files and the tenant's other sources do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from analytics.errors import SchemaError
from analytics.interval import Interval
from analytics.lake import delta, paths
from analytics.settings import Settings
from analytics.sources import physical, reader
from analytics.sources.base import Came, Unit
from analytics.tenants import Source, Tenant

log = logging.getLogger(__name__)
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "source": pl.String,
    "number": pl.Int64,  # of the source's schemas, from 1
    "file": pl.String,
    "arrived_on": pl.Date,
    "column": pl.String,
    "type": pl.String,  # null: the column is gone
    "change": pl.String,  # added, dropped, widened, changed; null where it is as before
    "before": pl.String,  # its type before a change
    "ingest_run": pl.String,
}
# Every value of the type before is one of the new type; every value of the new is one of before.
WIDENED, NARROWED = "widened", "narrowed"
STOPS = {
    "backward": {"changed"},
    "forward": {"changed", WIDENED},
    "full": {"changed", WIDENED, NARROWED},
    "none": set[str](),
}
SHOWN = 10  # changes in one line of the log


@dataclass(frozen=True)
class Change:
    """How one column differs from the schema before."""

    column: str
    kind: str
    type: str | None
    before: str | None = None

    def told(self, source: Source) -> str:
        """What changed, and what becomes of it."""
        if self.kind == "dropped":
            return f"column {self.column} is gone"
        if self.kind != "added":
            return f"column {self.column} is {self.type}, was {self.before}"
        if self.column in source.extras:
            return f"new column {self.column}, carried in `extras`"
        if self.column in source.columns.values():
            return f"new column {self.column}, read as declared"
        return f"new column {self.column}, not carried; declare it under `extras`"


@dataclass
class Door:
    """Holds what comes of a source against the schema it had last."""

    settings: Settings
    tenant: Tenant
    source: Source
    _last: dict[str, str] | None = None
    _fresh: list[tuple[Unit, dict[str, str], list[Change]]] = field(default_factory=list)

    def admit(self, unit: Unit, came: Came) -> None:
        """Let the unit's columns be the source's from now on.

        Raises SchemaError for a change that the source's compatibility forbids.
        """
        if self._last is None:
            self._last = last(self.settings, self.tenant.id, self.source.name)
        changes = list(_changes(self._last, came, self.source)) if self._last else []
        self._refuse(unit, changes)
        now = _now(self._last, came)
        if now == self._last:
            return
        told = [change for change in changes if change.kind != NARROWED]
        if told:
            more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
            log.warning(
                "%s: source %s: %s: %s%s",
                self.tenant.id, self.source.name, unit.name,
                "; ".join(change.told(self.source) for change in told[:SHOWN]), more,
            )  # fmt: skip
        self._fresh.append((unit, now, told))
        self._last = now

    def record(self, run_id: str) -> None:
        """Write the schemas admitted since the last time, once whoever else writes them now."""
        uri = paths.bronze_schemas(self.settings, self.tenant.id, self.source.name)

        def attempt() -> None:
            table = delta.open_table(uri)
            app, number = delta.next_number(table, "schemas")
            known = _latest(table)
            rows: list[dict[str, object]] = []
            for unit, types, changes in self._fresh:
                if types != known:
                    rows += _rows(number, unit, types, changes)
                    known, number = types, number + 1
            if rows:
                fixed = {"tenant_id": self.tenant.id, "source": self.source.name}
                told = [{**fixed, **row, "ingest_run": run_id} for row in rows]
                delta.write(
                    uri if table is None else table,
                    pl.DataFrame(told, schema=SCHEMA, orient="row"),
                    commit=delta.properties([(app, number - 1)]),
                )

        if self._fresh:
            delta.retrying(attempt)
            self._fresh.clear()

    def _refuse(self, unit: Unit, changes: list[Change]) -> None:
        wanted = _wanted(self.source)
        stopping = [
            f"{c.column} (was {c.before}, is {c.type})"
            for c in changes
            if c.kind in STOPS[self.source.compatibility] and c.type != wanted.get(c.column, c.type)
        ]
        if stopping:
            raise SchemaError(
                f"{self.tenant.id}: source {self.source.name}: {unit.name} changed the type of "
                f"{', '.join(stopping)}, which compatibility {self.source.compatibility} forbids. "
                f"Nothing of it was taken; ask its owner ({self.source.owner}) to send it as "
                "before, or declare `compatibility: none` for the run that takes it"
            )


def read_as(source: Source, came: Came, unfit: set[str]) -> Came:
    """Text is of the type it was declared as, unless in that column nothing fits."""
    wanted = _wanted(source)
    types = {
        name: wanted[name]
        if kind == physical.TEXT and name in wanted and name not in unfit
        else kind
        for name, kind in came.types.items()
    }
    return Came(types, came.is_whole)


def together(one: Came | None, other: Came | None) -> Came | None:
    """The columns of two parts of a unit."""
    if one is None or other is None:
        return one or other
    types = dict(one.types)
    for name, kind in other.types.items():
        if not physical.holds(types.setdefault(name, kind), kind):
            types[name] = kind
    return Came(types, one.is_whole and other.is_whole)


def last(settings: Settings, tenant_id: str, source: str) -> dict[str, str]:
    """The source's columns with their types, as it came the last time; empty before."""
    return _latest(delta.open_table(paths.bronze_schemas(settings, tenant_id, source)))


def read(settings: Settings, tenant_id: str, source: str) -> pl.DataFrame:
    """Every schema that the source had."""
    table = delta.open_table(paths.bronze_schemas(settings, tenant_id, source))
    if table is None:
        return pl.DataFrame(schema=SCHEMA)
    return pl.scan_delta(table).collect().sort("number", "column")


def changes(
    settings: Settings, tenant_id: str, source: Source, interval: Interval, run_id: str
) -> list[Change]:
    """What changed with the files of the interval; undated ones belong to the run they came by."""
    days, arrived = interval.days(), pl.col("arrived_on")
    found = read(settings, tenant_id, source.name).filter(
        pl.col("change").is_not_null(),
        arrived.is_between(days[0], days[-1])
        | (arrived.is_null() & (pl.col("ingest_run") == run_id)),
    )
    return of_rows(found)


def of_rows(found: pl.DataFrame) -> list[Change]:
    return [
        Change(column, kind, type_, before)
        for column, kind, type_, before in found.select(
            "column", "change", "type", "before"
        ).iter_rows()
    ]


def _wanted(source: Source) -> dict[str, str]:
    """The declared columns with the types that bronze has them in."""
    schema = reader(source.format).schema(source)
    return {name: physical.of_polars(dtype) for name, dtype in schema.items()}


def _changes(before: dict[str, str], came: Came, source: Source) -> Iterator[Change]:
    for name, kind in came.types.items():
        was = before.get(name)
        if was is None:
            yield Change(name, "added", kind)
        elif "null" in (was, kind) or was == kind:
            continue
        elif physical.holds(was, kind):
            yield Change(name, NARROWED, kind, was)
        else:
            yield Change(name, WIDENED if physical.holds(kind, was) else "changed", kind, was)
    if came.is_whole:
        for name in before.keys() - came.types.keys():
            yield Change(name, "dropped", None, before[name])


def _now(before: dict[str, str], came: Came) -> dict[str, str]:
    """The source's schema: of a column the type that holds what came and what comes."""
    now = {} if came.is_whole else dict(before)
    for name, kind in came.types.items():
        was = before.get(name, kind)
        now[name] = was if physical.holds(was, kind) else kind
    return now


def _latest(table: delta.DeltaTable | None) -> dict[str, str]:
    if table is None:
        return {}
    number = pl.col("number")
    rows = pl.scan_delta(table).filter(number == number.max(), pl.col("type").is_not_null())
    return dict(rows.select("column", "type").collect().iter_rows())


def _rows(
    number: int, unit: Unit, types: dict[str, str], changes: list[Change]
) -> Iterator[dict[str, object]]:
    changed = {change.column: change for change in changes}
    for column in sorted({*types, *changed}):
        change = changed.get(column)
        yield {
            "number": number,
            "file": unit.name,
            "arrived_on": unit.arrived_on,
            "column": column,
            "type": types.get(column),
            "change": change and change.kind,
            "before": change and change.before,
        }
