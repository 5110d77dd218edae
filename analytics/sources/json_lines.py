"""JSON lines in bounded pieces; lines that are no JSON object are set aside with their number."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import IO

import polars as pl

PIECE = 16 << 20  # bytes read at a time
LONGEST_LINE = 64 << 20  # a longer line is no event, and would fill the memory
RAW_WIDTH = 4000


def pieces(file: IO[bytes], first: int = 0) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first line, from `first`, and some whole lines) until the file ends.

    Of a line longer than LONGEST_LINE only its beginning is given, which is no JSON.
    """
    number, rest, is_cut = first, b"", False
    while chunk := file.read(PIECE):
        lines = (rest + chunk).split(b"\n")
        if is_cut and len(lines) > 1:  # the end of the long line
            lines[0], is_cut = rest, False
        rest = lines.pop()
        if lines:
            yield number, lines
            number += len(lines)
        if is_cut or len(rest) > LONGEST_LINE:
            rest, is_cut = rest[:RAW_WIDTH], True
    if rest:
        yield number, [rest]


def parsed(
    number: int, lines: list[bytes], columns: dict[str, pl.DataType | type[pl.DataType]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines as text columns + `_row`, and the broken ones as row, rule, column, value, raw.

    Every column is read as text, whatever its JSON type, so that a wrong type is
    judged value by value afterwards. Blank lines are nobody's row.
    """
    whole: tuple[list[bytes], list[int]] = ([], [])
    cut: tuple[list[bytes], list[int]] = ([], [])  # apart, so that they do not fail the rest
    for at, line in enumerate(lines, number):
        if text := line.rstrip():
            into = whole if text.endswith(b"}") else cut
            into[0].append(line)
            into[1].append(at)
    schema: dict[str, pl.DataType] = dict.fromkeys(columns, pl.String())
    frames: list[pl.DataFrame] = []
    broken: list[dict[str, object]] = []
    for some, numbers in (whole, cut):
        _halve(some, numbers, schema, frames, broken)
    empty = pl.DataFrame(schema={**schema, "_row": pl.Int64})
    bad = pl.DataFrame(
        broken,
        schema={
            "row": pl.Int64, "rule": pl.String, "column": pl.String, "value": pl.String,
            "raw": pl.String,
        },
    )  # fmt: skip
    rows = pl.concat([empty, *frames])
    return rows if rows["_row"].is_sorted() else rows.sort("_row"), bad.sort("row")


def keys(lines: list[bytes]) -> set[str]:
    """The names that these lines use; a broken line has none, and what is no text is mended."""
    found: set[str] = set()
    for line in lines:
        try:
            thing = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(thing, dict):
            found.update(name.encode(errors="replace").decode() for name in thing)
    return found


def _halve(
    lines: list[bytes],
    numbers: list[int],
    schema: dict[str, pl.DataType],
    frames: list[pl.DataFrame],
    broken: list[dict[str, object]],
) -> None:
    """Parse in one go; where that fails, each half, down to the broken lines."""
    if not lines:
        return
    try:
        frame = pl.read_ndjson(io.BytesIO(b"\n".join(lines)), schema=schema)
    except pl.exceptions.PolarsError:
        frame = None
    if frame is not None and frame.height == len(lines):
        frames.append(frame.with_columns(pl.Series("_row", numbers, dtype=pl.Int64)))
    elif len(lines) == 1:
        raw = lines[0].decode("utf-8", errors="replace")[:RAW_WIDTH]
        broken.append(
            {"row": numbers[0], "rule": "row_parses", "column": None, "value": None, "raw": raw}
        )
    else:
        middle = len(lines) // 2
        _halve(lines[:middle], numbers[:middle], schema, frames, broken)
        _halve(lines[middle:], numbers[middle:], schema, frames, broken)
