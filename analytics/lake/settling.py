"""Decide what each incoming row of a table is: new, a correction or a duplicate. No I/O.

Rows of one key are taken in the order they arrived (events) or in the order of
their own time (state tables). The first of an unknown key lands, one that says
the same as the row before it is a duplicate, one that says something else is a
correction. Rows older than what silver holds change nothing. So daily runs and
one ranged run end with the same rows and the same sums.

In a state table a null says nothing (what is known stays), and a row that only
repeats what is known under a later time is a duplicate: the time is that of the change.
So it is with each of its extras.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analytics.lake import extras
from analytics.lake.hashing import row_hash
from analytics.lake.tables import EXTRAS, Table


@dataclass(frozen=True)
class Settled:
    """The rows to write (at most one a key) and how every incoming row was counted."""

    rows: pl.DataFrame
    landed: int
    corrected: int
    duplicates: int
    replaces: bool  # some of the rows have a predecessor in silver


def settle(table: Table, incoming: pl.DataFrame, known: pl.DataFrame) -> Settled:
    """`incoming` has the stored columns + lineage, `known` the silver rows of the same keys."""
    key = table.key
    contested = (
        incoming.group_by(key).len().filter(pl.col("len") > 1).select(key).extend(known.select(key))
    )
    plain = incoming.join(contested, on=key, how="anti", maintain_order="left")
    rest = incoming.join(contested, on=key, how="semi")
    if rest.is_empty():
        return Settled(plain, plain.height, 0, 0, replaces=False)

    judged = _judge(table, rest, known)
    landed = judged.filter(pl.col("_verdict") == "landed").height
    corrected = judged.filter(pl.col("_verdict") == "corrected").height
    changed = (
        judged.filter(pl.col("_verdict") != "duplicate")
        .unique(key, keep="last", maintain_order=True)
        .select(incoming.columns)
    )
    return Settled(
        rows=pl.concat([plain, changed]),
        landed=plain.height + landed,
        corrected=corrected,
        duplicates=rest.height - landed - corrected,
        replaces=changed.join(known, on=key, how="semi").height > 0,
    )


def _judge(table: Table, rest: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows in order with a `_verdict` each."""
    key, order = table.key, _order(table)
    if not table.is_event:
        rest = _completed(table, rest, known)
    old = _with_order(table, known).select(
        key, *(pl.col(c).alias(f"{c}_known") for c in {*order, "_content"})
    )
    rows = _with_order(table, rest).join(old, on=key, how="left")
    is_known = pl.col("_content_known").is_not_null()
    rows = rows.with_columns((is_known & _stale(table)).fill_null(False).alias("_stale")).sort(
        "_stale", key, *order, "_file", "_row", nulls_last=False
    )
    follows = (pl.col(key) == pl.col(key).shift(1)) & ~pl.col("_stale").shift(1)
    before = (
        pl.when(follows.fill_null(False))
        .then(pl.col("_content").shift(1))
        .otherwise(pl.col("_content_known"))
    )
    last = pl.col("_content").filter(~pl.col("_stale")).last().over(key)
    rows = rows.with_columns(
        before.alias("_before"), (last == pl.col("_content_known")).fill_null(False).alias("_same")
    )
    repeats = pl.col("_stale") | pl.col("_same") | (pl.col("_before") == pl.col("_content"))
    return rows.with_columns(
        pl.when(repeats.fill_null(False))
        .then(pl.lit("duplicate"))
        .when(pl.col("_before").is_null())
        .then(pl.lit("landed"))
        .otherwise(pl.lit("corrected"))
        .alias("_verdict")
    )


def _completed(table: Table, rest: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows with their nulls filled from the state before them, known or incoming."""
    facts = [c for c in table.stored if c not in ("tenant_id", table.key, table.time)]
    filled = sum((pl.col(c).is_not_null().cast(pl.Int32) for c in facts), pl.lit(0))
    columns = rest.columns
    both = pl.concat(
        [
            known.with_columns(pl.lit(True).alias("_is_known")),
            rest.with_columns(pl.lit(False).alias("_is_known")),
        ],
        how="diagonal",
    ).with_columns(filled.alias("_filled"))
    both = both.sort(
        table.key, table.time, pl.col("_is_known").not_(), "_filled", "_file", "_row",
        nulls_last=False,
    )  # fmt: skip
    both = both.with_columns(
        *(pl.col(c).forward_fill().over(table.key) for c in facts if c != EXTRAS),
        extras.completed(both, table.key),
    )
    return both.filter(~pl.col("_is_known")).select(columns)


def _order(table: Table) -> list[str]:
    """What says which of two rows of a key is the later one."""
    return ["_arrival"] if table.is_event else ["_instant", "_completeness", "_content"]


def _with_order(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    content = [c for c in table.stored if c != "tenant_id"]
    more = pl.lit(0)
    if not table.is_event:
        content.remove(table.time)
        more = pl.lit(extras.counted(rows[EXTRAS]))
    return rows.with_columns(
        row_hash(rows, content).alias("_content"),
        # Undated rows count as arrived before all dated ones.
        pl.col("_arrived_on").dt.epoch("d").fill_null(-(10**6)).alias("_arrival"),
        pl.col(table.time).dt.epoch("us").fill_null(-(2**62)).alias("_instant"),
        pl.sum_horizontal(more, *(pl.col(c).is_not_null().cast(pl.Int32) for c in content)).alias(
            "_completeness"
        ),
    )


def _stale(table: Table) -> pl.Expr:
    """Older than what silver holds."""
    if table.is_event:
        return pl.col("_arrival") < pl.col("_arrival_known")
    instant, instant_known = pl.col("_instant"), pl.col("_instant_known")
    full, full_known = pl.col("_completeness"), pl.col("_completeness_known")
    return (instant < instant_known) | (
        (instant == instant_known)
        & (
            (full < full_known)
            | ((full == full_known) & (pl.col("_content") <= pl.col("_content_known")))
        )
    )
