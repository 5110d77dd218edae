"""The seam between Spark and the Delta lake: reading pinned snapshots, replacing rows.

Reading  Sail and clusters read Delta themselves, at a pinned version. JVM Spark
         in local mode has no Delta connector: it reads the files of the same
         snapshot, listed by delta-rs.
Writing  Embedded and local hand Arrow to delta-rs, which refuses rows outside
         the replaced predicate and notices concurrent commits; Sail's own
         `replaceWhere` writes such rows without a word. A cluster writes by its
         own Delta connector, so that one store never has two kinds of writer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from analytics.errors import AnalyticsError
from analytics.lake.tables import TABLES
from analytics.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)

ATTEMPTS = 8
_SPARK_TYPES = {
    pl.String: "string",
    pl.Int64: "bigint",
    pl.Int32: "int",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Datetime: "timestamp",
}


class FeatureStoreError(AnalyticsError):
    """The feature table could not be written."""


@dataclass(frozen=True)
class Written:
    """The version that now holds the rows, and whether this call made it."""

    version: int
    changed: bool


def uri(settings: Settings, layer: str, table: str) -> str:
    return f"{settings.lake_root}/{layer}/{table}"


def version(settings: Settings, table: str, layer: str = "silver") -> int | None:
    """The newest version, or None when there is no such table yet."""
    try:
        return DeltaTable(uri(settings, layer, table)).version()
    except TableNotFoundError:
        return None


def read_silver(
    spark: SparkSession, settings: Settings, tenant_id: str, table: str, at: int | None
) -> DataFrame:
    """One tenant's rows of a silver table as version `at` holds them.

    The canonical columns in their order; no table (None) is an empty one, and a
    column it lacks is null. Only the tenant's partition is read.
    """
    from pyspark.sql import functions as F

    columns = spark_columns(table)
    if at is None:
        return empty(spark, columns)
    if settings.analytics_spark == "local":
        frame = _files_of(spark, settings, tenant_id, table, at)
    else:
        frame = (
            spark.read.format("delta")
            .option("versionAsOf", str(at))
            .load(uri(settings, "silver", table))
            .where(F.col("tenant_id") == tenant_id)
        )
    present = set(frame.columns)
    return frame.select(
        *(
            (F.col(name) if name in present else F.lit(None)).cast(kind).alias(name)
            for name, kind in columns.items()
        )
    )


def _files_of(
    spark: SparkSession, settings: Settings, tenant_id: str, table: str, at: int
) -> DataFrame:
    """The snapshot's Parquet files, the partition value put back."""
    from pyspark.sql import functions as F

    snapshot = DeltaTable(uri(settings, "silver", table), version=at)
    files = snapshot.file_uris(file_pruning_predicate=[("tenant_id", "=", tenant_id)])
    inside = {name: kind for name, kind in spark_columns(table).items() if name != "tenant_id"}
    frame = spark.read.schema(_ddl(inside)).parquet(*files) if files else empty(spark, inside)
    return frame.withColumn("tenant_id", F.lit(tenant_id))


def spark_columns(table: str) -> dict[str, str]:
    """The canonical columns with their Spark types."""
    return {name: _SPARK_TYPES[kind.base_type()] for name, kind in TABLES[table].columns.items()}


def empty(spark: SparkSession, columns: dict[str, str]) -> DataFrame:
    return spark.createDataFrame([], _ddl(columns))


