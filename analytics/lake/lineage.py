"""The columns that lead a row back to the file and line it came from."""

from __future__ import annotations

import polars as pl

# Of a bronze row.
ORIGIN: dict[str, pl.DataType | type[pl.DataType]] = {
    "_file": pl.String,
    "_file_hash": pl.String,
    "_row": pl.Int64,
    "_arrived_on": pl.Date,
}
# Of a conformed row: which source as well.
LINEAGE: dict[str, pl.DataType | type[pl.DataType]] = {"_source": pl.String, **ORIGIN}
# Of these what silver keeps.
KEPT = {column: LINEAGE[column] for column in ("_source", "_arrived_on")}

# A row that could not even be read or typed.
REJECTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "table": pl.String,  # the table it would have fed; a source of many names its first
    "source": pl.String,
    "file": pl.String,
    "file_hash": pl.String,
    "row": pl.Int64,
    "arrived_on": pl.Date,
    "rule": pl.String,
    "column": pl.String,
    "value": pl.String,
    "raw": pl.String,
}
