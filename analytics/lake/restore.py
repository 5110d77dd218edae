"""Turn a tenant's silver back to a snapshot: its rows just as they were, nobody else's moved.

Grain    one tenant; one commit a table, which replaces the tenant's partition.
Re-run   safe, also after a kill: a table that holds those rows already is left alone,
         and the restore is bound as a snapshot of its own once all tables are done.
Surprise bronze, quarantine and ledger stay: they say what came, and that is still true.
         So the next `ingest` of an interval lands what bronze holds of it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable

from analytics.errors import LakeError
from analytics.interval import Interval
from analytics.lake import asof, delta, paths, snapshots
from analytics.lake.differing import Difference, compare
from analytics.lake.snapshots import RESTORE, Snapshot
from analytics.lake.tables import TABLES
from analytics.settings import Settings

COMMITS_LOOKED_BACK = 50  # for what a killed try of the same restore had turned back
LITTLE = 2  # batches and files read ahead


@dataclass(frozen=True)
class Restored:
    """What one restore did; `snapshot_id` is None when everything stood so already."""

    tenant_id: str
    snapshot_id: str | None
    differences: list[Difference]

    @property
    def touched(self) -> Interval | None:
        """The days whose events moved."""
        spans = [d.touched for d in self.differences if d.touched]
        return Interval.covering(spans) if spans else None


def tables_of(settings: Settings, snapshot: Snapshot, wanted: str | None = None) -> list[str]:
    """The silver tables to turn back: one, or all that stand now or stood then."""
    now = snapshots.standing(settings, snapshot.tenant_id)
    known = [f"silver/{t}" for t in TABLES if f"silver/{t}" in {*now, *snapshot.versions}]
    if wanted is None:
        return known
    name = wanted if wanted in known else asof.table_name(snapshot, wanted)
    if name not in known:
        raise LakeError(
            f"{name} is not turned back: bronze, quarantine and ledger say what came. "
            "Restore a table of silver, or all of them without --table"
        )
    return [name]


def plan(settings: Settings, snapshot: Snapshot, tables: Sequence[str]) -> list[Difference]:
    """What would change, from the rows as they are to those of the snapshot.

    Raises LakeError, before anything is written, when a table can no longer be read so.
    """
    return [
        compare(
            settings, snapshot.tenant_id, name,
            delta.open_table(paths.named(settings, name)), _then(settings, snapshot, name),
            stamps=True,
        )
        for name in tables
    ]  # fmt: skip


def restore(settings: Settings, snapshot: Snapshot, tables: Sequence[str]) -> Restored:
    """Turn the tables back, then bind what stands now as a snapshot that names this one."""
    tenant_id = snapshot.tenant_id
    for name in tables:
        _then(settings, snapshot, name)  # all or none
    last = max(s.number for s in snapshots.snapshots(settings, tenant_id))
    run_id = f"restore-{snapshot.snapshot_id}-after-{last}"
    done = [_restore(settings, snapshot, name, run_id) for name in tables]
    bound = None
    if any(done) or _was_begun(settings, tables, run_id):
        bound = snapshots.bind(
            settings, tenant_id, run_id, snapshot.interval,
            snapshots.standing(settings, tenant_id),
            step=RESTORE, restores=snapshot.snapshot_id,
        )  # fmt: skip
    return Restored(tenant_id, bound, [difference for difference in done if difference])


def _restore(settings: Settings, snapshot: Snapshot, name: str, run_id: str) -> Difference:
    """Compare and commit; again from the start when a landing of the tenant won the race."""
    tenant_id, uri = snapshot.tenant_id, paths.named(settings, name)

    def attempt() -> Difference:
        current = delta.open_table(uri)
        then = _then(settings, snapshot, name)
        difference = compare(settings, tenant_id, name, current, then, stamps=True)
        if difference and current is not None:
            once = delta.next_number(current, f"land/{tenant_id}")  # excludes landings
            delta.write(
                current,
                _rows(current, then, tenant_id),
                predicate=f"tenant_id = {delta.literal(tenant_id)}",
                commit=delta.properties([once], {"restore": {"run_id": run_id}}),
            )
        return difference

    return delta.retrying(attempt)


def _then(settings: Settings, snapshot: Snapshot, name: str) -> DeltaTable | None:
    """The table as it was; None where the tenant's lake did not have it yet."""
    return asof.opened(settings, snapshot, name) if name in snapshot.versions else None


def _rows(current: DeltaTable, then: DeltaTable | None, tenant_id: str) -> pa.RecordBatchReader:
    """The rows of then in the columns of now, a few batches at a time."""
    schema = current.to_pyarrow_dataset().schema
    if then is None:
        return pa.RecordBatchReader.from_batches(schema, [])
    held = asof.dataset(then, asof.files(then, tenant_id)["path"])
    columns = {
        f.name: pads.field(f.name)
        if f.name in held.schema.names
        else pads.scalar(None).cast(f.type)
        for f in schema
    }
    return held.scanner(
        columns=columns, batch_readahead=LITTLE, fragment_readahead=LITTLE
    ).to_reader()


def _was_begun(settings: Settings, tables: Sequence[str], run_id: str) -> bool:
    """Whether a try that died had turned one of the tables back."""
    for name in tables:
        table = delta.open_table(paths.named(settings, name))
        for commit in table.history(COMMITS_LOOKED_BACK) if table is not None else ():
            if json.loads(commit.get("restore") or "{}").get("run_id") == run_id:
                return True
    return False
