"""Row hashes that stay the same whatever the machine, the version or the file layout.

Values are turned into one canonical text (instants as microseconds, null as its
own mark, a separator no export contains) and hashed by md5 in DuckDB.
"""

from __future__ import annotations

import duckdb
import polars as pl

SEPARATOR = "\x1f"
NULL = "\x00"


def canonical(column: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    """The column as text that depends on its value alone."""
    expression = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        expression = expression.dt.epoch("us")
    elif dtype == pl.Date:
        expression = expression.dt.epoch("d")
    return expression.cast(pl.String).fill_null(NULL)


def row_hash(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """md5 of the named columns of every row, in the order given."""
    text = frame.select(
        pl.concat_str([canonical(c, frame.schema[c]) for c in columns], separator=SEPARATOR).alias(
            "text"
        )
    )
    return md5(text["text"])


def md5(texts: pl.Series) -> pl.Series:
    """md5 in hex of every text."""
    if texts.is_empty():
        return pl.Series("hash", [], dtype=pl.String)
    connection = duckdb.connect()
    try:
        connection.register("texts", texts.alias("text").to_frame().to_arrow())
        hashed = connection.sql("select md5(text) as hash from texts").to_arrow_table()
    finally:
        connection.close()
    return pl.Series("hash", hashed.column("hash"))
