"""Land the staged rows of one tenant and interval in silver, once.

Grain    silver/<table>: one row per (tenant_id, key), partitioned by tenant.
Re-run   safe, also after a kill between any two steps: a landing is one commit a
         table, and that commit holds its own ledger line. A retry finds it and
         reports the same; a second run finds nothing to do and commits nothing.
Audit    every table is decided and judged before the first is committed (`publication.py`).
Snapshot the versions that belong together are bound last; a run is closed when it is bound.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl
from deltalake import DeltaTable

from analytics.errors import LakeError
from analytics.interval import Interval
from analytics.lake import delta, ledger, paths, snapshots, staging
from analytics.lake.lineage import KEPT
from analytics.lake.publication import Prepared, prepared, publish, whole_days
from analytics.lake.settling import settle
from analytics.lake.staging import File, Staged
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


def _judged(
    settings: Settings, tenant_id: str, interval: Interval, run_id: str, found: list[Prepared]
) -> None:
    """Have the silver gate judge it; raises GateFailed."""
    from analytics import gates  # takes seconds to load, and no reader needs it

    gates.silver(settings, tenant_id, interval, run_id, found)


def land(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    audit: Callable[[Settings, str, Interval, str, list[Prepared]], None] = _judged,
) -> Landed:
    """Put what the gate staged into silver: new rows appended, corrections in place of the old.

    All tables are judged before the first commit: what the silver gate stops (GateFailed) no
    reader ever sees. A second run gives `touched` None. A retry of an interrupted run (same run
    or not yet in the ledger) gives what was touched by the try before it as well.
    """
    tenant = get_tenant(settings, tenant_id)
    decide = {
        name: partial(_prepare, settings, tenant_id, interval, run_id, table)
        for name, table in TABLES.items()
        if staging.read(settings, tenant_id, name, interval) is not None
    }
    if tenant.sources and not decide:
        raise _nothing_staged(tenant_id, interval)
    found = publish(decide, partial(audit, settings, tenant_id, interval, run_id))
    rows = {
        name: {k: one.line[k] for k in ("rows_in", *ledger.BUCKETS)} for name, one in found.items()
    }

    commits, versions = [], {}
    for name in rows:
        table = delta.open_table(paths.table(settings, "silver", name))
        if table is not None:
            versions[name] = table.version()
            commits += _commits(table, tenant_id, interval)
    touched = _close(settings, tenant_id, interval, run_id, rows, commits)
    return Landed(tenant_id, interval, touched, rows, versions)


def _nothing_staged(tenant_id: str, interval: Interval) -> LakeError:
    return LakeError(
        f"{tenant_id}: nothing is staged for {interval}, which a gate always does that passes; "
        "run `ingest` for that interval again, or clear its `gate` as well as its `land`"
    )


def _prepare(
    settings: Settings, tenant_id: str, interval: Interval, run_id: str, table: Table
) -> Prepared:
    """Decide what the staged rows of one table are to silver as it stands now."""
    staged = staging.read(settings, tenant_id, table.name, interval)
    if staged is None:  # a gate stopped the tenant meanwhile
        raise _nothing_staged(tenant_id, interval)
    uri = paths.table(settings, "silver", table.name)
    target = opened(settings, table)
    keys = contested(target, tenant_id, table, staged)
    known = held(target, tenant_id, table, keys)
    apart = [file for file in staged.files if _holds(file, table, keys)]
    files = [file for file in staged.files if file not in apart]
    rows = replace(staged, files=tuple(apart)).rows()
    settled = settle(table, rows, known)
    if settled.replaces:  # one commit holds all of a landing, and a merge names no files
        files, settled = [], settle(table, staged.rows(), known)
    as_they_are = sum(file.height for file in files)
    counts = staged.counts
    line = ledger.entry(
        tenant_id,
        table.name,
        interval,
        {
            "rows_in": counts.rows_in,
            "landed": as_they_are + settled.landed,
            "corrected": settled.corrected,
            "duplicates": settled.duplicates,
            "quarantined": counts.quarantined,
            "out_of_interval": counts.out_of_interval,
        },
        run_id,
    )
    return prepared(tenant_id, table, uri, target, known, settled.rows, interval, line, files)


def opened(settings: Settings, table: Table) -> DeltaTable | None:
    """The table in silver; one that an earlier release wrote first grows what it lacks."""
    uri = paths.table(settings, "silver", table.name)

    def attempt() -> DeltaTable | None:
        target = delta.open_table(uri)
        return target and delta.widened(target, {**table.stored, **KEPT})

    return delta.retrying(attempt)


def contested(
    target: DeltaTable | None, tenant_id: str, table: Table, staged: Staged
) -> pl.DataFrame:
    """The staged keys that come more than once, or that silver knows. Reads the keys alone."""
    key = table.key
    hashes = [file.read(key)[key].hash() for file in staged.files]
    found = [pl.DataFrame(schema={key: table.stored[key]})]
    ordered = pl.concat([pl.Series(dtype=pl.UInt64), *hashes]).sort()
    twice = ordered.filter(ordered == ordered.shift(1)).unique()
    mine = pl.scan_delta(target).filter(pl.col("tenant_id") == tenant_id) if target else None
    for file, hashed in zip(staged.files, hashes, strict=True):
        keys = file.read(key).select(key)
        if len(twice):
            found.append(keys.filter(hashed.is_in(twice.implode())))
        if mine is not None:
            found.append(mine.select(key).join(keys.lazy(), on=key, how="semi").collect())
    return pl.concat(found).unique()


def held(
    target: DeltaTable | None, tenant_id: str, table: Table, keys: pl.DataFrame
) -> pl.DataFrame:
    """The silver rows of these keys."""
    columns = {**table.stored, **KEPT}
    if target is None or keys.is_empty():
        return pl.DataFrame(schema=columns)
    mine = pl.scan_delta(target).filter(pl.col("tenant_id") == tenant_id)
    return mine.select(list(columns)).join(keys.lazy(), on=table.key, how="semi").collect()


def _holds(file: File, table: Table, keys: pl.DataFrame) -> bool:
    """Whether the file has rows of these keys."""
    if keys.is_empty():
        return False
    return not file.read(table.key).join(keys, on=table.key, how="semi").is_empty()


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
        whole_days(line)
        for line in commits
        if line["ingest_run"] in runs or (line["table"], line["ingest_run"]) in new
    ]
    return Interval.covering(spans) if spans else None
