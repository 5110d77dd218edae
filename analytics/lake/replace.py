"""Replace rows of one tenant in a table all tenants share: one commit, only on change.

Grain, keys and columns are the caller's. Re-run: when the table holds just
these rows already (run stamps aside) nothing is committed. While other tenants
commit it tries again; of two writers of one tenant the later replaces what the
first wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from analytics.errors import LakeError
from analytics.lake import delta, paths
from analytics.lake.tables import RUN_STAMPS
from analytics.settings import Settings

# Writes the rows that a Delta predicate selects, in an engine's own way; the version made.
Writer = Callable[[str], int]


@dataclass(frozen=True)
class Written:
    """The version that now holds the rows, and whether this call made it."""

    version: int
    changed: bool


def replace(
    settings: Settings,
    tenant_id: str,
    layer: str,
    table: str,
    frame: pl.DataFrame,
    where: Mapping[str, Any],
    metadata: Mapping[str, str],
    write: Writer | None = None,
) -> Written:
    """Make `frame` all that the table holds of the tenant and `where`.

    `where` maps columns to a value, or to a list of values. `metadata` goes into
    the commit. Raises LakeError when the frame holds other tenants' rows.
    """
    if (frame["tenant_id"] != tenant_id).any():
        raise LakeError(f"{layer}/{table}: rows of other tenants among those of {tenant_id}")
    uri = paths.table(settings, layer, table)
    chosen = {
        column: value if isinstance(value, (list, tuple)) else [value]
        for column, value in {"tenant_id": tenant_id, **where}.items()
    }
    predicate = " AND ".join(
        f"{column} IN ({', '.join(map(_literal, values))})" for column, values in chosen.items()
    )

    def attempt() -> Written:
        current = delta.open_table(uri)
        if current is not None and _same(_held(current, chosen), frame):
            return Written(current.version(), changed=False)
        if write is not None:
            return Written(write(predicate), changed=True)
        commit = delta.properties(metadata={**metadata, "tenant_id": tenant_id})
        if current is None:
            delta.write(uri, frame, partition_by=["tenant_id"], commit=commit)
            return Written(0, changed=frame.height > 0)
        delta.write(current, frame, predicate=predicate, commit=commit)
        return Written(current.version(), changed=True)

    return delta.retrying(attempt)


def _held(current: DeltaTable, chosen: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    return (
        pl.scan_delta(current)
        .filter(*(pl.col(column).is_in(values) for column, values in chosen.items()))
        .collect()
    )


def _same(held: pl.DataFrame, frame: pl.DataFrame) -> bool:
    columns = [c for c in frame.columns if c not in RUN_STAMPS]
    if held.height != frame.height or set(held.columns) != set(frame.columns):
        return False
    return held.select(columns).sort(columns).equals(frame.select(columns).sort(columns))


def _literal(value: str | date | int | bool) -> str:
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, (bool, int)):
        return str(value).lower()
    return delta.literal(value)
