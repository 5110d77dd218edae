"""Parquet, CSV and JSON-lines files with a declared mapping.

Feeds    the one table that `table` names. Columns nobody declared are not read.
Identity the table's key when it is declared, else all declared columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import declared, files
from analytics.sources.base import Batch, Unit, Units, rejects
from analytics.sources.json_lines import RAW_WIDTH, parsed, pieces
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

ROWS_A_BATCH = 200_000
BYTES_A_BATCH = 32 << 20


class Declared(files.FileReader):
    """What the three formats share."""

    format = ""
    example = ""

    def feeds(self, source: Source) -> tuple[str, ...]:
        return (source.table or "",)

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return declared.types(source)

    def units(
        self, settings: Settings, tenant: Tenant, source: Source, interval: Interval
    ) -> Units:
        declared.table_of(tenant, source)
        return super().units(settings, tenant, source, interval)

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        return declared.conform(tenant, source, bronze)

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        raise NotImplementedError


def _example(name: str) -> str:
    return (
        f"- {{name: payments, format: {name}, table: payments, "
        f'path: "{{landing}}/my_tenant/payments/{{date}}.{name}", '
        "columns: {payment_id: invoice, listener_id: user, paid_at: at, amount_minor: amount, "
        "currency: currency, kind: type}, units: {paid_at: epoch_s, amount_minor: major}}"
    )


class Parquet(Declared):
    format = "parquet"
    example = _example("parquet")

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        assert unit.path is not None
        if unit.path.stat().st_size == 0:
            return
        types = declared.types(source)
        try:
            with pyarrow.parquet.ParquetFile(unit.path) as file:
                names = file.schema_arrow.names
                declared.require_columns(tenant, source, unit, names)
                wanted = [name for name in types if name in names]
                first_row = 0
                for part in file.iter_batches(batch_size=ROWS_A_BATCH, columns=wanted):
                    frame = pl.DataFrame(pl.from_arrow(part))
                    yield typed_batch(
                        tenant, source, source.table or "", unit, frame, types, first_row=first_row
                    )
                    first_row += frame.height
        except (pa.ArrowInvalid, OSError) as error:
            what = str(error).splitlines()[0]
            raise files.damaged(tenant, source, unit, what) from None


class Csv(Declared):
    """Comma-separated with a header line; RFC 4180 quoting."""

    format = "csv"
    example = _example("csv")

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        assert unit.path is not None
        if unit.path.stat().st_size == 0:
            return
        broken: list[tuple[int, str]] = []
        with files.opened(tenant, source, unit) as file:
            try:
                reader = _open_csv(file, broken)
                declared.require_columns(tenant, source, unit, reader.schema.names)
                first_row = 0
                for part in reader:
                    yield self._batch(tenant, source, unit, part, broken, first_row)
                    first_row += part.num_rows
                if broken:
                    empty = pa.RecordBatch.from_pylist([], schema=reader.schema)
                    yield self._batch(tenant, source, unit, empty, broken, first_row)
            except pa.ArrowInvalid as error:
                what = str(error).splitlines()[0]
                raise files.damaged(tenant, source, unit, what) from None

    def _batch(
        self,
        tenant: Tenant,
        source: Source,
        unit: Unit,
        part: pa.RecordBatch,
        broken: list[tuple[int, str]],
        first_row: int,
    ) -> Batch:
        """The typed rows; takes the lines of the wrong width out of `broken`."""
        types, table = declared.types(source), source.table or ""
        frame, unreadable = _decoded(pl.DataFrame(pl.from_arrow(part)), first_row)
        frame = frame.select([c for c in types if c in frame.columns] + ["_row"])
        batch = typed_batch(tenant, source, table, unit, frame, types)
        # Rows of the wrong width are numbered from -1 downwards: they are no data rows.
        found = [(-(number or n + 1), text) for n, (number, text) in enumerate(broken)] + unreadable
        broken.clear()
        if not found:
            return batch
        bad = pl.DataFrame(
            {
                "row": [number for number, _ in found],
                "rule": ["row_parses"] * len(found),
                "column": [None] * len(found),
                "value": [None] * len(found),
                "raw": [text[:RAW_WIDTH] for _, text in found],
            },
            schema_overrides={"column": pl.String, "value": pl.String},
        )
        return Batch(
            batch.rows, pl.concat([batch.rejects, rejects(tenant, source, table, unit, bad)])
        )


class Jsonl(Declared):
    format = "jsonl"
    example = _example("jsonl")

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        types, table = declared.types(source), source.table or ""
        with files.opened(tenant, source, unit) as file:
            for number, lines in pieces(file):
                frame, broken = parsed(number, lines, types)
                if frame.height:
                    there = [c for c in types if frame[c].null_count() < frame.height]
                    declared.require_columns(tenant, source, unit, there)
                batch = typed_batch(tenant, source, table, unit, frame, types)
                bad = rejects(tenant, source, table, unit, broken)
                yield Batch(batch.rows, pl.concat([batch.rejects, bad]))


def _open_csv(file, broken: list[tuple[int, str]]) -> pyarrow.csv.CSVStreamingReader:
    """Every column as bytes, so that no value is guessed and no bad byte stops the file."""

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        broken.append((row.number, row.text))
        return "skip"

    header = file.readline()
    file.seek(0)
    names = next(iter(pl.read_csv(header, has_header=False, infer_schema=False).rows()), ())
    return pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BYTES_A_BATCH),
        parse_options=pyarrow.csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=set_aside
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=False,
            column_types={(name or "").lstrip("\ufeff"): pa.binary() for name in names},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _decoded(frame: pl.DataFrame, first_row: int) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """Bytes as text + `_row`; rows that are no UTF-8 are given apart."""
    frame = frame.with_columns(
        pl.int_range(first_row, first_row + frame.height, dtype=pl.Int64).alias("_row")
    )
    binary = [c for c, t in frame.schema.items() if t == pl.Binary]
    try:
        return frame.with_columns(pl.col(binary).cast(pl.String)), []
    except pl.exceptions.PolarsError:
        pass  # only a damaged batch is looked at row by row
    good, bad = [], []
    for row in frame.iter_rows(named=True):
        line = b",".join(row[c] or b"" for c in binary)
        try:
            line.decode("utf-8")
            good.append(row["_row"])
        except UnicodeDecodeError:
            bad.append((row["_row"], line.decode("utf-8", errors="replace")))
    kept = frame.filter(pl.col("_row").is_in(good))
    return kept.with_columns(pl.col(binary).cast(pl.String)), bad
