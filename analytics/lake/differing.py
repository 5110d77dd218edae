"""What differs between two versions of a tenant's part of a table: added, removed, changed rows.

Exact, and as dear as what was rewritten: files that both versions hold are not
opened. Rows are compared value by value; rows of one key that differ are changed.
Works on disk beyond its memory.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import duckdb
from deltalake import DeltaTable

from analytics.interval import Interval
from analytics.lake import asof
from analytics.lake.snapshots import Snapshot
from analytics.lake.tables import RUN_STAMPS, TABLES
from analytics.settings import Settings

EXAMPLES = 5
MEMORY = "1GB"
KEYS = {
    "bronze": ("_file", "_row"),
    "bronze_rejects": ("file", "row", "rule", "column"),
    "quarantine": ("quarantine_id",),
    "ledger": ("table", "interval_from", "interval_to", "ingest_run"),
}


@dataclass(frozen=True)
class Difference:
    """How a tenant's rows in one table changed from one version to another."""

    tenant_id: str
    table: str
    added: int = 0
    removed: int = 0
    changed: int = 0
    # added, removed: whole rows; was, now: the changed ones, in the same order
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    touched: Interval | None = None  # whole days of the events that differ, where the table has any

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def between(settings: Settings, before: Snapshot, after: Snapshot, name: str) -> Difference:
    """From one snapshot to another of the same tenant, run stamps aside."""
    tables = [asof.opened(settings, s, name) if name in s.versions else None
              for s in (before, after)]  # fmt: skip
    return compare(settings, before.tenant_id, name, *tables)


def compare(
    settings: Settings,
    tenant_id: str,
    name: str,
    before: DeltaTable | None,
    after: DeltaTable | None,
    *,
    stamps: bool = False,
) -> Difference:
    """From one version to another; None is a table without a row. `stamps` compares these too."""
    old, new = (_paths(table, tenant_id) for table in (before, after))
    columns = sorted(
        c
        for c in {*_columns(before), *_columns(after)}
        if c != "tenant_id" and (stamps or c not in RUN_STAMPS or c in key_of(name))
    )
    settings.spool.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="diff-", dir=settings.spool) as spool,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spool}) as connection,
    ):
        connection.execute("set timezone = 'UTC'")
        _put(connection, "was", before, old - new, columns)
        _put(connection, "now", after, new - old, columns)
        _pair(connection, key_of(name), columns)
        return _told(connection, tenant_id, name, columns)


def key_of(name: str) -> tuple[str, ...]:
    """The columns that tell two rows of a tenant apart."""
    layer, _, table = name.partition("/")
    return (TABLES[table].key,) if layer == "silver" else KEYS[layer]


def _pair(connection: duckdb.DuckDBPyConnection, keys: tuple[str, ...], columns: list[str]) -> None:
    """A table `pairs` of the rows that differ: each as it was and as it is, side by side."""
    same = " and ".join(f'was."{key}" is not distinct from now."{key}"' for key in keys)
    other = " or ".join(f'was."{c}" is distinct from now."{c}"' for c in columns)
    shown = ", ".join(f'{side}."{c}" as "{side} {c}"' for side in ("was", "now") for c in columns)
    connection.execute(
        f"create temp table pairs as select {shown}, was._there as was, now._there as now "  # noqa: S608
        f"from was full join now on {same} where {other}"
    )


def _told(
    connection: duckdb.DuckDBPyConnection, tenant_id: str, name: str, columns: list[str]
) -> Difference:
    added, removed, changed = "was is null", "now is null", "was and now"
    parts = {"added": ("now", added), "removed": ("was", removed), "was": ("was", changed),
             "now": ("now", changed)}  # fmt: skip
    counts = {part: _count(connection, where) for part, (_, where) in parts.items()}
    examples = {}
    for part, (side, where) in parts.items():
        if counts[part]:
            shown = ", ".join(f'"{side} {c}" as "{c}"' for c in columns)
            order = ", ".join(f'"{side} {key}"' for key in key_of(name))
            query = f"select {shown} from pairs where {where} order by {order} limit {EXAMPLES}"  # noqa: S608
            examples[part] = connection.sql(query).pl().to_dicts()
    return Difference(
        tenant_id, name, counts["added"], counts["removed"], counts["now"], examples,
        _touched(connection, name),
    )  # fmt: skip


def _touched(connection: duckdb.DuckDBPyConnection, name: str) -> Interval | None:
    table = TABLES.get(name.removeprefix("silver/"))
    if table is None or not table.is_event:
        return None
    sides = f'"was {table.time}", "now {table.time}"'
    query = f"select min(least({sides}))::date, max(greatest({sides}))::date from pairs"  # noqa: S608
    ((first, last),) = connection.execute(query).fetchall()
    return Interval.of(first, last + timedelta(days=1)) if first is not None else None


def _count(connection: duckdb.DuckDBPyConnection, where: str) -> int:
    query = f"select count(*) from pairs where {where}"  # noqa: S608
    ((count,),) = connection.execute(query).fetchall()
    return count


def _put(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    table: DeltaTable | None,
    chosen: set[str],
    columns: list[str],
) -> None:
    """The rows of these files as a view; columns that the version lacks are null."""
    if table is None:
        nulls = ", ".join(f'null as "{c}"' for c in columns)
        connection.execute(f"create temp view {view} as select true as _there, {nulls} where false")
        return
    known = _columns(table)
    shown = ", ".join(f'"{c}"' if c in known else f'null as "{c}"' for c in columns)
    connection.register(f"{view}_files", asof.dataset(table, chosen))
    rows = f"select true as _there, {shown} from {view}_files"  # noqa: S608
    connection.execute(f"create temp view {view} as {rows}")


def _paths(table: DeltaTable | None, tenant_id: str) -> set[str]:
    return set() if table is None else set(asof.files(table, tenant_id)["path"])


def _columns(table: DeltaTable | None) -> set[str]:
    return set() if table is None else {f.name for f in table.schema().fields}
