"""Real songs known to be the same: the weights shipped, and how right they are."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from pathlib import Path

import polars as pl
import pytest

from analytics.catalogue import match, similarity
from analytics.lake.tables import TABLES
from bench.measures import matching as measured

FIELD = re.compile(r"COL (\w+) VAL (.*?)(?=\s*COL \w+ VAL|\s*$)")


def a_song(serialized: str, tenant_id: str) -> dict:
    told = dict(FIELD.findall(serialized))
    clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+)", told["Time"].strip())
    hours, minutes, seconds = (int(n or 0) for n in clock.groups()) if clock else (0, 0, 0)
    return {
        "tenant_id": tenant_id,
        "track_id": "the one",
        "title": told["Song_Name"],
        "artist_name": told["Artist_Name"],
        "album": told["Album_Name"] or None,
        "duration_ms": (hours * 3600 + minutes * 60 + seconds) * 1000 if clock else None,
    }


def test_the_weights_shipped_are_those_that_the_train_and_valid_splits_give(real_data):
    fitted = measured.fitted(real_data)
    shipped = {name: getattr(similarity, name) for name in fitted}
    assert shipped == pytest.approx(fitted, abs=0.006)


def test_pairs_never_seen_are_told_as_well_as_published(real_data):
    """Each pair is a tenant of its own, so the whole way is taken and tenants share every id."""
    file = real_data / measured.PAIRS / "test.txt.gz"
    lines = [line.split("\t") for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
    schema = TABLES["tracks"].columns
    ours, theirs = (
        pl.DataFrame([a_song(line[side], f"pair{n}") for n, line in enumerate(lines)], schema)
        for side in (0, 1)
    )
    found = match(ours, theirs).filter(pl.col("matched_track_id").is_not_null())
    equal = {f"pair{n}" for n, line in enumerate(lines) if line[2] == "1"}
    said = set(found["tenant_id"])
    assert (len(lines), len(equal)) == (109, 27)
    assert len(said & equal) == 26
    assert len(said - equal) == 0

    told = measured.quality(measured.compared(real_data, "test"))
    assert (told.precision, told.recall) == pytest.approx((1.0, 26 / 27))
    assert told.f1 == pytest.approx(52 / 53)
    assert 0.9 < told.least < told.f1 < told.most <= 1


def test_no_equal_pair_is_lost_before_it_is_compared(real_data):
    survived, comparisons = measured.blocked(real_data)
    assert survived == 1
    assert comparisons < 5


def heard(real_data: Path) -> dict[str, dict]:
    """The songs of a real history by their Spotify id, by names alone."""
    songs = {}
    with zipfile.ZipFile(real_data / "listening/spotify_extended/userA_2013-2024.zip") as export:
        for name in sorted(export.namelist()):
            for play in json.loads(export.read(name)) if name.endswith(".json") else []:
                uri, title = play["spotify_track_uri"], play["master_metadata_track_name"]
                if uri and title:
                    artist = play["master_metadata_album_artist_name"]
                    songs[uri.rpartition(":")[2]] = {"title": title, "artist_name": artist}
    return songs


def listed(real_data: Path) -> dict[str, dict]:
    """The songs of a real catalogue by their Spotify id."""
    with zipfile.ZipFile(real_data / "features/spotify_songs_tidytuesday.csv.zip") as packed:
        rows = csv.DictReader(io.StringIO(packed.read("spotify_songs.csv").decode()))
        return {
            row["track_id"]: {"title": row["track_name"], "artist_name": row["track_artist"]}
            for row in rows
        }


def test_what_a_real_history_and_a_real_catalogue_share_by_id_is_found_by_name(real_data):
    """Another release of the song, under another id, is as right; so the names found are held."""
    history, catalogue = heard(real_data), listed(real_data)
    shared = history.keys() & catalogue.keys()

    def frame(tenants: tuple[str, ...], songs: dict[str, dict]) -> pl.DataFrame:
        rows = [
            {"tenant_id": t, "track_id": i, **song} for t in tenants for i, song in songs.items()
        ]
        return pl.DataFrame(rows, schema=TABLES["tracks"].columns)

    found = match(frame(("t1", "t2"), history), frame(("t1",), catalogue))
    assert found.filter(tenant_id="t2")["matched_track_id"].null_count() == len(history)
    matched = {
        row["track_id"]: row["matched_track_id"]
        for row in found.filter(pl.col("matched_track_id").is_not_null()).iter_rows(named=True)
    }
    assert (len(shared), len(shared & matched.keys())) == (601, 597)
    plain = re.compile(r"[^a-z]")
    for track_id, other in matched.items():
        ours, theirs = history[track_id]["artist_name"], catalogue[other]["artist_name"]
        ours, theirs = (plain.sub("", name.lower()) for name in (ours, theirs))
        assert ours in theirs or theirs in ours
