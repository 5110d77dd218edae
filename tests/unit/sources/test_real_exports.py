"""Real exports, counted a second way: plain loops over the files' JSON."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections import Counter
from datetime import UTC, datetime

import polars as pl
import pytest

from analytics.lake import read
from analytics.sources.sniff import extent, tenants_from_folder
from tests.landing import run


@pytest.fixture
def exports(real_data, tmp_path, make_settings):
    """A folder of two tenants' exports, its settings and its tenants."""
    folder = tmp_path / "exports"
    shutil.unpack_archive(
        real_data / "listening" / "dend_eventsim_open.tar.gz", folder / "Radio One"
    )
    history = real_data / "listening" / "spotify_extended" / "userA_2013-2024.zip"
    (folder / "user-a").mkdir()
    (folder / "user-a" / history.name).write_bytes(history.read_bytes())
    tenants = tenants_from_folder(folder, tmp_path / "tenants.yaml")
    settings = make_settings([t.model_dump(mode="json") for t in tenants.values()])
    return folder, settings, tenants


def test_event_logs_and_songs_arrive_to_the_row(exports):
    folder, settings, tenants = exports
    interval = extent(settings, tenants["radio_one"])
    landed = run(settings, "radio_one", interval, "run")

    lines = [
        json.loads(line)
        for file in (folder / "Radio One" / "log_data").rglob("*.json")
        for line in file.read_text().splitlines()
    ]
    played = Counter(
        datetime.fromtimestamp(e["ts"] / 1000, UTC).date() for e in lines if e["page"] == "NextSong"
    )
    pages = [e for e in lines if e["page"] != "NextSong" and e["userId"]]
    songs = {
        (s["artist_name"].lower(), s["title"].lower(), round(s["duration"] * 1000)): s["song_id"]
        for file in (folder / "Radio One" / "song_data").rglob("TR*.json")
        if ".ipynb" not in str(file)
        for s in [json.loads(file.read_text())]
    }
    heard = {
        (e["artist"].lower(), e["song"].lower(), round(e["length"] * 1000))
        for e in lines
        if e["page"] == "NextSong"
    }

    plays = read.scan(settings, "plays").collect()
    by_day = plays.group_by(pl.col("started_at").dt.date()).len().rows()
    assert dict(by_day) == dict(played)
    assert read.scan(settings, "app_events").collect().height == len(pages)
    assert landed.rows["subscription_events"]["landed"] == sum(
        e["page"] == "Submit Upgrade" for e in lines
    )
    tracks = read.scan(settings, "tracks").collect()
    assert tracks.height == len(heard | set(songs))
    assert plays.join(tracks, on=["tenant_id", "track_id"], how="anti").is_empty()
    assert tracks.filter(pl.col("artist_id").is_not_null()).height == len(songs)
    assert read.scan(settings, "listeners").collect().height == len(
        {e["userId"] for e in lines if e["userId"]}
    )


def test_an_extended_history_arrives_to_the_row_and_merges_only_true_duplicates(exports):
    folder, settings, tenants = exports
    interval = extent(settings, tenants["user_a"])
    landed = run(settings, "user_a", interval, "run").rows["plays"]

    with zipfile.ZipFile(next((folder / "user-a").glob("*.zip"))) as archive:
        rows = [
            row
            for name in archive.namelist()
            if name.endswith(".json")
            for row in json.loads(archive.read(name))
        ]
    told_apart = {json.dumps(row, sort_keys=True) for row in rows}
    named = [row for row in rows if row["spotify_track_uri"]]
    naive = {
        (
            r["spotify_track_uri"],
            datetime.fromisoformat(r["ts"]).timestamp() * 1000 - r["ms_played"],
        )
        for r in named
    }
    true = {json.dumps(row, sort_keys=True) for row in named}

    assert (landed["rows_in"], landed["landed"]) == (len(rows), len(told_apart))
    assert landed["duplicates"] == len(rows) - len(told_apart)
    assert (len(named) - len(naive), len(named) - len(true)) == (92, 79)
    plays = read.scan(settings, "plays").collect()
    assert plays.filter(pl.col("track_id").str.starts_with("spotify:track:")).height == len(true)
    assert plays["listened_ms"].sum() == sum(json.loads(row)["ms_played"] for row in told_apart)
    assert run(settings, "user_a", interval, "again").touched is None
