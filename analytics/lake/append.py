"""Append rows to a Delta table: Parquet files by Polars, then one commit that names them.

The files are invisible until the commit and swept away where it never came. Polars
encodes on all cores, the library's own writer on one. Statistics follow the protocol
(Delta transaction log, "Per-file Statistics"): instants to the millisecond, texts cut
to a prefix, both to the outer side, so that skipping files never skips a row.
"""

from __future__ import annotations

import io
import json
import math
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from obstore.store import ObjectStore, from_url

from analytics.errors import LakeError
from analytics.lake import refusals

ROWS_A_FILE = 1_000_000
COMPRESSION: Literal["snappy"] = "snappy"  # quick; upkeep writes small files anew, and tighter
INDEXED = 32  # columns with statistics, as other writers do
PREFIX = 32  # characters of a text in the statistics
LAST = "\U0010ffff"  # sorts after any other character


def create(
    uri: str,
    like: pl.DataFrame,
    files: Sequence[AddAction],
    partition_by: list[str],
    commit: CommitProperties,
) -> None:
    """Make a table of these files, which hold rows `like` these. DeltaError: one is there."""
    create_table_with_add_actions(
        uri, _schema(like), [*files], mode="error", partition_by=partition_by,
        commit_properties=commit,
    )  # fmt: skip


def append(
    table: DeltaTable, like: pl.DataFrame, files: Sequence[AddAction], commit: CommitProperties
) -> None:
    """Add these files in one commit. Raises LakeError when they have not the table's columns."""
    schema = table.schema()
    if not _is_alike(_schema(like), schema):
        raise LakeError(
            f"{table.table_uri} has the columns {_said(schema)}, not {_said(_schema(like))}"
        )
    table.create_write_transaction(
        [*files], "append", schema, table.metadata().partition_columns, commit_properties=commit
    )


def data_files(
    uri: str, frames: Iterable[pl.DataFrame], partition_by: Sequence[str] = ()
) -> Iterator[AddAction]:
    """Write the rows beside the table's files, unseen until a commit names them."""
    for frame in _large(frames):
        for values, rows in _parts(frame, partition_by):
            if rows.height:
                partition = dict(zip(partition_by, values, strict=True))
                yield _file(uri, rows.drop(partition_by), partition)


@contextmanager
def discarding(uri: str, files: list[AddAction]) -> Iterator[list[AddAction]]:
    """Files that no commit was given yet: those left in the list are removed in the end."""
    try:
        yield files
    finally:
        if files:
            with refusals.told():
                object_store(uri).delete([file.path for file in files])


def _schema(frame: pl.DataFrame) -> Schema:
    return Schema.from_arrow(frame.clear().to_arrow(compat_level=pl.CompatLevel.oldest()).schema)


def _is_alike(one: Schema, other: Schema) -> bool:
    return {f.name: f.type for f in one.fields} == {f.name: f.type for f in other.fields}


def _said(schema: Schema) -> str:
    return ", ".join(f"{f.name} {f.type}" for f in schema.fields)


def _large(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The frames put together until they are worth a file."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(f.height for f in waiting) >= ROWS_A_FILE:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)


def _parts(
    frame: pl.DataFrame, partition_by: Sequence[str]
) -> Iterable[tuple[tuple[Any, ...], pl.DataFrame]]:
    ends = (
        frame.select(pl.col(partition_by).min()).rows()
        + frame.select(pl.col(partition_by).max()).rows()
    )
    if len(set(ends)) <= 1:  # as a rule there is one tenant, and nothing to part
        return [(ends[0] if ends else (), frame)]
    return frame.partition_by(partition_by, as_dict=True).items()


def _file(uri: str, rows: pl.DataFrame, partition: dict[str, Any]) -> AddAction:
    path = fresh_path(partition)
    size = _write(uri, path, rows)
    return named(path, size, partition, json.dumps(statistics(rows)))


def named(path: str, size: int, partition: dict[str, Any], stats: str) -> AddAction:
    """A data file as a commit names it."""
    return AddAction(
        path=path,
        size=size,
        partition_values={column: str(value) for column, value in partition.items()},
        modification_time=int(time.time() * 1000),  # of the file, as a file system would say
        data_change=True,
        stats=stats,
    )


def fresh_path(partition: dict[str, Any]) -> str:
    """Where a new data file goes, below the table's folder."""
    folder = "".join(f"{column}={value}/" for column, value in partition.items())
    return f"{folder}part-{uuid.uuid4()}.parquet"


def _write(uri: str, path: str, rows: pl.DataFrame) -> int:
    """Put the file into the store, whole or not at all; gives its bytes. Raises LakeError."""
    content = io.BytesIO()
    rows.write_parquet(content, compression=COMPRESSION)
    with refusals.told():
        object_store(uri).put(path, content.getvalue())
    return content.tell()


def object_store(uri: str) -> ObjectStore:
    """The files below a folder of the lake, each put there whole or not at all."""
    make_folder(uri)
    return from_url(uri if "://" in uri else Path(uri).absolute().as_uri())


def make_folder(uri: str) -> None:
    """Where folders are made: here, not in an object store."""
    if "://" not in uri:
        Path(uri).mkdir(parents=True, exist_ok=True)


def statistics(rows: pl.DataFrame) -> dict[str, Any]:
    """What a reader may know of a file without opening it: rows, nulls, least and greatest."""
    columns = rows.columns[:INDEXED]
    plain = [c for c in columns if not rows.schema[c].is_nested()]
    wide = rows.select(
        pl.col(plain).null_count().name.prefix("nulls "),
        pl.col(plain).min().name.prefix("least "),
        pl.col(plain).max().name.prefix("greatest "),
    ).row(0, named=True)
    least = {c: _floor(wide[f"least {c}"]) for c in plain}
    greatest = {c: _ceiling(wide[f"greatest {c}"]) for c in plain}
    bounded = [c for c in plain if least[c] is not None and greatest[c] is not None]
    return {
        "numRecords": rows.height,
        "nullCount": {c: wide[f"nulls {c}"] for c in plain},
        "minValues": {c: least[c] for c in bounded},
        "maxValues": {c: greatest[c] for c in bounded},
    }


def _floor(value: Any) -> Any:
    return value[:PREFIX] if isinstance(value, str) else _plain(value)


def _ceiling(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= PREFIX else value[:PREFIX] + LAST
    if isinstance(value, datetime):
        return _plain(value + timedelta(microseconds=999))
    return _plain(value)


def _plain(value: Any) -> Any:
    """As the protocol writes it; None where it knows no bound for it."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):  # a NaN in the file is in no order
        return value if math.isfinite(value) else None
    return value if isinstance(value, (bool, int)) else None
