"""Cast columns to declared types and set aside the rows whose values do not fit."""

from __future__ import annotations

import polars as pl

from analytics.lake.lineage import ORIGIN, REJECTS
from analytics.lake.tables import INSTANT
from analytics.sources.base import Batch, Came, Unit, no_rejects, rejects
from analytics.tenants import Source, Tenant

DataType = pl.DataType | type[pl.DataType]
RAW_WIDTH = 4000  # characters of a rejected row that are kept

# Every one means UTC where it names no zone.
INSTANT_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)
ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
DAY_LAYOUT = "%Y-%m-%d"
INSTANT_LAYOUTS = (*INSTANT_FORMATS, *ZONED_FORMATS, DAY_LAYOUT)
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def cast(values: pl.Series, dtype: DataType) -> pl.Series:
    """The values as `dtype`; null where one does not fit."""
    source = values.dtype
    if source == dtype:
        return values
    if source == pl.Null:
        return values.cast(dtype)
    if dtype == pl.String:
        return _text(values)
    if source == pl.String:
        return _parsed(values.str.strip_chars(), dtype)
    if isinstance(dtype, pl.Datetime):
        if not source.is_temporal():
            return pl.Series(values.name, [None] * len(values), dtype=dtype)
        if isinstance(source, pl.Datetime) and source.time_zone:
            return values.dt.convert_time_zone("UTC").cast(dtype)
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype.is_integer() and source.is_float():
        whole = values.is_finite() & (values == values.round())
        return values.set(~whole.fill_null(True), None).cast(dtype, strict=False)
    if dtype == pl.Boolean and source.is_integer():
        return values.set(~values.is_in([0, 1]).fill_null(True), None).cast(pl.Boolean)
    try:
        return values.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None] * len(values), dtype=dtype)


def typed_batch(
    tenant: Tenant,
    source: Source,
    table: str,
    unit: Unit,
    frame: pl.DataFrame,
    types: dict[str, DataType],
    *,
    first_row: int = 0,
    came: Came | None = None,
) -> Batch:
    """A batch whose columns have the given types.

    `frame` holds the columns as they were read, and `_row` unless rows count from
    `first_row`. A row with a value that does not fit becomes a reject per such column.
    """
    if "_row" not in frame.columns:
        numbers = pl.int_range(first_row, first_row + frame.height, dtype=pl.Int64, eager=True)
        frame = frame.with_columns(numbers.alias("_row"))
    columns, misfits = {}, {}
    for name, dtype in types.items():
        given = frame[name] if name in frame.columns else pl.Series(name, [None] * frame.height)
        columns[name] = cast(given, dtype)
        if columns[name].null_count() == given.null_count():
            continue  # a null stays null, so none was lost
        lost = columns[name].is_null() & given.is_not_null()
        if given.dtype == pl.String:
            lost &= given.str.strip_chars() != ""
        if lost.any():
            misfits[name] = lost
    rows = pl.DataFrame(columns) if columns else pl.DataFrame()
    rows = rows.select(pl.lit(tenant.id).alias("tenant_id"), *types).with_columns(
        pl.lit(unit.name).alias("_file"),
        pl.lit(unit.digest).alias("_file_hash"),
        frame["_row"].cast(pl.Int64),
        pl.lit(unit.arrived_on, pl.Date).alias("_arrived_on"),
    )
    rows = rows.select("tenant_id", *types, *ORIGIN)
    if not misfits:
        return Batch(rows, no_rejects(), came)
    found = pl.concat(_misfit(frame, name, lost) for name, lost in misfits.items())
    bad = pl.Series([False] * frame.height)
    for lost in misfits.values():
        bad |= lost
    return Batch(rows.filter(~bad), rejects(tenant, source, table, unit, found), came)


def _misfit(frame: pl.DataFrame, column: str, lost: pl.Series) -> pl.DataFrame:
    rows = frame.filter(lost)
    whole = rows.drop("_row").select(pl.struct(pl.all()).struct.json_encode())
    return pl.DataFrame(
        {
            "row": rows["_row"].cast(pl.Int64),
            "rule": [f"type:{column}"] * rows.height,
            "column": [column] * rows.height,
            "value": _text(rows[column]),
            "raw": whole.to_series().str.head(RAW_WIDTH),
        },
        schema={c: REJECTS[c] for c in ("row", "rule", "column", "value", "raw")},
    )


def _text(values: pl.Series) -> pl.Series:
    dtype = values.dtype
    if isinstance(dtype, pl.Struct):
        return values.struct.json_encode()
    if isinstance(dtype, pl.List | pl.Array):
        return values.to_frame("v").select(pl.struct("v").struct.json_encode()).to_series()
    if dtype == pl.Binary:
        return values.bin.encode("hex")
    if dtype.is_float() and (values == values.round()).all():
        return values.cast(pl.Int64, strict=False).cast(pl.String)  # ids that met a null on the way
    return values.cast(pl.String)


def _parsed(texts: pl.Series, dtype: DataType) -> pl.Series:
    texts = texts.set(texts == "", None)
    if isinstance(dtype, pl.Datetime):
        return _instants(texts)
    if dtype == pl.Date:
        return texts.str.to_date("%Y-%m-%d", strict=False)
    if dtype == pl.Boolean:
        low = texts.str.to_lowercase().to_frame("v")
        return (
            low.select(
                pl.when(pl.col("v").is_in(TRUE))
                .then(True)
                .when(pl.col("v").is_in(FALSE))
                .then(False)
            )
            .to_series()
            .alias(texts.name)
        )
    parsed = texts.cast(dtype, strict=False)
    if dtype.is_integer() and (parsed.is_null() & texts.is_not_null()).any():
        floats = texts.cast(pl.Float64, strict=False)
        return parsed.zip_with(parsed.is_not_null(), cast(floats, dtype))
    return parsed


def _instants(texts: pl.Series) -> pl.Series:
    """Each text by the first layout that fits it; the one of the column's first text goes first."""
    found = pl.Series(texts.name, [None] * len(texts), dtype=INSTANT)
    first = texts.drop_nulls().head(1)
    fitting = [it for it in INSTANT_LAYOUTS if _by_layout(first, it).null_count() == 0]
    for layout in [*fitting[:1], *(it for it in INSTANT_LAYOUTS if it not in fitting[:1])]:
        open_ = found.is_null() & texts.is_not_null()
        if not open_.any():
            break
        found = found.zip_with(found.is_not_null(), _by_layout(texts.set(~open_, None), layout))
    return found


def _by_layout(texts: pl.Series, layout: str) -> pl.Series:
    if layout == DAY_LAYOUT:
        days = texts.str.to_date(layout, strict=False)
        return days.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return texts.str.to_datetime(layout, strict=False, time_unit="us", time_zone="UTC")
