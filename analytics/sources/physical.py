"""The types that columns come in, by one word each, whatever the format calls them."""

from __future__ import annotations

import re

import polars as pl
import pyarrow as pa

TEXT = "string"
# PostgreSQL's name → ours; of any other type the text it is written as is read.
_POSTGRES = {
    "int2": "int16", "int4": "int32", "int8": "int64", "float4": "float32", "float8": "float64",
    "numeric": "float64", "bool": "bool", "date": "date", "timestamp": "instant",
    "timestamptz": "instant",
}  # fmt: skip
_INTEGER = re.compile(r"(u?)int(\d+)")


def of_arrow(dtype: pa.DataType) -> str:
    """Layouts of one type (dictionaries, long strings, units of time) have the same word."""
    kinds = pa.types
    if kinds.is_dictionary(dtype):
        return of_arrow(dtype.value_type)
    if kinds.is_string(dtype) or kinds.is_large_string(dtype) or kinds.is_string_view(dtype):
        return TEXT
    if kinds.is_timestamp(dtype):
        return "instant"
    if kinds.is_date(dtype):
        return "date"
    if kinds.is_decimal(dtype) or kinds.is_float64(dtype):
        return "float64"
    return "float32" if kinds.is_floating(dtype) else str(dtype)


def of_polars(dtype: pl.DataType | type[pl.DataType]) -> str:
    return of_arrow(pl.Series([], dtype=dtype).to_arrow().type)


def of_postgres(name: str) -> str:
    return _POSTGRES.get(name, TEXT)


def holds(wide: str, narrow: str) -> bool:
    """Whether every value of the narrow type is one of the wide type, as Avro promotes them."""
    if narrow in (wide, "null"):
        return True
    if wide == "instant":
        return narrow == "date"
    if wide.startswith("float"):
        return _INTEGER.fullmatch(narrow) is not None or (wide, narrow) == ("float64", "float32")
    outer, inner = _span(wide), _span(narrow)
    if outer is None or inner is None:
        return False
    return outer.start <= inner.start and inner.stop <= outer.stop


def _span(word: str) -> range | None:
    """The whole numbers of an integer type."""
    found = _INTEGER.fullmatch(word)
    if found is None:
        return None
    size = 2 ** int(found[2])
    return range(size) if found[1] else range(-size // 2, size // 2)
