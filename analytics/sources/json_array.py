"""A file that is one JSON array of objects, read in bounded pieces.

While the array streams by, what stands between two elements becomes the end of a line, so
elements are cut, numbered and parsed as JSON lines are. An element that is no whole object
is set aside with its number. Where a string or a bracket does not close, nobody can say
where the next element begins: the file is damaged, and nothing of it is taken.
"""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import numpy as np
import polars as pl

from analytics.errors import SchemaError
from analytics.sources import files, json_lines
from analytics.sources.base import Batch, Unit, rejects
from analytics.sources.typed import DataType, typed_batch
from analytics.tenants import Source, Tenant

PIECE = 1 << 20  # bytes looked through at a time
BLANK = b" \t\r\n"
MARK_OF_ORDER = b"\xef\xbb\xbf"
QUOTE, COMMA, LINE_END, SPACE, CLOSED = (ord(c) for c in '",\n ]')
NEVER_IN_A_STRING = 0x1F  # a line break inside a string is no JSON; nor is this, on one line

IS_MARK = np.zeros(256, bool)
IS_MARK[list(b'",\n[]{}')] = True
STEP = np.zeros(256, np.int64)  # how each byte changes the depth
STEP[list(b"[{")], STEP[list(b"]}")] = 1, -1


class Broken(ValueError):
    """The content is no whole JSON array."""


def is_named(patterns: tuple[str, ...], name: str) -> bool:
    """Whether the file's own name, whatever its folder, is of one of the patterns."""
    return any(fnmatch.fnmatch(name.rsplit("/", 1)[-1], pattern) for pattern in patterns)


def read(
    tenant: Tenant,
    source: Source,
    unit: Unit,
    table: str,
    types: dict[str, DataType],
    *,
    needed: tuple[str, ...],
    names: tuple[str, ...],
) -> Iterator[Batch]:
    """Every element of the unit's arrays, in a zip those of the files so named.

    Raises SchemaError where a file has none of a field that is needed, or a zip no such file.
    """
    first, members = 0, 0
    for name, file in files.members(tenant, source, unit, partial(is_named, names)):
        members, start = members + 1, first
        try:
            for number, lines in pieces(file, first):
                frame, broken = json_lines.parsed(number, lines, types)
                if number == start:
                    _require(tenant, source, unit, name, frame, needed)
                batch = typed_batch(tenant, source, table, unit, frame, types)
                bad = rejects(tenant, source, table, unit, broken)
                yield Batch(batch.rows, pl.concat([batch.rejects, bad]))
                first = number + len(lines)
        except Broken as error:
            what = f"{name} is not whole JSON: {error}"
            raise files.damaged(tenant, source, unit, what) from None
    if not members:
        raise SchemaError(
            f"{tenant.id}: source {source.name}: {unit.name} holds no {' or '.join(names)}, which "
            f"format {source.format} reads. docs/sources.md tells the exports apart; correct "
            f"`format` in the tenants file or ask its owner ({source.owner})"
        )


def pieces(file: IO[bytes], first: int = 0) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first element, from `first`, and some elements) until the array ends.

    Raises Broken where it is none, or ends too early.
    """
    return json_lines.pieces(io.BufferedReader(_AsLines(file)), first)


def _require(
    tenant: Tenant,
    source: Source,
    unit: Unit,
    name: str,
    frame: pl.DataFrame,
    needed: tuple[str, ...],
) -> None:
    for column in needed:
        if frame.height and frame[column].null_count() == frame.height:
            raise SchemaError(
                f"{tenant.id}: source {source.name}: {name} of {unit.name} has no field "
                f"{column!r}; is it an export that format {source.format} reads? "
                f"docs/sources.md tells them apart; owner: {source.owner}"
            )


class _AsLines(io.RawIOBase):
    """The elements of the array in `file`, each on a line, byte for byte as long as they came."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.has_begun = self.has_ended = self.in_string = self.is_escaped = False
        self.depth = 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer)
        while content := self.file.read(min(len(into), PIECE)):
            if not self.has_begun:
                content = self._opened(content)
            if self.has_ended:
                _must_be_blank(content)
            elif content:
                lines = self._lines(content)
                into[: len(lines)] = lines
                return len(lines)
        if self.has_begun and not self.has_ended:
            raise Broken("it ends before its array does")
        return 0

    def _opened(self, content: bytes) -> bytes:
        """What follows the opening bracket; nothing while only blanks came."""
        found = content.lstrip(BLANK + MARK_OF_ORDER)
        if found and not found.startswith(b"["):
            raise Broken(f"it begins with {found[:20]!r}, not with '['")
        self.has_begun = bool(found)
        return found[1:]

    def _lines(self, content: bytes) -> memoryview:
        codes = np.frombuffer(self._without_escapes(content), np.uint8)
        marks = np.flatnonzero(IS_MARK[codes])
        kinds = codes[marks]
        is_quote = kinds == QUOTE
        is_inside = (np.cumsum(is_quote) + self.in_string) % 2 == 1
        if marks.size:
            self.in_string = bool(is_inside[-1])
        made = np.frombuffer(bytearray(content), np.uint8)
        made[marks[is_inside & (kinds == LINE_END)]] = NEVER_IN_A_STRING

        is_outer = ~is_inside & ~is_quote
        marks, kinds = marks[is_outer], kinds[is_outer]
        depths = self.depth + np.cumsum(STEP[kinds])
        made[marks[kinds == LINE_END]] = SPACE
        made[marks[(kinds == COMMA) & (depths == 1)]] = LINE_END
        ends = np.flatnonzero(depths == 0)
        if not ends.size:
            self.depth = int(depths[-1]) if depths.size else self.depth
            return made.data
        return self._closed(content, made, int(marks[ends[0]]))

    def _without_escapes(self, content: bytes) -> bytes:
        """The content, as long as it was, where no quote left is an escaped one."""
        if self.is_escaped and content[0] != LINE_END:
            content = b"_" + content[1:]
        content = content.replace(rb"\\", b"__")
        self.is_escaped = content.endswith(b"\\")
        return content.replace(rb"\"", b"__")

    def _closed(self, content: bytes, made: np.ndarray, at: int) -> memoryview:
        if content[at] != CLOSED:
            raise Broken("its brackets do not match")
        _must_be_blank(content[at + 1 :])
        self.has_ended, made[at] = True, LINE_END
        return made[: at + 1].data


def _must_be_blank(content: bytes) -> None:
    if left := content.strip(BLANK):
        raise Broken(f"{left[:20]!r} follows the end of its array")
