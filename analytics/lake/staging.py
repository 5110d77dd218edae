"""The rows a gate let through, waiting to land; one Parquet file a table and interval.

A file is written whole and replaces the one of an earlier try. Its metadata
holds what the gate counted, so that the landing can close the balance.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from analytics.errors import GateFailed
from analytics.interval import Interval
from analytics.lake import paths
from analytics.lake.lineage import LINEAGE
from analytics.lake.tables import TABLES
from analytics.settings import Settings


@dataclass(frozen=True)
class Counts:
    """What came to the gate for one table. A row counts once, however many rules it breaks."""

    rows_in: int  # rejects and rows out of the interval included
    quarantined: int  # rejects of the reading plus rows the gate split off
    out_of_interval: int = 0


def write(
    settings: Settings,
    tenant_id: str,
    table: str,
    interval: Interval,
    good: pl.DataFrame,
    counts: Counts | None = None,
) -> None:
    """Stage the good rows of one table (canonical columns + lineage as candidates gave them).

    Without counts, nothing was split off. Raises GateFailed when the rows do not add up.
    """
    counts = counts or Counts(rows_in=good.height, quarantined=0)
    if counts.rows_in != good.height + counts.quarantined + counts.out_of_interval:
        raise GateFailed(
            f"{tenant_id}: {table} of {interval} does not balance: {counts.rows_in} rows in, but "
            f"{good.height} good + {counts.quarantined} quarantined + {counts.out_of_interval} out "
            "of the interval. The gate lost or doubled rows; report this."
        )
    columns = {**TABLES[table].stored, **LINEAGE}
    rows = good.select(
        [
            pl.col(c).cast(t) if c in good.columns else pl.lit(None, t).alias(c)
            for c, t in columns.items()
        ]
    )
    uri = paths.staged(settings, tenant_id, table, interval)
    metadata = {"counts": json.dumps(asdict(counts))}
    if "://" in uri:
        rows.write_parquet(uri, metadata=metadata)
        return
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.partial")
    rows.write_parquet(fresh, metadata=metadata)
    fresh.replace(path)


def read(
    settings: Settings, tenant_id: str, table: str, interval: Interval
) -> tuple[pl.DataFrame, Counts] | None:
    """What was staged, with its counts; None when the gate staged nothing for this table."""
    found = counts(settings, tenant_id, table, interval)
    if found is None:
        return None
    return pl.read_parquet(paths.staged(settings, tenant_id, table, interval)), found


def counts(settings: Settings, tenant_id: str, table: str, interval: Interval) -> Counts | None:
    """The counts of what was staged, without its rows; None when nothing was."""
    uri = paths.staged(settings, tenant_id, table, interval)
    try:
        return Counts(**json.loads(pl.read_parquet_metadata(uri)["counts"]))
    except FileNotFoundError:
        return None


def clear(settings: Settings, tenant_id: str, table: str, interval: Interval) -> None:
    """Forget what an earlier try staged, so that a gate that stops leaves nothing to land."""
    uri = paths.staged(settings, tenant_id, table, interval)
    if "://" not in uri:
        Path(uri).unlink(missing_ok=True)
    elif read(settings, tenant_id, table, interval) is not None:
        empty = pl.DataFrame(schema={**TABLES[table].stored, **LINEAGE})
        write(settings, tenant_id, table, interval, empty)
