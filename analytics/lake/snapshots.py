"""Which Delta versions belong together: what a tenant's lake was when a run had written it.

Grain    snapshots: one row per (tenant, snapshot, table), partitioned by tenant.
Identity a snapshot is named after tenant, step, run and interval, so a run is bound once,
         whoever retries it. `number` puts a tenant's snapshots in order, without a clock.
Surprise every table of the tenant is bound, also those that the run left alone; but only
         after a run that stands in the ledger: one that changed nothing binds nothing.
         The table is bookkeeping and has no part in content hashes.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from deltalake.exceptions import TableNotFoundError
from pyarrow import fs

from analytics.errors import LakeError
from analytics.interval import Interval
from analytics.lake import delta, ledger, paths
from analytics.lake.tables import INSTANT, TABLES
from analytics.settings import Settings
from analytics.tenants import get_tenant

COMMIT = re.compile(r"\d{20}\.json")
LAND, RESTORE = "land", "restore"
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "snapshot_id": pl.String,
    "number": pl.Int64,  # the tenant's first snapshot is 1
    "step": pl.String,  # land, restore
    "table": pl.String,  # its path under the lake's root
    "version": pl.Int64,
    "interval_from": INSTANT,
    "interval_to": INSTANT,
    "run_id": pl.String,
    "restores": pl.String,  # the snapshot that a restore went back to
}


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of one tenant: the version of each table."""

    tenant_id: str
    snapshot_id: str
    number: int
    step: str
    run_id: str
    interval: Interval
    versions: dict[str, int]
    restores: str | None = None


def bind(
    settings: Settings,
    tenant_id: str,
    run_id: str,
    interval: Interval,
    versions: Mapping[str, int],
    *,
    step: str = LAND,
    restores: str | None = None,
) -> str:
    """Put the versions under one snapshot id, once for this tenant, step, run and interval."""
    uri = paths.snapshots(settings)
    snapshot_id = _identity(tenant_id, step, run_id, str(interval))

    def attempt() -> str:
        table = delta.open_table(uri)
        if table is not None and not _of(pl.scan_delta(table), tenant_id, snapshot_id).is_empty():
            return snapshot_id
        app, number = delta.next_number(table, f"snapshots/{tenant_id}")
        rows = pl.DataFrame(
            {"table": list(versions), "version": list(versions.values())},
            schema={"table": pl.String, "version": pl.Int64},
        )
        same = {
            "tenant_id": tenant_id, "snapshot_id": snapshot_id, "number": number, "step": step,
            "interval_from": interval.start, "interval_to": interval.end, "run_id": run_id,
            "restores": restores,
        }  # fmt: skip
        rows = rows.with_columns(pl.lit(v, COLUMNS[c]).alias(c) for c, v in same.items())
        commit = delta.properties([(app, number)])
        delta.write(
            table or uri, rows.select(list(COLUMNS)), partition_by=["tenant_id"], commit=commit
        )
        return snapshot_id

    return delta.retrying(attempt)


def bind_landing(settings: Settings, tenant_id: str, interval: Interval) -> list[str]:
    """Bind what stands now for each run of the interval that the ledger has and no snapshot.

    That is the run that just landed, and one that was killed before it came this far;
    gives these runs.
    """
    lines = ledger.read(settings, tenant_id)
    landed = lines.filter(
        pl.col("interval_from") == interval.start, pl.col("interval_to") == interval.end
    )
    runs = set(landed["ingest_run"])
    bound = read(settings, tenant_id).filter(step=LAND) if runs else pl.DataFrame(schema=COLUMNS)
    known = set(bound["snapshot_id"])
    missing = [r for r in sorted(runs) if _identity(tenant_id, LAND, r, str(interval)) not in known]
    if missing:
        versions = standing(settings, tenant_id)
        for run_id in missing:
            bind(settings, tenant_id, run_id, interval, versions)
    return missing


def standing(settings: Settings, tenant_id: str) -> dict[str, int]:
    """The version at which each table that holds rows of the tenant stands now."""
    sources = [source.name for source in get_tenant(settings, tenant_id).sources]
    names = [
        *(f"bronze/{tenant_id}/{source}" for source in sources),
        *(f"bronze_rejects/{tenant_id}/{source}" for source in sources),
        *(f"silver/{name}" for name in TABLES),
        "quarantine",
        "ledger",
    ]
    found = {name: _latest(paths.named(settings, name)) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def _latest(uri: str) -> int | None:
    """The table's version by the names in its log, which is quicker than opening it."""
    try:
        commits = paths.store(f"{uri}/_delta_log").get_file_info(fs.FileSelector(""))
    except TableNotFoundError:
        return None
    versions = [int(c.base_name[:20]) for c in commits if COMMIT.fullmatch(c.base_name)]
    return max(versions, default=None)


def read(settings: Settings, tenant_id: str | None = None) -> pl.DataFrame:
    """Every bound version, of one tenant or of all, in order of binding."""
    table = delta.open_table(paths.snapshots(settings))
    if table is None:
        return pl.DataFrame(schema=COLUMNS)
    rows = pl.scan_delta(table)
    if tenant_id is not None:
        rows = rows.filter(pl.col("tenant_id") == tenant_id)
    return rows.collect().sort("tenant_id", "number", "table")


def snapshots(settings: Settings, tenant_id: str | None = None) -> list[Snapshot]:
    """The snapshots, of one tenant or of all, by tenant in order of binding."""
    parts = read(settings, tenant_id).partition_by("tenant_id", "number", maintain_order=True)
    return [_snapshot(part) for part in parts]


def find(settings: Settings, wanted: str, tenant_id: str | None = None) -> list[Snapshot]:
    """The snapshot whose id begins so, or of each tenant the last one that this run bound.

    Raises LakeError naming the closest when there is none.
    """
    known = snapshots(settings, tenant_id)
    if not known:
        whose = f"of {tenant_id} " if tenant_id else ""
        raise LakeError(
            f"there is no snapshot {whose}yet; a run of `ingest` that lands rows binds one"
        )
    by_id = [s for s in known if s.snapshot_id.startswith(wanted)]
    if len(by_id) > 1:
        raise LakeError(
            f"{len(by_id)} snapshots begin with {wanted!r}: "
            f"{', '.join(s.snapshot_id for s in by_id[:5])}; write more of the one you mean"
        )
    by_run = {s.tenant_id: s for s in known if s.run_id == wanted}
    if by_id or by_run:
        return by_id or list(by_run.values())
    names = [name for s in known for name in (s.snapshot_id, s.run_id)]
    close = difflib.get_close_matches(wanted, dict.fromkeys(names), n=3, cutoff=0.3)
    latest = [known[-1].snapshot_id]
    raise LakeError(
        f"no snapshot {wanted!r}; closest: {', '.join(close or latest)}; "
        "`analytics lake snapshots` lists them"
    )


def _snapshot(rows: pl.DataFrame) -> Snapshot:
    first = rows.row(0, named=True)
    return Snapshot(
        tenant_id=first["tenant_id"],
        snapshot_id=first["snapshot_id"],
        number=first["number"],
        step=first["step"],
        run_id=first["run_id"],
        interval=Interval.of(first["interval_from"], first["interval_to"]),
        versions=dict(rows.select("table", "version").iter_rows()),
        restores=first["restores"],
    )


def _of(rows: pl.LazyFrame, tenant_id: str, snapshot_id: str) -> pl.DataFrame:
    mine = (pl.col("tenant_id") == tenant_id) & (pl.col("snapshot_id") == snapshot_id)
    return rows.filter(mine).head(1).collect()


def _identity(*parts: str) -> str:
    text = "\x1f".join(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
