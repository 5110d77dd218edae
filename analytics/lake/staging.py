"""The rows a gate let through, waiting to land, as files that silver can take as they are.

Layout   staged/<tenant>/<table>/<interval>.json says what was counted and names the files
         below <interval>/: `rows` in silver's columns and order, `origin` with the lineage
         that silver does not keep, row for row.
Re-run   safe: rows are staged by the one JSON file, written last. It replaces that of an
         earlier try, whose files are swept away when they are old (`leftovers.py`).
"""

from __future__ import annotations

import io
import json
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from analytics.errors import GateFailed
from analytics.interval import Interval
from analytics.lake import append, paths, refusals
from analytics.lake.lineage import KEPT, LINEAGE
from analytics.lake.portions import ROWS, LaidOut, Portions
from analytics.lake.tables import TABLES, Table
from analytics.settings import Settings

ORIGIN = "origin"  # a kind of file, beside that of the rows
STATISTICS = "statistics"  # in the metadata of a file with rows


@dataclass(frozen=True)
class Counts:
    """What came to the gate for one table. A row counts once, however many rules it breaks."""

    rows_in: int  # rejects and rows out of the interval included
    quarantined: int  # rejects of the reading plus rows the gate split off
    out_of_interval: int = 0


@dataclass(frozen=True)
class File:
    """Some of the staged rows."""

    lake_root: str
    tenant_id: str
    path: str  # below the root, without its kind

    @property
    def rows_path(self) -> str:
        return f"{self.path}.{ROWS}.parquet"

    @property
    def rows_uri(self) -> str:
        return f"{self.lake_root}/{self.rows_path}"

    @property
    def height(self) -> int:
        return int(json.loads(self.statistics)["numRecords"])

    @property
    def statistics(self) -> str:
        """What Delta is to know of it, as JSON."""
        return pl.read_parquet_metadata(self.rows_uri)[STATISTICS]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        return {"tenant_id": pl.String(), **pl.read_parquet_schema(self.rows_uri)}

    def read(self, *columns: str) -> pl.DataFrame:
        """Columns that silver has, by default all."""
        rows = pl.scan_parquet(self.rows_uri).with_columns(tenant_id=pl.lit(self.tenant_id))
        return rows.select(columns or pl.all()).collect()

    def with_lineage(self) -> pl.DataFrame:
        """All of it, with the lineage that silver does not keep."""
        origin = pl.read_parquet(f"{self.lake_root}/{self.path}.{ORIGIN}.parquet")
        return pl.concat([self.read().drop("ingest_run"), origin], how="horizontal")


@dataclass(frozen=True)
class Staged:
    """What waits of one table, tenant and interval."""

    table: Table
    counts: Counts
    files: tuple[File, ...]

    def rows(self) -> pl.DataFrame:
        """All of it as one frame: stored columns and lineage."""
        columns = {**self.table.stored, **LINEAGE}
        frames = [file.with_lineage().select(list(columns)) for file in self.files]
        return pl.concat([pl.DataFrame(schema=columns), *frames])

    def sources(self) -> set[str]:
        return {name for file in self.files for name in file.read("_source")["_source"].unique()}


def portions(tenant_id: str, table: str, run_id: str, folder: Path) -> Portions:
    """To keep rows (stored columns + lineage) until they are staged, already laid out for it."""
    lay_out = partial(_laid_out, TABLES[table], tenant_id, run_id)
    return Portions(folder, lay_out, {"tenant_id": tenant_id})


def keep(
    settings: Settings,
    tenant_id: str,
    table: str,
    interval: Interval,
    good: Portions,
    counts: Counts | None = None,
) -> None:
    """Stage the good rows of one table.

    Without counts, nothing was split off. Raises GateFailed when the rows do not add up.
    """
    counts = counts or Counts(rows_in=good.height, quarantined=0)
    if counts.rows_in != good.height + counts.quarantined + counts.out_of_interval:
        raise GateFailed(
            f"{tenant_id}: {table} of {interval} does not balance: {counts.rows_in} rows in, but "
            f"{good.height} good + {counts.quarantined} quarantined + {counts.out_of_interval} out "
            "of the interval. The gate lost or doubled rows; report this."
        )
    store = append.object_store(settings.lake_root)
    base = _base(settings, tenant_id, table, interval)
    names = []
    with refusals.told():
        for kinds in good.files:
            names.append(f"{base}/{uuid.uuid4()}")
            for kind, file in kinds.items():
                store.put(f"{names[-1]}.{kind}.parquet", file)
        laid_out = good.laid_out()
        if laid_out is not None:
            names.append(f"{base}/{uuid.uuid4()}")
            for kind, (rows, metadata) in laid_out.items():
                content = io.BytesIO()
                rows.write_parquet(content, compression=append.COMPRESSION, metadata=metadata)
                store.put(f"{names[-1]}.{kind}.parquet", content.getvalue())
        told = {"counts": asdict(counts), "files": names}
        store.put(f"{base}.json", json.dumps(told, indent=1).encode())


def read(settings: Settings, tenant_id: str, table: str, interval: Interval) -> Staged | None:
    """What was staged; None when the gate staged nothing for this table."""
    base = _base(settings, tenant_id, table, interval)
    try:
        told: dict[str, Any] = json.loads(
            bytes(append.object_store(settings.lake_root).get(f"{base}.json").bytes())
        )
    except FileNotFoundError:
        return None
    files = tuple(File(settings.lake_root, tenant_id, name) for name in told["files"])
    return Staged(TABLES[table], Counts(**told["counts"]), files)


def clear(settings: Settings, tenant_id: str, table: str, interval: Interval) -> None:
    """Forget what an earlier try staged, so that a gate that stops leaves nothing to land."""
    store = append.object_store(settings.lake_root)
    with suppress(FileNotFoundError):
        store.delete(f"{_base(settings, tenant_id, table, interval)}.json")


def _base(settings: Settings, tenant_id: str, table: str, interval: Interval) -> str:
    """Below the lake's root."""
    return paths.staged(settings, tenant_id, table, interval).removeprefix(f"{settings.lake_root}/")


def _laid_out(table: Table, tenant_id: str, run_id: str, good: pl.DataFrame) -> LaidOut:
    others = good["tenant_id"].ne_missing(tenant_id)
    if others.any():
        raise GateFailed(
            f"{tenant_id}: {others.sum()} rows of {table.name} say that they are of another "
            "tenant. Nothing was staged; report this."
        )
    columns = {**table.stored, **LINEAGE}
    rows = good.select(
        pl.col(c).cast(t) if c in good.columns else pl.lit(None, t).alias(c)
        for c, t in columns.items()
    )
    if not rows[table.time].is_sorted():
        rows = rows.sort(table.time, table.key)
    kept = [c for c in table.stored if c != "tenant_id"]
    silver = rows.select(*kept, *KEPT, pl.lit(run_id).alias("ingest_run"))
    origin = rows.select(c for c in LINEAGE if c not in KEPT)
    return {
        ROWS: (silver, {STATISTICS: json.dumps(append.statistics(silver))}),
        ORIGIN: (origin, {}),
    }
