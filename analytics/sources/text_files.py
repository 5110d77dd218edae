"""Files of lines that say by how they begin what they hold: which table, cut in which way.

A format gives `tell`: the name and the first lines of a file → its Content. A file of which it
tells nothing is refused, so that nothing of another kind is read as if it were of this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from analytics.errors import SchemaError
from analytics.sources import delimited, files
from analytics.sources.base import Batch, Look, Unit, rejects
from analytics.sources.delimited import Layout
from analytics.sources.typed import DataType, typed_batch
from analytics.tenants import Source, Tenant

LINES_LOOKED_AT = 50

# Lines with the number of the first → text columns + `_row`, and the broken lines.
Parse = Callable[[int, list[bytes]], tuple[pl.DataFrame, pl.DataFrame]]


@dataclass(frozen=True)
class Content:
    """What one file holds."""

    table: str  # on which its rejects are counted
    parse: Parse
    has_header: bool = False
    alike: Mapping[str, str] = field(default_factory=dict)  # columns that all its rows have alike


Tell = Callable[[str, Sequence[str]], Content | None]


def told(look: Look, tell: Tell) -> Content | None:
    """What the file somebody gave us holds, if it is of the format."""
    return tell(look.base, _first(look.lines))


def read(
    tenant: Tenant,
    source: Source,
    unit: Unit,
    types: dict[str, DataType],
    tell: Tell,
    mine: Callable[[str], bool],
) -> Iterator[Batch]:
    """The unit in pieces. `mine` are the files to read of a zip, by name.

    Raises SchemaError for a file of which the format tells nothing, and for a zip without any.
    """
    first, found = 0, False
    for name, file in files.members(tenant, source, unit, lambda n: mine(_base(n))):
        found = True
        content: Content | None = None
        for number, lines in delimited.pieces(file, first):
            first = number + len(lines)
            if content is None:
                skipped, content = _begun(tenant, source, unit, _base(name), lines, tell)
                number, lines = number + skipped, lines[skipped:]
            if content is not None:
                yield _batch(tenant, source, unit, number, lines, content, types)
    if not found:
        raise _strange(tenant, source, unit, "holds no file of this format")


def fields(columns: Sequence[str], separator: str, *, is_quoted: bool = False) -> Parse:
    """Lines of just these columns."""
    places = {name: place for place, name in enumerate(columns)}
    layout = Layout(places, len(columns), separator, is_quoted)
    return partial(delimited.parsed, layout=layout)


def groups(pattern: str) -> Parse:
    """Lines of no fixed width: the named groups of a pattern that describes a whole line."""
    return partial(_grouped, pattern=pattern)


def are_mostly(lines: Sequence[str], pattern: str) -> bool:
    """More than half of the lines are of this shape."""
    return sum(re.fullmatch(pattern, line) is not None for line in lines) * 2 > len(lines)


def _grouped(number: int, lines: list[bytes], pattern: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    text = pl.col("line")
    numbers = pl.int_range(number, number + len(lines), dtype=pl.Int64, eager=True)
    frame = pl.DataFrame({"_row": numbers, "line": delimited.decoded(lines)})
    frame = frame.with_columns(text.str.strip_chars_end("\r"))
    frame = frame.filter((text.str.strip_chars() != "").fill_null(True))
    is_row = text.str.contains(f"^(?:{pattern})$") & ~text.str.contains("\x00", literal=True)
    frame = frame.with_columns(is_row.fill_null(False).alias("is_row"))
    rows = frame.filter("is_row").select("_row", text.str.extract_groups(f"^(?:{pattern})$"))
    value = pl.all().exclude("_row")
    rows = rows.unnest("line").with_columns(pl.when(value.str.strip_chars() != "").then(value))
    broken = frame.filter(~pl.col("is_row"))["_row"].to_list()
    return rows, delimited.set_aside(number, lines, broken)


def _first(lines: Sequence[str]) -> list[str]:
    return [line.rstrip("\r") for line in lines if line.strip()][:LINES_LOOKED_AT]


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _begun(
    tenant: Tenant, source: Source, unit: Unit, name: str, lines: list[bytes], tell: Tell
) -> tuple[int, Content | None]:
    """How many lines stand before the first row, and the content; None where all are blank."""
    texts = (line.decode("utf-8", "replace") for line in lines)
    given = next((n for n, text in enumerate(texts) if text.strip()), None)
    if given is None:
        return len(lines), None
    some = _first([line.decode("utf-8", "replace") for line in lines[given:][:LINES_LOOKED_AT]])
    content = tell(name, some)
    if content is None:
        raise _strange(
            tenant, source, unit, f"is not of this format; it begins with {some[0]!r:.80}"
        )
    return given + content.has_header, content


def _strange(tenant: Tenant, source: Source, unit: Unit, what: str) -> SchemaError:
    return SchemaError(
        f"{tenant.id}: source {source.name}: {unit.name} {what}. Nothing of it was taken; let "
        f"`path` name files of {source.format} alone (docs/sources.md says what they look like), "
        f"or ask its owner ({source.owner})"
    )


def _batch(
    tenant: Tenant,
    source: Source,
    unit: Unit,
    number: int,
    lines: list[bytes],
    content: Content,
    types: dict[str, DataType],
) -> Batch:
    rows, broken = content.parse(number, lines)
    frame = rows.with_columns(pl.lit(value).alias(c) for c, value in content.alike.items())
    batch = typed_batch(tenant, source, content.table, unit, frame, types)
    bad = rejects(tenant, source, content.table, unit, broken)
    return Batch(batch.rows, pl.concat([batch.rejects, bad]))
