"""Rows of one table that come a portion at a time: in memory while they are few, then as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl

from analytics.lake.append import COMPRESSION

ROWS_IN_MEMORY = 500_000

ROWS = "rows"  # the kind of file that rules are judged by
LaidOut = Mapping[str, tuple[pl.DataFrame, dict[str, str]]]  # kind → rows, metadata of the file


def as_one_file(rows: pl.DataFrame) -> LaidOut:
    return {ROWS: (rows, {})}


class Portions:
    """All of the rows, in memory or, beyond ROWS_IN_MEMORY, in Parquet files below `folder`.

    `lay_out` gives the files to write of a portion by their kind; together they have its
    columns, less the `constants`, which are the same in every row. Without a folder all
    stays in memory. Iterating gives the rows as they came, any number of times.
    """

    def __init__(
        self,
        folder: Path | None = None,
        lay_out: Callable[[pl.DataFrame], LaidOut] = as_one_file,
        constants: Mapping[str, str] | None = None,
    ) -> None:
        self.height = 0
        self.frames: list[pl.DataFrame] = []
        self.files: list[dict[str, Path]] = []  # of each portion, by kind
        self.constants = constants or {}
        self.folder = folder
        self._lay_out = lay_out

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Portions:
        """One portion, in memory."""
        found = cls()
        found.add(rows)
        return found

    def add(self, rows: pl.DataFrame) -> None:
        self.height += rows.height
        if rows.height or not (self.frames or self.files):
            self.frames.append(rows)
        if self.folder is not None and sum(f.height for f in self.frames) > ROWS_IN_MEMORY:
            self._spill(self.folder)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        fixed = [pl.lit(value).alias(name) for name, value in self.constants.items()]
        for kinds in self.files:
            parts = [pl.read_parquet(path) for path in kinds.values()]
            yield pl.concat(parts, how="horizontal").select(*fixed, pl.all())
        yield from self.frames

    def columns(self, *names: str) -> Iterator[pl.DataFrame]:
        """Of every portion these columns, which its `rows` hold."""
        for kinds in self.files:
            yield pl.read_parquet(kinds[ROWS], columns=list(names))
        for frame in self.frames:
            yield frame.select(names)

    def laid_out(self) -> LaidOut | None:
        """The rows in memory as the files to write of them; None when there are none."""
        rows = sum(frame.height for frame in self.frames)
        return self._lay_out(pl.concat(self.frames)) if rows else None

    def _spill(self, folder: Path) -> None:
        laid_out = self.laid_out()
        assert laid_out is not None
        folder.mkdir(parents=True, exist_ok=True)
        written = {kind: folder / f"{len(self.files)}.{kind}.parquet" for kind in laid_out}
        for kind, (rows, metadata) in laid_out.items():
            rows.write_parquet(written[kind], compression=COMPRESSION, metadata=metadata)
        self.files.append(written)
        self.frames = []
