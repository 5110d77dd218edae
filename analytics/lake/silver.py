"""Land the staged rows of one tenant and interval in silver, once.

Grain    silver/<table>: one row per (tenant_id, key), partitioned by tenant.
Re-run   safe, also after a kill between any two steps: a landing is one commit a
         table, and that commit holds its own ledger line. A retry finds it and
         reports the same; a second run finds nothing to do and commits nothing.
Snapshot the versions that belong together are bound last; a run is closed when it is bound.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from deltalake import DeltaTable

from analytics.errors import LakeError
from analytics.interval import Interval
from analytics.lake import delta, ledger, paths, snapshots, staging
from analytics.lake.settling import Settled, settle
from analytics.lake.staging import Counts
from analytics.lake.tables import TABLES, Table
from analytics.settings import Settings
from analytics.tenants import get_tenant

COMMITS_LOOKED_BACK = 50  # for what an interrupted try of the same interval had landed


@dataclass(frozen=True)
class Landed:
    """What one landing did."""

    tenant_id: str
    interval: Interval
    touched: Interval | None  # whole UTC days of the event times added or corrected
    rows: dict[str, dict[str, int]] = field(default_factory=dict)  # table → ledger buckets
    versions: dict[str, int] = field(default_factory=dict)  # table → Delta version


def land(settings: Settings, tenant_id: str, interval: Interval, run_id: str) -> Landed:
    """Put what the gate staged into silver: new rows appended, corrections in place of the old.

    A second run gives `touched` None. A retry of an interrupted run (same run or
    not yet in the ledger) gives what was touched by the try before it as well.
    """
    tenant = get_tenant(settings, tenant_id)
    rows: dict[str, dict[str, int]] = {}
    versions: dict[str, int] = {}
    for name, table in TABLES.items():
        staged = staging.read(settings, tenant_id, name, interval)
        if staged is None:
            continue
        good, counts = staged
        rows[name] = _land_table(settings, tenant_id, interval, run_id, table, good, counts)
    if tenant.sources and not rows:
        raise LakeError(
            f"{tenant_id}: nothing is staged for {interval}, which a gate always does that passes; "
            "run `ingest` for that interval again, or clear its `gate` as well as its `land`"
        )

    commits = []
    for name in rows:
        found = delta.open_table(paths.table(settings, "silver", name))
        if found is not None:
            versions[name] = found.version()
            commits += _commits(found, tenant_id, interval)
    touched = _close(settings, tenant_id, interval, run_id, rows, commits)
    return Landed(tenant_id, interval, touched, rows, versions)


def _land_table(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    table: Table,
    good: pl.DataFrame,
    counts: Counts,
) -> dict[str, int]:
    """Decide and commit; again from the start when another landing of the tenant won the race."""
    uri = paths.table(settings, "silver", table.name)

    def attempt() -> dict[str, int]:
        target = opened(settings, table)
        known = _known(target, tenant_id, table, good)
        settled = settle(table, good, known)
        line = ledger.entry(
            tenant_id,
            table.name,
            interval,
            {
                "rows_in": counts.rows_in,
                "landed": settled.landed,
                "corrected": settled.corrected,
                "duplicates": settled.duplicates,
                "quarantined": counts.quarantined,
                "out_of_interval": counts.out_of_interval,
            },
            run_id,
        )
        if settled.rows.height:
            touched = _touched(table, settled, known, interval)
            _commit(target, uri, tenant_id, table, settled, run_id, {**line, **touched})
        return {k: line[k] for k in ("rows_in", *ledger.BUCKETS)}

    return delta.retrying(attempt)


def opened(settings: Settings, table: Table) -> DeltaTable | None:
    """The table in silver; one that an earlier release wrote first grows what it lacks."""
    uri = paths.table(settings, "silver", table.name)

    def attempt() -> DeltaTable | None:
        target = delta.open_table(uri)
        return target and delta.widened(target, table.stored)

    return delta.retrying(attempt)


def _known(
    target: DeltaTable | None, tenant_id: str, table: Table, good: pl.DataFrame
) -> pl.DataFrame:
    """The silver rows whose keys come again. Looks at the keys alone until one does."""
    columns = {**table.stored, "_arrived_on": pl.Date()}
    if target is None or good.is_empty():
        return pl.DataFrame(schema=columns)
    mine = pl.scan_delta(target).filter(pl.col("tenant_id") == tenant_id)
    keys = good.lazy().select(table.key).unique()
    hits = mine.select(table.key).join(keys, on=table.key, how="semi").collect()
    if hits.is_empty():
        return pl.DataFrame(schema=columns)
    return mine.select(list(columns)).join(hits.lazy(), on=table.key, how="semi").collect()


def _commit(
    target: DeltaTable | None,
    uri: str,
    tenant_id: str,
    table: Table,
    settled: Settled,
    run_id: str,
    line: dict[str, Any],
) -> None:
    rows = settled.rows.select([*table.stored, "_arrived_on"]).with_columns(
        pl.lit(run_id).alias("ingest_run")
    )
    rows = rows.sort(table.time, table.key)
    once = delta.next_number(target, f"land/{tenant_id}")
    commit = delta.properties([once], {"landing": line})
    if target is not None and settled.replaces:
        delta.upsert(target, rows, tenant_id=tenant_id, key=table.key, commit=commit)
    else:
        delta.write(
            target if target is not None else uri, rows, partition_by=["tenant_id"], commit=commit
        )


def _touched(
    table: Table, settled: Settled, known: pl.DataFrame, interval: Interval
) -> dict[str, str]:
    """First and last instant that changed, old places of corrected events included."""
    times = settled.rows[table.time]
    if table.is_event:
        moved = known.join(settled.rows, on=table.key, how="semi")[table.time]
        times = pl.concat([times, moved])
    else:  # the time of a state may lie far back; what changes is the present
        last = interval.end - timedelta(microseconds=1)
        times = times.clip(interval.start, last)
    return {"touched_from": _iso(times.min()), "touched_to": _iso(times.max())}


def _commits(target: DeltaTable, tenant_id: str, interval: Interval) -> list[dict[str, Any]]:
    """The landings of this tenant and interval among the table's latest commits."""
    lines = []
    for commit in target.history(COMMITS_LOOKED_BACK):
        line = json.loads(commit.get("landing") or "{}")
        if (line.get("tenant_id"), line.get("interval_from"), line.get("interval_to")) == (
            tenant_id,
            interval.start.isoformat(),
            interval.end.isoformat(),
        ):
            lines.append(line)
    return lines


def _close(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    rows: dict[str, dict[str, int]],
    commits: list[dict[str, Any]],
) -> Interval | None:
    """Write the ledger lines still missing and bind the run as a snapshot, which closes it.

    Gives the interval touched by this run, and by runs that died before they were closed.
    """
    landed = [{k: v for k, v in line.items() if k in ledger.COLUMNS} for line in commits]
    read = [ledger.entry(tenant_id, name, interval, rows[name], run_id) for name in rows]
    new = ledger.record(settings, tenant_id, interval, landed, read)
    runs = {run_id, *snapshots.bind_landing(settings, tenant_id, interval)}
    spans = [
        _whole_days(line)
        for line in commits
        if line["ingest_run"] in runs or (line["table"], line["ingest_run"]) in new
    ]
    return Interval.covering(spans) if spans else None


def _whole_days(line: dict[str, Any]) -> Interval:
    first = datetime.fromisoformat(line["touched_from"]).date()
    last = datetime.fromisoformat(line["touched_to"]).date()
    return Interval.of(first, last + timedelta(days=1))


def _iso(instant: Any) -> str:
    return instant.astimezone(UTC).isoformat()
