"""Find the plays that two sources of one listener both tell of, and which of the two stays.

Grain     one row per pair: `play_id` of the coarser source, `same_as` the play of the finer
          one that stays. A play is in one pair at most.
Blocks    tenant, listener, song and time; nothing else is ever compared. Names are compared
          as `catalogue.names` writes them, so spellings of one recording are equal.
Decision  the starts that both clocks allow must overlap, and lengths that both know must
          agree. Where only the title is the same (a compilation names another artist), both
          lengths must be known, and be no skip's. The likest pairs are joined first.
Re-run    the same rows in any order give the same pairs.
Surprises a play without names has no match. Nor have plays of one song in such a crowd (more
          than MOST within one window) that nobody can tell them apart. A pause moves the
          start of a play that is known by its end; beyond the clocks' reach it is missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from analytics.catalogue.names import parsed

MATCHES: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "play_id": pl.String,  # of the coarser source
    "same_as": pl.String,  # the play that stays
    "score": pl.Float64,  # 0 to 1: how well length and start agree
    "rule": pl.String,  # same_names, same_title
}
LISTENERS = {"tenant_id": pl.String, "listener_id": pl.String, "same_as": pl.String}

RULES = {"same_names": ["song", "recording", "main_artist"], "same_title": ["song", "recording"]}
TELLING_MS = 1_000  # many plays of different songs are equally long below this: skips
MOST = 50  # plays of one song by one listener within one window
ROUNDS = 50  # of joining the likest pairs; plays more entangled than that are left alone
BY_LENGTH = 0.6  # of the score; the rest is the start


@dataclass(frozen=True)
class Clock:
    """How far the truth may lie from what a source states of a play."""

    before: timedelta  # the start stated
    after: timedelta
    length: timedelta  # either way


TO_THE_SECOND = Clock(timedelta(0), timedelta(seconds=1), timedelta(0))  # spotify_extended
TO_THE_MINUTE = Clock(timedelta(0), timedelta(minutes=1), timedelta(0))  # spotify_account
# A player's own clock runs fast or slow, and it counts a length in whole seconds.
SCROBBLED = Clock(timedelta(seconds=30), timedelta(seconds=30), timedelta(seconds=1))
SCROBBLED_TO_THE_MINUTE = Clock(timedelta(seconds=30), timedelta(seconds=90), timedelta(seconds=1))


@dataclass(frozen=True)
class Heard:
    """What one source tells: rows of silver's `plays` and `tracks`, of any number of tenants."""

    plays: pl.DataFrame
    tracks: pl.DataFrame
    clock: Clock


def matches(finer: Heard, coarser: Heard, listeners: pl.DataFrame | None = None) -> pl.DataFrame:
    """MATCHES between the two sources.

    `listeners` (columns LISTENERS) says who a listener of the coarser source is in the finer
    one; without it, ids mean the same person in both.
    """
    fine, coarse = _named(finer), _named(coarser)
    if listeners is not None:
        coarse = _known_as(coarse, listeners)
    window = _window(finer.clock, coarser.clock)
    differ = (finer.clock.length + coarser.clock.length) // timedelta(milliseconds=1)
    found = [pl.DataFrame(schema=MATCHES)]
    for rule, names in RULES.items():
        pairs = _likeness(_candidates(fine, coarse, names, window), rule, window, differ)
        joined = _joined(pairs)
        fine = fine.join(
            joined, left_on=["tenant_id", "play_id"], right_on=["tenant_id", "same_as"], how="anti"
        )
        coarse = coarse.join(joined, on=["tenant_id", "play_id"], how="anti")
        found.append(joined.select(pl.col(c).cast(t) for c, t in MATCHES.items()))
    return pl.concat(found).sort("tenant_id", "play_id")


def _named(heard: Heard) -> pl.DataFrame:
    """The plays whose song is known by name, with what is compared."""
    names = parsed(heard.tracks).select("tenant_id", "track_id", *RULES["same_names"])
    return heard.plays.join(names, on=["tenant_id", "track_id"]).filter(
        pl.col("song") != "", pl.col("started_at").is_not_null()
    ).select(
        "tenant_id", "listener_id", "play_id", "listened_ms", *RULES["same_names"],
        pl.col("started_at").dt.epoch("us").alias("at"),
    )  # fmt: skip


def _known_as(coarse: pl.DataFrame, listeners: pl.DataFrame) -> pl.DataFrame:
    """The plays under the finer source's listeners; those of nobody it knows are left out."""
    return (
        coarse.join(listeners.select(*LISTENERS), on=["tenant_id", "listener_id"])
        .with_columns(pl.col("same_as").alias("listener_id"))
        .drop("same_as")
    )


def _window(fine: Clock, coarse: Clock) -> tuple[int, int]:
    """Where, in microseconds from the fine start, the coarse one may be stated."""
    unit = timedelta(microseconds=1)
    return -((coarse.after + fine.before) // unit), (coarse.before + fine.after) // unit


def _candidates(
    fine: pl.DataFrame, coarse: pl.DataFrame, names: list[str], window: tuple[int, int]
) -> pl.DataFrame:
    """The pairs of a block: a slot of time is as long as the window, so two slots hold it."""
    low, high = window
    block = ["tenant_id", "listener_id", *names, "slot"]
    width = high - low + 1
    slot = (pl.col("at") // width).alias("slot")
    first = (pl.col("at") - high) // width
    apart = pl.len().over(block) <= MOST
    known = fine.with_columns(slot).filter(apart)
    asked = (
        coarse.with_columns(slot)
        .filter(apart)
        .with_columns(pl.concat_list(first, first + 1).alias("slot"))
        .explode("slot")
    )
    pairs = asked.join(known, on=block, suffix="_kept")
    return pairs.with_columns((pl.col("at") - pl.col("at_kept")).alias("apart")).filter(
        pl.col("apart").is_between(low, high)
    )


def _likeness(
    pairs: pl.DataFrame, rule: str, window: tuple[int, int], most_differ: int
) -> pl.DataFrame:
    """The pairs that the rule lets through, with their score."""
    low, high = window
    differ = (pl.col("listened_ms") - pl.col("listened_ms_kept")).abs()
    near = 1 - (pl.col("apart") - (low + high) / 2).abs() / ((high - low + 1) / 2)
    alike = (1 - differ / (most_differ + 1)).fill_null(0.5)
    if rule == "same_names":
        holds = (differ <= most_differ).fill_null(True) & (pl.col("main_artist") != "")
    else:
        holds = (differ <= most_differ) & (pl.col("listened_ms") >= TELLING_MS)
    return pairs.filter(holds).select(
        "tenant_id", "play_id", pl.col("play_id_kept").alias("same_as"), "at", "at_kept",
        (BY_LENGTH * alike + (1 - BY_LENGTH) * near).round(4).alias("score"),
        pl.lit(rule).alias("rule"),
    )  # fmt: skip


def _joined(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of which no play is in two: round by round those that are each other's likest."""
    left = pairs.sort(
        "tenant_id", "score", "at", "at_kept", "play_id", "same_as",
        descending=[False, True, False, False, False, False],
    ).with_row_index("place")  # fmt: skip
    joined = [left.clear()]
    for _ in range(ROUNDS):
        best = pl.col("place").min()
        both = left.filter(
            pl.col("place") == best.over("tenant_id", "play_id"),
            pl.col("place") == best.over("tenant_id", "same_as"),
        )
        joined.append(both)
        left = left.join(both, on=["tenant_id", "play_id"], how="anti")
        left = left.join(both, on=["tenant_id", "same_as"], how="anti")
        if left.is_empty():
            break
    return pl.concat(joined)
