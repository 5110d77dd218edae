"""Arrays as the values a real system stores: words for codes, instants, numbers or nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl


@cache
def _named(names: tuple[str, ...]) -> pl.Series:
    return pl.Series([None, *names], dtype=pl.String)


def words(codes: np.ndarray, names: tuple[str, ...]) -> pl.Series:
    """The name of each code; a negative code has none."""
    return _named(names)[np.maximum(codes.astype(np.int64) + 1, 0)]


def instants(ms: np.ndarray, missing: np.ndarray | None = None) -> pl.Series:
    """UTC instants of milliseconds since 1970; none where missing."""
    return numbers(ms * 1000, missing).cast(pl.Datetime("us", "UTC"))


def numbers(values: np.ndarray, missing: np.ndarray | None = None) -> pl.Series:
    """The numbers as they are; none where missing."""
    given = pl.Series(values)
    return given if missing is None else given.set(pl.Series(missing), None)
