"""Parquet, CSV and JSON-lines files with a declared mapping.

Feeds    the one table that `table` names. Of columns nobody declared only the names are read.
Identity the table's key when it is declared, else all declared columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.sources import declared, files, physical, stores
from analytics.sources.base import Batch, Came, Look, Recognised, Unit, Units, rejects
from analytics.sources.files import DAY
from analytics.sources.json_lines import RAW_WIDTH, keys, parsed, pieces
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

ROWS_A_BATCH = 200_000
BYTES_A_BATCH = 32 << 20
LONGEST_HEADER = 1 << 20
LINES_ASKED = 1000  # of each piece, for keys that nobody declared


class Declared(files.FileReader):
    """What the three formats share."""

    format = ""
    example = ""
    row_by_row = True

    def recognise(self, look: Look) -> Recognised | None:
        """A file or folder named like one of our tables that uses our column names."""
        if look.suffix != f".{self.format}":
            return None
        for name in look.name.rsplit("/", 2)[-2:][::-1]:
            table = TABLES.get(DAY.sub("", name.partition(".")[0]).strip("-_."))
            if table is not None:
                there = self.names_in(look)
                ours = [c for c in table.columns if c in there and c != "tenant_id"]
                if set(table.required) - {"tenant_id", table.key} <= set(ours):
                    columns = {c: c for c in ours}
                    return Recognised(table.name, {"table": table.name, "columns": columns})
        return None

    def names_in(self, look: Look) -> list[str]:
        """The columns the file says it has."""
        raise NotImplementedError

    def feeds(self, source: Source) -> tuple[str, ...]:
        return (source.table or "",)

    def lacks(self, source: Source) -> frozenset[str]:
        return declared.lacks(source)

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

    def names_in(self, look: Look) -> list[str]:
        if not look.head:  # brings nothing and stops nothing, as in a drop
            return []
        with stores.opened(look.location) as file:
            return list(pyarrow.parquet.read_schema(file).names)

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        types = declared.types(source)
        first_row = 0
        try:
            for stored in files.seekable(tenant, source, unit):
                with pyarrow.parquet.ParquetFile(stored) as file:
                    came = Came({f.name: physical.of_arrow(f.type) for f in file.schema_arrow})
                    declared.require_columns(tenant, source, unit, list(came.types))
                    wanted = [name for name in types if name in came.types]
                    for part in file.iter_batches(batch_size=ROWS_A_BATCH, columns=wanted):
                        frame = pl.DataFrame(pl.from_arrow(part))
                        yield typed_batch(
                            tenant, source, source.table or "", unit, frame, types,
                            first_row=first_row, came=came,
                        )  # fmt: skip
                        first_row += frame.height
        except (pa.ArrowInvalid, OSError) as error:
            what = str(error).splitlines()[0]
            raise files.damaged(tenant, source, unit, what) from None


class Csv(Declared):
    """Comma-separated with a header line; RFC 4180 quoting."""

    format = "csv"
    example = _example("csv")

    def names_in(self, look: Look) -> list[str]:
        return _header(io.BytesIO(look.head))

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        first_row = 0
        for _, file in files.members(tenant, source, unit):
            broken: list[tuple[int, str]] = []
            try:
                names = _header(file)
                if not names:
                    continue
                declared.require_columns(tenant, source, unit, names)
                reader = _open_csv(file, names, broken)
                if reader is None:
                    continue
                came = Came(dict.fromkeys(names, physical.TEXT))
                for part in reader:
                    batch = self._batch(tenant, source, unit, part, broken, first_row)
                    yield replace(batch, came=came)
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

    def names_in(self, look: Look) -> list[str]:
        return list(look.first_object)

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        types, table = declared.types(source), source.table or ""
        first = 0
        for _, file in files.members(tenant, source, unit):
            for number, lines in pieces(file, first):
                first = number + len(lines)
                frame, broken = parsed(number, lines, types)
                there = [c for c in types if frame[c].null_count() < frame.height]
                if frame.height:
                    declared.require_columns(tenant, source, unit, there)
                names = {*there, *keys(lines[:LINES_ASKED])}
                batch = typed_batch(tenant, source, table, unit, frame, types)
                bad = rejects(tenant, source, table, unit, broken)
                yield Batch(
                    batch.rows,
                    pl.concat([batch.rejects, bad]),
                    Came(dict.fromkeys(sorted(names), physical.TEXT), is_whole=False),
                )


def _open_csv(
    file: IO[bytes], names: list[str], broken: list[tuple[int, str]]
) -> pyarrow.csv.CSVStreamingReader | None:
    """Every column as bytes, so that no value is guessed and no bad byte stops the file.

    The file stands behind its header. None when nothing follows. Raises ArrowInvalid.
    """

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        broken.append((row.number and row.number + 1, row.text))  # the header is a line as well
        return "skip"

    try:
        return pyarrow.csv.open_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BYTES_A_BATCH, column_names=names
            ),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=set_aside
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.binary()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return None
        raise


def _header(file: IO[bytes]) -> list[str]:
    """The names of the columns; the file then stands before its first row."""
    line = file.readline(LONGEST_HEADER)
    while line.count(b'"') % 2 and len(line) < LONGEST_HEADER:  # a line end within a name
        more = file.readline(LONGEST_HEADER)
        if not more:
            break
        line += more
    if not line.strip():
        return []
    if len(line) >= LONGEST_HEADER:
        raise pa.ArrowInvalid(f"its header is longer than {LONGEST_HEADER:,} bytes")
    try:
        return next(iter(csv.reader([line.decode("utf-8-sig", errors="replace")])))
    except csv.Error as error:
        raise pa.ArrowInvalid(f"its header cannot be read: {error}") from None


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
