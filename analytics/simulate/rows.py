"""Rows of one table as arrays of equal length.

A day of one tenant is a few thousand rows in a dozen tables. At that size a data
frame's operation costs more than the arithmetic in it, so the simulated world is
made of these, and only the writers turn them into frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

DAY_MS = 86_400_000


class Rows:
    """Arrays by column name; what derives rows from others copies nothing it need not."""

    __slots__ = ("columns",)

    def __init__(self, **columns: np.ndarray) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def at(self, which: np.ndarray | slice) -> Rows:
        """These of the rows: a mask, or positions."""
        return Rows(**{name: values[which] for name, values in self.columns.items()})

    def plus(self, **columns: np.ndarray | int | bool | np.datetime64) -> Rows:
        """The same rows with these columns; one value stands for all rows."""
        n = len(self)
        whole = {c: v if isinstance(v, np.ndarray) else np.full(n, v) for c, v in columns.items()}
        return Rows(**{**self.columns, **whole})

    def only(self, *columns: str) -> Rows:
        return Rows(**{name: self.columns[name] for name in columns})

    def without(self, *columns: str) -> Rows:
        return Rows(**{n: values for n, values in self.columns.items() if n not in columns})

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.columns)


def stacked(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, which have the same columns as the first."""
    if len(parts) == 1:
        return parts[0]
    names = parts[0].columns
    return Rows(**{name: np.concatenate([part[name] for part in parts]) for name in names})
