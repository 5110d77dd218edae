"""Write, audit, publish: what a landing gives silver is judged whole before any reader sees it.

Write    `Prepared` is what one table is about to get, held by this process alone.
Audit    the caller's judgement of all tables together. Where it raises, nothing was committed.
Publish  one Delta commit a table, which also holds its ledger line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from analytics.interval import Interval
from analytics.lake import append, delta, refusals
from analytics.lake.lineage import KEPT
from analytics.lake.staging import File
from analytics.lake.tables import Table

Audit = Callable[[list["Prepared"]], object]


@dataclass(frozen=True)
class Prepared:
    """The rows that one table of silver is about to get of one tenant, at most one a key."""

    tenant_id: str
    table: Table
    uri: str
    target: DeltaTable | None  # silver as it stood when this was decided
    known: pl.DataFrame  # its rows of the keys that come again
    rows: pl.DataFrame  # to be written
    line: dict[str, Any]  # the ledger's, and the instants touched
    files: Sequence[File] = ()  # staged, and published as they are

    @property
    def replaced(self) -> pl.DataFrame:
        """The rows of silver in whose place others come."""
        return self.known.join(self.rows, on=self.table.key, how="semi")

    def frames(self, *columns: str) -> Iterator[pl.DataFrame]:
        """These columns of everything that the table is about to get."""
        yield self.rows.select(columns)
        for file in self.files:
            yield file.read(*columns)

    @property
    def height(self) -> int:
        return self.rows.height + sum(file.height for file in self.files)

    def commit(self) -> None:
        """Make it the latest version, at once; nothing when there is nothing to change."""
        if not self.height:
            return
        rows = self.rows.select([*self.table.stored, *KEPT]).with_columns(
            pl.lit(self.line["ingest_run"]).alias("ingest_run")
        )
        rows = rows.sort(self.table.time, self.table.key)
        once = delta.next_number(self.target, f"land/{self.tenant_id}")
        commit = delta.properties([once], {"landing": self.line})
        if self.target is not None and self.replaced.height:
            key = self.table.key
            delta.upsert(self.target, rows, tenant_id=self.tenant_id, key=key, commit=commit)
            return
        target = self.uri if self.target is None else self.target
        linked = [self._linked(file) for file in self.files]
        delta.write(target, rows, files=linked, partition_by=["tenant_id"], commit=commit)

    def _linked(self, file: File) -> AddAction:
        """A staged file as one of the table's, unseen until it is committed.

        A copy by the store itself: on a disk a second name, in an object store no transfer.
        """
        partition = {"tenant_id": self.tenant_id}
        path = append.fresh_path(partition)
        store = append.object_store(file.lake_root)
        into = f"{self.uri.removeprefix(f'{file.lake_root}/')}/{path}"
        with refusals.told():
            store.copy(file.rows_path, into)
            size = store.head(into)["size"]
        return append.named(path, size, partition, file.statistics)


def prepared(
    tenant_id: str,
    table: Table,
    uri: str,
    target: DeltaTable | None,
    known: pl.DataFrame,
    rows: pl.DataFrame,
    interval: Interval,
    line: dict[str, Any],
    files: Sequence[File] = (),
) -> Prepared:
    """What the rows would change: the ledger's line with the first and last instant touched."""
    found = Prepared(tenant_id, table, uri, target, known, rows, line, files)
    if not found.height:
        return found
    return replace(found, line={**line, **_touched(found, interval)})


def publish(decide: Mapping[str, Callable[[], Prepared]], audit: Audit) -> dict[str, Prepared]:
    """Decide for every table, have all of it judged, then commit one table after the other.

    When another landing of the tenant won the race for a table, that table is decided
    anew and all of it judged again. Raises what `audit` raises.
    """
    found = {name: delta.retrying(one) for name, one in decide.items()}
    audit([*found.values()])
    for name in decide:
        lost: list[str] = []

        def attempt(name: str = name, lost: list[str] = lost) -> None:
            if lost:
                found[name] = decide[name]()
                audit([*found.values()])
            lost.append(name)
            found[name].commit()

        delta.retrying(attempt)
    return found


def whole_days(line: Mapping[str, Any]) -> Interval:
    """The UTC days that a landing touched, by its line."""
    first = datetime.fromisoformat(line["touched_from"]).date()
    last = datetime.fromisoformat(line["touched_to"]).date()
    return Interval.of(first, last + timedelta(days=1))


def _touched(one: Prepared, interval: Interval) -> dict[str, str]:
    """First and last instant that changed, old places of corrected events included."""
    table = one.table
    times = pl.concat([frame[table.time] for frame in one.frames(table.time)])
    if table.is_event:
        times = pl.concat([times, one.replaced[table.time]])
    else:  # the time of a state may lie far back; what changes is the present
        times = times.clip(interval.start, interval.end - timedelta(microseconds=1))
    ends: list[Any] = [times.min(), times.max()]
    first, last = (end.astimezone(UTC).isoformat() for end in ends)
    return {"touched_from": first, "touched_to": last}
