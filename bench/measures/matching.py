"""Matching by name: how right it is on songs that two shops list, and how fast.

The labelled pairs (Magellan's iTunes-Amazon songs) are real data and lie outside the project,
where ANALYTICS_TEST_DATA says. `fitted` gives the weights that `similarity.py` ships, from
the train and valid splits; the test split is for the figures alone.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from analytics.catalogue import matching, similarity
from analytics.catalogue.names import parsed
from analytics.settings import PROJECT
from bench.figure import Figure, rate, seconds
from bench.place import Place

DATA = Path(os.environ.get("ANALYTICS_TEST_DATA", PROJECT.parent / "shared" / "data"))
PAIRS = Path("text", "itunes_amazon_structured")
RIDGE = 0.1
RESAMPLES = 2000
SIDES = ("ours", "theirs")


@dataclass(frozen=True)
class Quality:
    """Precision, recall and F1 of the pairs called equal; F1 with its 95 % interval."""

    precision: float
    recall: float
    f1: float
    least: float
    most: float


def measure(place: Place) -> list[Figure]:
    named, catalogue = made_up(max(1000, place.size.rows // 10))
    before = psutil.Process().memory_info().rss
    took = seconds(lambda: matching.match(named, catalogue), place.size.repeats)
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    size = f"{named.height:,} named tracks, a catalogue of {catalogue.height:,}"
    how = f"{size}, one in six misspelt; the process grew by {grown:.0f} MiB"
    figures = [rate("match_names", "match tracks by name", named.height, took, None, how=how)]
    if not (DATA / PAIRS).exists():
        return figures
    told = quality(compared(DATA, "test"))
    survived, comparisons = blocked(DATA)
    interval = f"95 % interval {told.least:.1%} to {told.most:.1%}"
    parts = f"precision {told.precision:.1%}, recall {told.recall:.1%}, {interval}"
    return [
        *figures,
        Figure(
            "match_f1", "songs of two shops told equal: F1", round(told.f1 * 100, 1), "%",
            f"109 labelled pairs not used for the weights: {parts}",
            aim="≥ 90 %", met=told.f1 >= 0.9,
        ),
        Figure(
            "match_candidates", "equal songs that are compared at all", round(survived * 100, 1),
            "%", f"both shops as whole tables, {comparisons:.1f} comparisons a track",
        ),
    ]  # fmt: skip


# ----------------------------------------------------------------- labelled pairs


def labelled(folder: Path, *splits: str) -> pl.DataFrame:
    """The pairs as they stand: `ours`, `theirs` (serialized songs) and `is_same`."""
    text = "".join(
        gzip.decompress((folder / PAIRS / f"{split}.txt.gz").read_bytes()).decode()
        for split in splits
    )
    rows = [line.split("\t") for line in text.splitlines()]
    return pl.DataFrame(rows, schema=[*SIDES, "is_same"], orient="row").with_columns(
        pl.col("is_same") == "1"
    )


def songs(serialized: pl.Series, tenant_id: str = "shop") -> pl.DataFrame:
    """Tracks of the serialized songs, each under its place as id."""

    def told(name: str) -> pl.Expr:
        return pl.col("song").str.extract(rf"COL {name} VAL (.*?) ?(?:COL |$)")

    clock = pl.col("song").str.extract(r"COL Time VAL (\d+(?::\d\d)+)")
    parts = clock.str.split(":").list.eval(pl.element().cast(pl.Int64)).list.reverse()
    length = sum(parts.list.get(n, null_on_oob=True).fill_null(0) * 60**n for n in range(3))
    return serialized.alias("song").to_frame().with_row_index("track_id").select(
        pl.lit(tenant_id).alias("tenant_id"),
        pl.col("track_id").cast(pl.String),
        told("Song_Name").alias("title"),
        told("Artist_Name").alias("artist_name"),
        told("Album_Name").alias("album"),
        pl.when(clock.is_not_null()).then(length * 1000).alias("duration_ms"),
    )  # fmt: skip


def compared(folder: Path, *splits: str) -> pl.DataFrame:
    """Likeness of each labelled pair, part by part, and `is_same`."""
    pairs = labelled(folder, *splits)
    ours, theirs = (parsed(songs(pairs[side])) for side in SIDES)
    both = pl.concat([ours, theirs.rename(lambda c: f"{c}_known")], how="horizontal")
    return pl.concat(
        [similarity.of_names(both), similarity.of_track(both), pairs.select("is_same")],
        how="horizontal",
    )


def quality(likeness: pl.DataFrame, seed: int = 17) -> Quality:
    """How well the shipped weights tell the pairs."""
    evidence = similarity.evidence_of_names(likeness) + similarity.evidence_of_track(likeness)
    said = (1 / (1 + np.exp(-evidence.to_numpy()))) >= matching.THRESHOLD
    true = likeness["is_same"].to_numpy()
    draws = np.random.default_rng(seed).integers(0, len(true), (RESAMPLES, len(true)))
    again = 2 * (said & true)[draws].sum(1) / (said[draws].sum(1) + true[draws].sum(1))
    hits = (said & true).sum()
    least, most = np.quantile(again, [0.025, 0.975])
    return Quality(
        hits / said.sum(), hits / true.sum(), 2 * hits / (said.sum() + true.sum()), least, most
    )


def blocked(folder: Path) -> tuple[float, float]:
    """Both shops as whole tables: the share of equal pairs compared, comparisons a track."""
    pairs = labelled(folder, "train", "valid", "test")
    ours, theirs = (pairs.select(side).unique().sort(side).to_series() for side in SIDES)
    known, said = matching.ready(songs(theirs)), parsed(songs(ours)).with_row_index("track")
    kept = matching.to_compare(said, known)
    names = known.carriers.select(pl.col("matched_track_id").cast(pl.UInt32).alias("at"), "name")
    equal = (
        pairs.filter("is_same")
        .unique()
        .join(ours.to_frame().with_row_index("track"), on="ours")
        .join(theirs.to_frame().with_row_index("at"), on="theirs")
        .join(names, on="at", how="left")
    )
    survived = equal.join(kept, on=["track", "name"], how="semi")
    return survived.height / equal.height, kept.height / said.height


def fitted(folder: Path) -> dict[str, float]:
    """PRIOR, SONG and LENGTH: a ridge logistic regression given the weights set by hand."""
    likeness = compared(folder, "train", "valid")
    fixed = (
        (similarity.evidence_of_names(likeness) + similarity.evidence_of_track(likeness))
        - similarity.PRIOR
        - similarity.SONG * likeness["song"]
        - similarity.LENGTH * likeness["length"]
    ).to_numpy()
    inputs = np.column_stack([np.ones(likeness.height), likeness["song"], likeness["length"]])
    true = likeness["is_same"].to_numpy().astype(float)
    penalty = RIDGE * np.diag([0.0, 1.0, 1.0])
    weights = np.zeros(3)
    for _ in range(50):  # Newton's steps; the loss is convex
        chance = 1 / (1 + np.exp(-(inputs @ weights + fixed)))
        bend = inputs.T @ (inputs * (chance * (1 - chance))[:, None]) + penalty
        weights += np.linalg.solve(bend, inputs.T @ (true - chance) - penalty @ weights)
    return dict(zip(("PRIOR", "SONG", "LENGTH"), weights.tolist(), strict=True))


# ------------------------------------------------------------------- made-up names


def made_up(rows: int, seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Named tracks and a catalogue of as many: few words are frequent, most are rare."""
    draw = np.random.default_rng(seed)
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
    vocabulary = np.array(["".join(draw.choice(syllables, n)) for n in draw.integers(2, 5, 6000)])
    often = 1 / np.arange(1, len(vocabulary) + 1) ** 0.8

    def names(count: int, longest: int) -> np.ndarray:
        sizes = draw.integers(1, longest + 1, count)
        drawn = draw.choice(vocabulary, sizes.sum(), p=often / often.sum())
        return np.array([" ".join(w).title() for w in np.split(drawn, sizes.cumsum()[:-1])])

    ends = np.array([*[""] * 8, " (Live)", " - Remastered 2011", " [Explicit]", " (feat. Ana)"])
    artists = names(rows // 20, 2)[draw.integers(0, rows // 20, rows)]
    titles = np.char.add(names(rows, 4), ends[draw.integers(0, len(ends), rows)])
    picked, place = draw.integers(0, rows, rows), draw.integers(1, 4, rows)
    misspelt = [
        t[:n] + t[n + 1 :] if i % 6 == 0 else t
        for i, (t, n) in enumerate(zip(titles[picked], place, strict=True))
    ]
    lengths = draw.integers(120_000, 300_000, rows)

    def frame(ids: str, title: object, artist: object, length: object) -> pl.DataFrame:
        return pl.DataFrame(
            {"tenant_id": "shop", "track_id": [f"{ids}{n}" for n in range(rows)],
             "title": title, "artist_name": artist, "album": None, "duration_ms": length},
            schema_overrides={"album": pl.String, "duration_ms": pl.Int64},
        )  # fmt: skip

    return frame("n", misspelt, artists[picked], None), frame("c", titles, artists, lengths)
