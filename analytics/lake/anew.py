"""Bronze tables in the columns their sources declare, also when these are declared otherwise.

A table whose columns are not those of now is written anew in one commit. So its columns
say how it was read, also after a kill. Rows of files that are gone stay, with what of
their values fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from analytics.lake import delta
from analytics.lake.lineage import ORIGIN
from analytics.sources import reader
from analytics.sources.typed import cast
from analytics.tenants import Source

LITTLE = 2  # batches and files read ahead


def columns_of(source: Source) -> pl.Schema:
    """The columns of the source's bronze table, as it is declared now."""
    return pl.Schema({"tenant_id": pl.String, **reader(source.format).schema(source), **ORIGIN})


def is_as_declared(table: DeltaTable, source: Source) -> bool:
    """Whether the table holds the columns, of the types, that the source declares now."""
    return dict(pl.scan_delta(table).collect_schema()) == dict(columns_of(source))


def write(
    table: DeltaTable,
    source: Source,
    rows: Iterable[pl.DataFrame],
    replaced: list[str],
    commit: CommitProperties,
) -> None:
    """Put these rows in place of those of the replaced files, in the columns of now."""
    columns = columns_of(source)
    # Opened before the write begins: within it the library opens nothing.
    held = table.to_pyarrow_dataset().scanner(batch_readahead=LITTLE, fragment_readahead=LITTLE)
    kept = _kept(held.to_reader(), columns, replaced)
    write_deltalake(
        table,
        delta.batches(in_columns(chain(kept, rows), columns)),
        mode="overwrite",
        schema_mode="overwrite",
        commit_properties=commit,
    )


def in_columns(frames: Iterable[pl.DataFrame], columns: pl.Schema) -> Iterator[pl.DataFrame]:
    """The frames in this order of columns, after an empty one that tells the types."""
    yield pl.DataFrame(schema=columns)
    for frame in frames:
        yield frame.select(list(columns))


def _kept(
    held: pa.RecordBatchReader, columns: pl.Schema, replaced: list[str]
) -> Iterator[pl.DataFrame]:
    """The rows of units that are not read again; a value that does not fit its column is null."""
    for batch in held:
        frame = pl.DataFrame(pl.from_arrow(batch)).filter(~pl.col("_file").is_in(replaced))
        yield pl.DataFrame(
            [
                _fitting(frame[name], dtype)
                if name in frame.columns
                else pl.Series(name, [None] * frame.height, dtype=dtype)
                for name, dtype in columns.items()
            ]
        )


def _fitting(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    # An instant is no number: read as one it would be some other instant.
    is_instant = values.dtype.is_temporal() and not dtype.is_temporal()
    return cast(values.cast(pl.String) if is_instant else values, dtype)
