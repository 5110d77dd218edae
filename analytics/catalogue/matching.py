"""Match tracks that have only names to a catalogue: one best match each, or none, and why.

Grain      one row per (tenant_id, track_id) of the named tracks, matched or not.
Tenants    keys and joins begin with the tenant: another tenant's catalogue is never seen.
Decision   equal names are a match, whatever else the catalogue holds. Other names need a
           score of THRESHOLD, and MARGIN more evidence than the best song of another name.
Surprises  of the tracks that carry the names chosen (albums, compilations) the likest in
           album and length is taken, then the first by id; only ALIKE of them are looked at.
           A track without an artist is never matched: a title alone names many songs.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analytics.catalogue import similarity
from analytics.catalogue.candidates import candidates, keys, telling
from analytics.catalogue.names import NAMES, parsed

MATCHES: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "track_id": pl.String,
    "matched_track_id": pl.String,  # null: none is sure enough
    "score": pl.Float64,  # of the best, 0 to 1; null: nothing comes near
    "how": pl.String,  # same_names, similar_names; without a match too_close, too_different
    "second_score": pl.Float64,  # of the best under other names; null: nothing comes near
}
THRESHOLD = 0.5
MARGIN = 0.5  # log-odds: the best is 1.6 times as likely as the second
ALIKE = 25
ROWS = 20_000  # named tracks compared at a time

_COMPARED = ["song", "recording", "artist", "main_artist"]
_ABOUT = ["album", "duration_ms"]
_PAIR = ["tenant_id", "track", "name"]


@dataclass(frozen=True)
class Known:
    """A catalogue made ready to look names up in."""

    names: pl.DataFrame  # one row per distinct names of a tenant
    keys: pl.DataFrame  # of the names
    carriers: pl.DataFrame  # the tracks that carry each


def match(named: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """MATCHES of the named tracks; both sides have the columns of silver's `tracks`."""
    known = ready(catalogue)
    parts = [pl.DataFrame(schema=MATCHES)]
    for some in named.iter_slices(ROWS):
        said = parsed(some).with_row_index("track")
        near = _near(said, to_compare(said, known), known)
        parts.append(_decided(said, _likest(said, near, known)))
    return pl.concat(parts).sort("tenant_id", "track_id")


def ready(catalogue: pl.DataFrame) -> Known:
    tracks = parsed(catalogue).filter(pl.col("artist") != "").sort("tenant_id", "track_id")
    names = tracks.unique(["tenant_id", *NAMES], keep="first", maintain_order=True)
    names = names.select("tenant_id", *_COMPARED).with_row_index("name")
    carriers = tracks.join(names, on=["tenant_id", *NAMES], maintain_order="left").select(
        "tenant_id", "name", pl.col("track_id").alias("matched_track_id"), *_ABOUT
    )
    alike = pl.int_range(pl.len()).over("name") < ALIKE
    return Known(names, telling(keys(names, "name")), carriers.filter(alike))


def to_compare(said: pl.DataFrame, known: Known) -> pl.DataFrame:
    """tenant_id, track and name of the pairs worth a comparison: equal names and shared keys."""
    same = said.join(known.names, on=["tenant_id", *NAMES]).select(_PAIR)
    shared = candidates(keys(said.filter(pl.col("artist") != ""), "track"), known.keys)
    return pl.concat([same, shared]).unique()


def _near(said: pl.DataFrame, pairs: pl.DataFrame, known: Known) -> pl.DataFrame:
    """The pairs that album and length could still make a match, with what their names say."""
    sides = pairs.join(
        said.select("tenant_id", "track", *_COMPARED), on=["tenant_id", "track"]
    ).join(known.names, on=["tenant_id", "name"], suffix="_known")
    by_names = similarity.evidence_of_names(similarity.of_names(sides))
    is_same = pl.all_horizontal(pl.col(c) == pl.col(f"{c}_known") for c in NAMES)
    return sides.select(*_PAIR, is_same.alias("is_same"), by_names.alias("by_names")).filter(
        pl.col("by_names") + similarity.MOST_OF_TRACK > 0
    )


def _likest(said: pl.DataFrame, pairs: pl.DataFrame, known: Known) -> pl.DataFrame:
    """Of each pair, the likest of the tracks that carry the name, with all its evidence."""
    tracks = pairs.join(said.select("tenant_id", "track", *_ABOUT), on=["tenant_id", "track"]).join(
        known.carriers, on=["tenant_id", "name"], suffix="_known"
    )
    by_track = similarity.evidence_of_track(similarity.of_track(tracks))
    evidence = (pl.col("by_names") + by_track).alias("evidence")
    return (
        tracks.with_columns(evidence)
        .sort("evidence", "matched_track_id", descending=[True, False])
        .unique(_PAIR, keep="first", maintain_order=True)
        .select(*_PAIR, "is_same", "evidence", "matched_track_id")
    )


def _decided(said: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    """MATCHES: the first of each track's names where it is sure, and how sure."""
    first, second = pl.col("evidence").first(), pl.col("evidence").slice(1).max()
    ranked = (
        best.sort("is_same", "evidence", "matched_track_id", descending=[True, True, False])
        .group_by("tenant_id", "track", maintain_order=True)
        .agg(
            pl.col("is_same", "matched_track_id").first(),
            _score(first).alias("score"),
            _score(second).alias("second_score"),
            (first - second < MARGIN).fill_null(False).alias("is_close"),
        )
    )
    how = (
        pl.when("is_same")
        .then(pl.lit("same_names"))
        .when((pl.col("score") < THRESHOLD) | pl.col("score").is_null())
        .then(pl.lit("too_different"))
        .when("is_close")
        .then(pl.lit("too_close"))
        .otherwise(pl.lit("similar_names"))
    )
    is_sure = pl.col("how").is_in(["same_names", "similar_names"])
    return (
        said.join(ranked, on=["tenant_id", "track"], how="left")
        .with_columns(how.alias("how"))
        .with_columns(pl.when(is_sure).then("matched_track_id").alias("matched_track_id"))
        .select(pl.col(c).cast(t) for c, t in MATCHES.items())
    )


def _score(evidence: pl.Expr) -> pl.Expr:
    return (1 / (1 + (-evidence).exp())).round(4)
