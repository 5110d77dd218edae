"""The extra columns of a row as one text: a JSON object of texts, keys in order, null for none."""

from __future__ import annotations

import json
from collections.abc import Iterable

import polars as pl

from analytics.lake.tables import EXTRAS


def packed(names: Iterable[str]) -> pl.Expr:
    """These text columns as one object, without those that are null."""
    ordered = sorted(names)
    pairs = pl.concat_str([_pair(name) for name in ordered], separator=",", ignore_nulls=True)
    is_given = pl.any_horizontal(pl.col(name).is_not_null() for name in ordered)
    return pl.when(is_given).then(pl.lit("{") + pairs + pl.lit("}"))


def completed(rows: pl.DataFrame, key: str) -> pl.Series:
    """Each row's object with what it lacks from the rows of its key before it."""
    names = _names(rows[EXTRAS])
    if not names:
        return rows[EXTRAS]
    # No extra is called "", so the key may be.
    apart = _apart(rows[EXTRAS], names).with_columns(rows[key].alias(""))
    filled = apart.select(pl.col(name).forward_fill().over("") for name in names)
    return filled.select(packed(names).alias(EXTRAS)).to_series()


def counted(texts: pl.Series) -> pl.Series:
    """How many extras each row has."""
    names = _names(texts)
    if not names:
        return pl.Series([0]).new_from_index(0, len(texts))
    return (
        _apart(texts, names)
        .select(pl.sum_horizontal(pl.all().is_not_null().cast(pl.Int32)))
        .to_series()
    )


def _pair(name: str) -> pl.Expr:
    """`"name":"value"`, as an object of one name without its braces."""
    alone = pl.struct(name).struct.json_encode()
    return pl.when(pl.col(name).is_not_null()).then(alone.str.slice(1).str.head(-1))


def _names(texts: pl.Series) -> list[str]:
    return sorted({name for text in texts.drop_nulls().unique() for name in json.loads(text)})


def _apart(texts: pl.Series, names: list[str]) -> pl.DataFrame:
    return texts.str.json_decode(pl.Struct(dict.fromkeys(names, pl.String))).struct.unnest()
