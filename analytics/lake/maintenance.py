"""Keep the lake small and quick: merge small files, shorten the log, remove what nobody needs.

Grain    one table at a time; within it one commit a tenant whose files are merged.
Re-run   safe at any time, also beside writers: rows never change, a table that is tidy
         gets no commit, and of two that commit at once the later one decides anew.
Keeps    what stood at any moment of the last KEEP_DAYS can be read, so every snapshot bound
         since is whole; files that a living writer may still commit are far younger.
Leaves   the tables of other rooms (features, predictions …): models name the versions
         they learnt from, and Spark may be their writer. Rows stay in order of time:
         a z-order makes a listener's read quicker and a day's slower, and days are what
         the platform reads (figures: docs/runbooks/maintain.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable, WriterProperties
from pyarrow import fs

from analytics.errors import LakeError
from analytics.lake import content, delta, paths
from analytics.settings import Settings

KEEP_DAYS = 30  # as long as Delta keeps its log
LEAST_DAYS = 7  # younger files may belong to a reader or writer at work
SHARED = ("silver/", "ledger", "quarantine", "snapshots")
OWN = ("bronze", "bronze_rejects", "bronze_schemas")
WHOLE_FILE = 100 * 1024 * 1024  # files are merged up to this size
# A day of plays is read twice as fast as from groups of a million rows, for a fifth more bytes.
FILE = WriterProperties(max_row_group_size=122_880, compression="ZSTD", compression_level=3)
SIDE_BY_SIDE = 2  # merges at a time, which bounds the memory
LONG_LOG = 10  # commits since the last checkpoint that make a new one worth it


@dataclass(frozen=True)
class Maintained:
    """What was done to one table, or on a dry run would be."""

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    removed: int = 0  # files of old versions and of killed writers
    bytes_removed: int = 0
    checkpoint: bool = False


def groups(settings: Settings, tenant_ids: Sequence[str]) -> list[list[str]]:
    """The tables to maintain, in portions: each shared one, and all of a tenant's own."""
    known = content.tables(settings)
    shared = [[name] for name in known if name.startswith(SHARED)]
    own = [
        [name for name in known if name.startswith(tuple(f"{layer}/{t}/" for layer in OWN))]
        for t in tenant_ids
    ]
    return [*shared, *filter(None, own)]


def maintain(
    settings: Settings,
    name: str,
    tenant_ids: Sequence[str] | None = None,
    *,
    keep_days: int = KEEP_DAYS,
    dry_run: bool = False,
) -> Maintained:
    """Merge, checkpoint and vacuum one table; `tenant_ids` narrows the merging."""
    if not LEAST_DAYS <= keep_days <= KEEP_DAYS:
        raise LakeError(
            f"files are kept {LEAST_DAYS} to {KEEP_DAYS} days, not {keep_days}: younger ones may "
            "be in use, and older versions are gone from Delta's log"
        )
    uri = paths.named(settings, name)
    table = DeltaTable(uri)
    before = _files(table)
    small = _small(before, tenant_ids)
    if dry_run:
        merged = sum(len(sizes) - math.ceil(sum(sizes) / WHOLE_FILE) for sizes in small.values())
        after, size = before.height - merged, int(before["size_bytes"].sum())
    else:
        for tenant_id in small:
            _merge(uri, tenant_id)
        table = DeltaTable(uri)
        files = _files(table)
        after, size = files.height, int(files["size_bytes"].sum())
    removed, freed = _vacuum(uri, keep_days, dry_run)
    return Maintained(
        name, before.height, after, int(before["size_bytes"].sum()), size, removed, freed,
        _checkpoint(uri, dry_run),
    )  # fmt: skip


def _files(table: DeltaTable) -> pl.DataFrame:
    """Size and tenant of every file; an unpartitioned table is its tenant's own."""
    found = pl.DataFrame(table.get_add_actions(flatten=True))
    if "partition.tenant_id" not in found.columns:
        found = found.with_columns(pl.lit(None, pl.String).alias("partition.tenant_id"))
    return found.select(tenant_id="partition.tenant_id", size_bytes="size_bytes")


def _small(files: pl.DataFrame, tenant_ids: Sequence[str] | None) -> dict[str | None, list[int]]:
    """By tenant the sizes of files that can be merged."""
    wanted = pl.col("tenant_id").is_null() | pl.col("tenant_id").is_in(tenant_ids or [])
    mine = files if tenant_ids is None else files.filter(wanted)
    small = mine.filter(pl.col("size_bytes") < WHOLE_FILE).group_by("tenant_id").agg("size_bytes")
    return {
        tenant_id: sizes for tenant_id, sizes in small.sort("tenant_id").iter_rows() if sizes[1:]
    }


def _merge(uri: str, tenant_id: str | None) -> None:
    """Merge one tenant's small files; the rows of each stay together, in order of time."""

    def attempt() -> None:
        DeltaTable(uri).optimize.compact(
            partition_filters=[("tenant_id", "=", tenant_id)] if tenant_id else None,
            target_size=WHOLE_FILE,
            max_concurrent_tasks=SIDE_BY_SIDE,
            writer_properties=FILE,
            commit_properties=delta.properties(),
        )

    delta.retrying(attempt)


def _vacuum(uri: str, keep_days: int, dry_run: bool) -> tuple[int, int]:
    """Remove files out of use for so long, and as old ones that no commit ever named."""
    table = DeltaTable(uri)
    hours = 24 * keep_days
    doomed = table.vacuum(hours, dry_run=True, full=True)
    if not doomed:
        return 0, 0
    size = sum(i.size or 0 for i in paths.store(uri).get_file_info(doomed))
    if not dry_run:
        delta.retrying(lambda: DeltaTable(uri).vacuum(hours, dry_run=False, full=True))
    return len(doomed), size


def _checkpoint(uri: str, dry_run: bool) -> bool:
    """Sum up a long log in one file, so that opening the table stays quick."""
    table, store, last = DeltaTable(uri), paths.store(uri), -1
    pointer = "_delta_log/_last_checkpoint"
    if store.get_file_info([pointer])[0].type == fs.FileType.File:
        with store.open_input_file(pointer) as file:
            last = json.loads(file.read())["version"]
    if table.version() - last < LONG_LOG:
        return False
    if not dry_run:
        table.create_checkpoint()
    return True
