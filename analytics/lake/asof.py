"""One tenant's part of a Delta table as a snapshot bound it: its files, its rows, whether whole.

A version can be read while the log knows it and its files lie there. Maintenance
keeps both for `maintenance.KEEP_DAYS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import polars as pl
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow import fs

from analytics.errors import LakeError
from analytics.lake import delta, paths
from analytics.lake.snapshots import Snapshot
from analytics.settings import Settings


def table_name(snapshot: Snapshot, wanted: str) -> str:
    """The path of a bound table; `plays` is short for `silver/plays`. Raises LakeError."""
    for name in (wanted.strip("/"), f"silver/{wanted}"):
        if name in snapshot.versions:
            return name
    short = {name.removeprefix("silver/"): name for name in snapshot.versions}
    close = difflib.get_close_matches(wanted, [*snapshot.versions, *short], n=3)
    raise LakeError(
        f"snapshot {snapshot.snapshot_id} of {snapshot.tenant_id} has no table {wanted!r}; "
        + (f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(short)}")
    )


def opened(settings: Settings, snapshot: Snapshot, name: str) -> DeltaTable:
    """The table as it was. Raises LakeError when its files or its log are gone."""
    table = _at(settings, name, snapshot.versions[name])
    if table is None or missing(table, snapshot.tenant_id):
        raise LakeError(
            f"{name} as of snapshot {snapshot.snapshot_id} of {snapshot.tenant_id} is gone: "
            f"maintenance removed files of version {snapshot.versions[name]} when it had been "
            "out of use for the days that are kept. `analytics lake snapshots` says which are whole"
        )
    return table


def rows(settings: Settings, snapshot: Snapshot, name: str) -> pl.LazyFrame:
    """The tenant's rows just as they were, lazily."""
    table = opened(settings, snapshot, name)
    return pl.scan_delta(table).filter(pl.col("tenant_id") == snapshot.tenant_id)


def gone(settings: Settings, found: Iterable[Snapshot]) -> dict[str, list[str]]:
    """By snapshot id, the tables that can no longer be read as it bound them."""
    judged: dict[tuple[str, str, int], bool] = {}
    lost: dict[str, list[str]] = {}
    for snapshot in found:
        lost[snapshot.snapshot_id] = []
        for name, version in snapshot.versions.items():
            key = (snapshot.tenant_id, name, version)
            if key not in judged:
                table = _at(settings, name, version)
                judged[key] = table is None or bool(missing(table, snapshot.tenant_id))
            if judged[key]:
                lost[snapshot.snapshot_id].append(name)
    return lost


def files(table: DeltaTable, tenant_id: str) -> pl.DataFrame:
    """Path and size of the files that hold the tenant's rows."""
    found = pl.DataFrame(table.get_add_actions(flatten=True))
    if "partition.tenant_id" in found.columns:
        found = found.filter(pl.col("partition.tenant_id") == tenant_id)
    return found.select("path", "size_bytes")


def dataset(table: DeltaTable, chosen: Iterable[str]) -> pads.FileSystemDataset:
    """Just these files of the table, read with its schema."""
    whole = table.to_pyarrow_dataset()
    wanted = set(chosen)
    fragments = [f for f in whole.get_fragments() if f.path in wanted]
    return pads.FileSystemDataset(fragments, whole.schema, whole.format, whole.filesystem)


def missing(table: DeltaTable, tenant_id: str) -> list[str]:
    """Files of the tenant that the version needs and that are not there."""
    needed = files(table, tenant_id)["path"].to_list()
    if not needed:
        return []
    there = paths.store(table.table_uri).get_file_info(needed)
    return [i.path for i in there if i.type == fs.FileType.NotFound]


def _at(settings: Settings, name: str, version: int) -> DeltaTable | None:
    """The table at a version; None when its log does not reach back so far, or it is no more."""
    try:
        return delta.open_table(paths.named(settings, name), version)
    except DeltaError:
        return None