def _ddl(columns: dict[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())


def built_dates(settings: Settings, tenant_id: str, table: str) -> list[date]:
    """The as_of dates the tenant already has in a feature table."""
    if version(settings, table, "features") is None:
        return []
    return (
        pl.scan_delta(uri(settings, "features", table))
        .filter(pl.col("tenant_id") == tenant_id)
        .select(pl.col("as_of_date").unique().sort())
        .collect()["as_of_date"]
        .to_list()
    )


def replace(
    settings: Settings,
    tenant_id: str,
    table: str,
    rows: DataFrame,
    as_of_dates: Sequence[date],
    keys: Sequence[str],
    schema: dict[str, type[pl.DataType]],
    metadata: dict[str, str],
) -> tuple[Written, int]:
    """Make `rows` all that the feature table holds of (tenant, as_of_dates); how many there are.

    One atomic commit. When the table holds just these rows already, nothing is
    committed. Retried while other tenants commit; the loser of two writers of
    one tenant replaces what the first wrote.
    """
    frame = pl.DataFrame(pl.from_arrow(rows.toArrow())).select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )
    frame = frame.sort(*keys)
    if frame.select(keys).is_duplicated().any():
        raise FeatureStoreError(f"{table}: tenant {tenant_id} has rows twice by {', '.join(keys)}")
    _create(settings, table, schema)
    for attempt in range(1, ATTEMPTS + 1):
        current = DeltaTable(uri(settings, "features", table))
        if frame.equals(_held(current, tenant_id, as_of_dates, keys, schema)):
            return Written(current.version(), changed=False), frame.height
        try:
            if settings.analytics_spark.startswith("sc://"):
                _write_by_spark(settings, table, rows, _predicate(tenant_id, as_of_dates), metadata)
            else:
                write_deltalake(
                    current,
                    frame.to_arrow(),
                    mode="overwrite",
                    predicate=_predicate(tenant_id, as_of_dates),
                    commit_properties=CommitProperties(custom_metadata=metadata),
                )
        except CommitFailedError as conflict:
            log.info("%s: %s met another commit (attempt %d)", table, tenant_id, attempt)
            if attempt == ATTEMPTS:
                raise FeatureStoreError(
                    f"{table}: other writers won {ATTEMPTS} times against tenant {tenant_id}: "
                    f"{conflict}. Run the features task again; nothing was half written."
                ) from conflict
            continue
        return Written(_version_of(settings, table, metadata), changed=True), frame.height
    raise AssertionError("unreachable")


def _create(settings: Settings, table: str, schema: dict[str, type[pl.DataType]]) -> None:
    """The empty table, by tenant, without change feed (Sail cannot append to one)."""
    for attempt in range(1, ATTEMPTS + 1):
        if version(settings, table, "features") is not None:
            return
        try:
            write_deltalake(
                uri(settings, "features", table),
                pl.DataFrame(schema=schema).to_arrow(),
                mode="ignore",
                partition_by=["tenant_id"],
            )
        except DeltaError:  # another tenant's task creates it at this moment
            if attempt == ATTEMPTS:
                raise


def _held(
    current: DeltaTable,
    tenant_id: str,
    as_of_dates: Sequence[date],
    keys: Sequence[str],
    schema: dict[str, type[pl.DataType]],
) -> pl.DataFrame:
    return (
        pl.scan_delta(current)
        .filter(pl.col("tenant_id") == tenant_id, pl.col("as_of_date").is_in(list(as_of_dates)))
        .select(*schema)
        .collect()
        .sort(*keys)
    )


def _predicate(tenant_id: str, as_of_dates: Sequence[date]) -> str:
    days = ", ".join(f"DATE '{day.isoformat()}'" for day in as_of_dates)
    return f"tenant_id = '{tenant_id}' AND as_of_date IN ({days})"


def _write_by_spark(
    settings: Settings, table: str, rows: DataFrame, predicate: str, metadata: dict[str, str]
) -> None:
    (
        rows.write.format("delta")
        .mode("overwrite")
        .option("replaceWhere", predicate)
        .option("userMetadata", json.dumps(metadata))
        .save(uri(settings, "features", table))
    )


def _version_of(settings: Settings, table: str, metadata: dict[str, str]) -> int:
    """The version this run's commit made; others may have committed since."""
    stamp = metadata["run_id"], metadata["tenant_id"]
    for commit in DeltaTable(uri(settings, "features", table)).history(limit=50):
        said = json.loads(commit["userMetadata"]) if "userMetadata" in commit else commit
        if (said.get("run_id"), said.get("tenant_id")) == stamp:
            return commit["version"]
    raise FeatureStoreError(f"{table}: the commit of run {stamp[0]} is not in the table's history")
