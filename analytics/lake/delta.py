"""Read and write Delta tables so that every write is one atomic commit.

A write carries app transactions (what it stands for: a file, a landing) and is
tried again when another process committed first. Nothing here knows a layer.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction

from analytics.errors import LakeError
from analytics.lake import append
from analytics.lake.refusals import refusal

ATTEMPTS = 12
T = TypeVar("T")
Rows: TypeAlias = (
    pl.DataFrame | pa.RecordBatchReader | Iterable[pl.DataFrame]
)  # frames: one at least


def open_table(uri: str, version: int | None = None) -> DeltaTable | None:
    """The table, or None when there is none yet. Raises LakeError when its store refuses."""
    try:
        return DeltaTable(uri, version=version)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise refusal(error) or error from None


def version(uri: str) -> int | None:
    table = open_table(uri)
    return None if table is None else table.version()


def literal(value: str) -> str:
    """A SQL string literal for a Delta predicate."""
    return "'" + value.replace("'", "''") + "'"


def properties(
    transactions: Iterable[tuple[str, int]] = (), metadata: dict[str, Any] | None = None
) -> CommitProperties:
    return CommitProperties(
        app_transactions=[Transaction(app, number) for app, number in transactions],
        custom_metadata={k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
        if metadata
        else None,
        max_commit_retries=ATTEMPTS,
    )


def write(
    target: str | DeltaTable,
    data: Rows,
    *,
    files: Sequence[AddAction] = (),
    predicate: str | None = None,
    partition_by: list[str] | None = None,
    commit: CommitProperties | None = None,
) -> None:
    """Append to a table, or with a predicate replace the rows it selects.

    `files` of rows like these, written already, are appended by the same commit. A location
    instead of a table means that no table was there when the caller looked; one that appeared
    since makes this fail, for `retrying` to look again.
    """
    if predicate is not None:
        write_deltalake(
            target, batches(data), mode="overwrite", predicate=predicate, commit_properties=commit
        )
        return
    commit = commit or CommitProperties()
    frames = _frames(data)
    first = next(frames)
    frames = chain([first], frames)
    # What was written for a commit that seems to have failed stays: who knows. It is swept away
    # as old when no commit names it.
    if isinstance(target, DeltaTable):
        parts = target.metadata().partition_columns
        fresh = append.data_files(target.table_uri, frames, parts)
        append.append(target, first, [*files, *fresh], commit)
        return
    append.make_folder(target)
    # A retry inside the library would append to the winner's table without asking
    # whether the two exclude each other.
    commit.max_commit_retries = 0
    parts = partition_by or []
    fresh = append.data_files(target, frames, parts)
    append.create(target, first, [*files, *fresh], parts, commit)


def _frames(data: Rows) -> Iterator[pl.DataFrame]:
    if isinstance(data, pl.DataFrame):
        yield data
    elif isinstance(data, pa.RecordBatchReader):
        yield pl.DataFrame(schema=pl.Schema(data.schema))
        yield from map(pl.DataFrame, data)
    else:
        yield from data


def batches(data: Rows) -> pl.DataFrame | pa.RecordBatchReader:
    """What the library itself takes."""
    if isinstance(data, (pl.DataFrame, pa.RecordBatchReader)):
        return data
    frames = iter(data)
    first = next(frames)
    schema = first.to_arrow().schema
    tables = (frame.to_arrow().cast(schema) for frame in chain([first], frames))
    return pa.RecordBatchReader.from_batches(
        schema, (batch for table in tables for batch in table.to_batches())
    )


def widened(table: DeltaTable, columns: Mapping[str, Any]) -> DeltaTable:
    """The table with all of these columns; those it lacks are null in the rows it holds."""
    there = {field.name for field in table.schema().fields}
    lacking = {name: dtype for name, dtype in columns.items() if name not in there}
    if lacking:
        fields = pl.DataFrame(schema=lacking).to_arrow().schema
        table.alter.add_columns(list(Schema.from_arrow(fields).fields))
    return table


def next_number(table: DeltaTable | None, app: str) -> tuple[str, int]:
    """The app's next transaction: of two that read the same version, one commits, one looks again.

    For what is decided by reading the table first.
    """
    return app, (table.transaction_version(app) or 0) + 1 if table else 1


def upsert(
    table: DeltaTable, rows: pl.DataFrame, *, tenant_id: str, key: str, commit: CommitProperties
) -> None:
    """Put rows in by key within one tenant, in one commit.

    The predicate holds the tenant as a literal, so tenants never conflict.
    """
    (
        table.merge(
            rows,
            predicate=(
                f"target.tenant_id = {literal(tenant_id)} "
                f"and target.{key} = source.{key} and source.tenant_id = target.tenant_id"
            ),
            source_alias="source",
            target_alias="target",
            commit_properties=commit,
        )
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )


def retrying(step: Callable[[], T]) -> T:
    """Run a read-decide-commit step again while another process commits first.

    Raises LakeError when others were first every time, or when the object store refuses.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return step()
        except (CommitFailedError, DeltaError, OSError) as error:
            lost_race = isinstance(error, CommitFailedError) or "already exists" in str(error)
            if not lost_race:
                raise refusal(error) or error from None
            if attempt == ATTEMPTS:
                raise LakeError(
                    f"other writers were first {ATTEMPTS} times ({error}); run the task again, "
                    "nothing was half written"
                ) from error
            time.sleep(random.uniform(0.05, 0.2) * attempt)  # waiting order, not data
    raise AssertionError("unreachable")
