"""Delimited text in bounded pieces; lines that are no row are set aside with their number.

One line is one row. A line end within quotes therefore makes two broken lines of one row, and a
quote that nobody closes costs its own line, not the file.
A field is quoted when it stands whole between quotes ("" is one of them within it). Any other
quote is a character like the rest, if the line then has as many fields as it should: so
`"Weird Al" Yankovic,Eat It` of a program that never quotes is read as it was meant.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

import polars as pl

from analytics.sources import json_lines
from analytics.sources.json_lines import RAW_WIDTH


@dataclass(frozen=True)
class Layout:
    """How a line is cut, and which of its fields are wanted."""

    columns: Mapping[str, int]  # our name → place of the field in the line
    width: int  # fields of a whole line
    separator: str = ","
    is_quoted: bool = True


def pieces(file: IO[bytes], first: int = 0) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first line, from `first`, and some whole lines), without the mark of UTF-8."""
    for number, lines in json_lines.pieces(file, first):
        if number == first:
            lines[0] = lines[0].removeprefix(BOM_UTF8)
        yield number, lines


def parsed(number: int, lines: list[bytes], layout: Layout) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The wanted fields as text + `_row`, and the broken lines as row, rule, column, value, raw.

    A field of nothing but spaces is null. Blank lines are nobody's row. A line that is no UTF-8,
    holds a NUL, has another width or is longer than what is kept of a row is broken.
    """
    end = number + len(lines)
    text = pl.col("line")
    frame = pl.DataFrame(
        {"_row": pl.int_range(number, end, dtype=pl.Int64, eager=True), "line": decoded(lines)}
    ).with_columns(text.str.strip_chars_end("\r"))
    frame = frame.filter((text.str.strip_chars() != "").fill_null(True))
    fields = cut(frame["line"], layout.separator, is_quoted=layout.is_quoted)
    is_row = (
        (fields.list.len() == layout.width)
        & ~frame["line"].str.contains("\x00", literal=True)
        & (frame["line"].str.len_bytes() < RAW_WIDTH)  # of a longer one the end may be missing
    ).fill_null(False)
    good = fields.filter(is_row)
    columns = {name: _value(good.list.get(at), layout) for name, at in layout.columns.items()}
    rows = pl.DataFrame({**columns, "_row": frame["_row"].filter(is_row)})
    return rows, set_aside(number, lines, frame["_row"].filter(~is_row).to_list())


def set_aside(number: int, lines: list[bytes], broken: list[int]) -> pl.DataFrame:
    """The broken ones of some lines, of which the first has this number."""
    frame = pl.DataFrame({"row": broken}, schema={"row": pl.Int64})
    raw = [lines[n - number].decode("utf-8", "replace")[:RAW_WIDTH] for n in broken]
    return frame.with_columns(
        pl.lit("row_parses").alias("rule"),
        pl.lit(None, pl.String).alias("column"),
        pl.lit(None, pl.String).alias("value"),
        pl.Series("raw", raw, dtype=pl.String),
    )


def cut(lines: pl.Series, separator: str, *, is_quoted: bool) -> pl.Series:
    """The fields of every line, quoted ones still between their quotes."""
    plain = lines.str.split(separator)
    has_quote = lines.str.contains('"', literal=True)
    if not is_quoted or not has_quote.any():
        return plain
    mark = re.escape(separator)
    led = separator + lines.set(~has_quote.fill_null(False), None)
    fields = led.str.extract_all(f'{mark}(?:"(?:[^"]|"")*"|[^{mark}"][^{mark}]*|)')
    is_whole = (fields.list.join("") == led).fill_null(False)
    fields = fields.list.eval(pl.element().str.slice(1))
    return fields.zip_with(is_whole, plain)


def _value(fields: pl.Series, layout: Layout) -> pl.Series:
    text = pl.col("field")
    quoted = text.str.contains('(?s)^".*"$')
    bare = text.str.slice(1, text.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    frame = fields.alias("field").to_frame()
    if layout.is_quoted:
        frame = frame.with_columns(pl.when(quoted).then(bare).otherwise(text))
    return frame.select(pl.when(text.str.strip_chars() != "").then(text)).to_series()


def decoded(lines: list[bytes]) -> pl.Series:
    """The lines as text; null where one is no UTF-8."""
    try:
        return pl.Series(lines, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:  # only a damaged piece is looked at line by line
        return pl.Series([_text(line) for line in lines], dtype=pl.String)


def _text(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None
