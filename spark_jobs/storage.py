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
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
from deltalake import DeltaTable

from analytics.errors import LakeError
from analytics.lake import delta, paths, read
from analytics.lake.replace import Written
from analytics.lake.replace import replace as replace_rows
from analytics.lake.tables import TABLES
from analytics.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SPARK_TYPES = {
    pl.String: "string",
    pl.Int64: "bigint",
    pl.Int32: "int",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Datetime: "timestamp",
}


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
            .load(paths.table(settings, "silver", table))
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

    snapshot = DeltaTable(paths.table(settings, "silver", table), version=at)
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
    if read.version(settings, "features", table) is None:
        return []
    return (
        read.scan(settings, table, tenant_id, layer="features")
        .select(pl.col("as_of_date").unique().sort())
        .collect()["as_of_date"]
        .to_list()
    )


def collect(rows: DataFrame, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """What Spark computed, in the table's columns and types."""
    return pl.DataFrame(pl.from_arrow(rows.toArrow())).select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )


def replace(
    settings: Settings,
    tenant_id: str,
    table: str,
    rows: DataFrame,
    frame: pl.DataFrame,
    as_of_dates: Sequence[date],
    keys: Sequence[str],
    metadata: dict[str, str],
) -> Written:
    """Make `rows`, of which `frame` is the collected form, all of (tenant, as_of_dates).

    One atomic commit, none when the table holds just these rows already. The
    table has no change feed: Sail cannot append to one that has.
    """
    where = {"as_of_date": list(as_of_dates)}

    def by_spark(predicate: str) -> int:
        stamped = {**metadata, "tenant_id": tenant_id}
        _write_by_spark(settings, table, rows, predicate, stamped)
        return _version_of(settings, table, stamped)

    on_a_cluster = settings.analytics_spark.startswith("sc://")
    return replace_rows(
        settings, tenant_id, "features", table, frame.sort(*keys), where, metadata,
        write=by_spark if on_a_cluster else None,
    )  # fmt: skip


def _write_by_spark(
    settings: Settings, table: str, rows: DataFrame, predicate: str, metadata: dict[str, str]
) -> None:
    uri = paths.table(settings, "features", table)
    writer = rows.write.format("delta").option("userMetadata", json.dumps(metadata))
    if delta.open_table(uri) is None:
        writer.mode("error").partitionBy("tenant_id").save(uri)
    else:
        writer.mode("overwrite").option("replaceWhere", predicate).save(uri)


def _version_of(settings: Settings, table: str, metadata: dict[str, str]) -> int:
    """The version this run's commit made; others may have committed since."""
    stamp = metadata["run_id"], metadata["tenant_id"]
    for commit in DeltaTable(paths.table(settings, "features", table)).history(limit=50):
        said = json.loads(commit["userMetadata"]) if "userMetadata" in commit else commit
        if (said.get("run_id"), said.get("tenant_id")) == stamp:
            return commit["version"]
    raise LakeError(f"{table}: the commit of run {stamp[0]} is not in the table's history")
