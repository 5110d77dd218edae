"""The step over the lake: whose tracks are named alone, and what is written of them."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest

from analytics.catalogue import match_tracks
from analytics.errors import UnknownTenant
from analytics.lake import delta, paths, read
from analytics.lake.tables import TABLES
from tests.builders import a_row
from tests.landing import DAY_ONE, a_line, a_tenant, drop, drop_text, run

MBID = "0d3a6a6e-4d4f-4c3c-8d3a-1c0a4e4f3b2a"


def md5(*parts: str) -> str:
    return hashlib.md5("\x1f".join(parts).encode()).hexdigest()


def a_name(title: str, artist: str, tenant_id: str = "t1", **changes) -> dict:
    """A track as a scrobble knows it."""
    small = artist.lower()
    scrobble = {
        "track_id": md5(small, title.lower(), "\x00"), "artist_id": md5(small), "title": title,
        "artist_name": artist, "album": None, "duration_ms": None,
    }  # fmt: skip
    return a_row("tracks", tenant_id, **{**scrobble, **changes})


def land(settings, *tracks: dict) -> None:
    """Make these all of silver's tracks."""
    frame = pl.DataFrame(list(tracks), schema=TABLES["tracks"].columns).with_columns(
        pl.lit("r0").alias("ingest_run")
    )
    uri = paths.table(settings, "silver", "tracks")
    found = delta.open_table(uri)
    if found is None:
        delta.write(uri, frame, partition_by=["tenant_id"])
    else:
        delta.write(found, frame, predicate="true")


def held(settings, tenant_id: str | None = None) -> dict[tuple[str, str], str | None]:
    rows = read.scan(settings, "tracks", tenant_id, layer="matches").collect()
    pairs = rows.select("tenant_id", "track_id", "matched_track_id").rows()
    return {(tenant, track): matched for tenant, track, matched in pairs}


def test_each_tenants_scrobbles_meet_its_own_catalogue(settings):
    named = a_name("Halo", "Ana")
    land(
        settings,
        named,
        a_row("tracks", track_id="s1", title="Halo", artist_name="Ana"),
        {**named, "tenant_id": "t2"},
        a_row("tracks", "t2", track_id="s1", title="Other", artist_name="Ana"),
        a_row("tracks", "t2", track_id="s2", title="HALO", artist_name="ána"),
    )
    for tenant_id in ("t1", "t2"):
        assert match_tracks(settings, tenant_id, "r1").changed
    assert held(settings) == {
        ("t1", named["track_id"]): "s1",
        ("t2", named["track_id"]): "s2",
    }


def test_names_with_a_length_and_names_of_an_account_are_named_alone(settings):
    logged = a_name(
        "Halo", "Ana", track_id=md5("ana", "halo", "200000"), artist_id=None, duration_ms=200_000
    )
    account = a_name("Halo", "Ana", track_id=md5("ana", "halo"), artist_id=None)
    song = a_row("tracks", track_id="s1", title="Halo", artist_name="Ana", artist_id=None)
    land(settings, logged, account, song)
    match_tracks(settings, "t1", "r1")
    assert held(settings) == {("t1", logged["track_id"]): "s1", ("t1", account["track_id"]): "s1"}


def test_a_catalogue_that_makes_its_ids_of_names_stays_catalogue(settings):
    song = a_name(
        "Halo", "Ana", track_id=md5("ana", "halo", "200000"), artist_id="AR1", duration_ms=200_000
    )
    named = a_name("Halo", "Ana")
    land(settings, song, named)
    match_tracks(settings, "t1", "r1")
    assert held(settings) == {("t1", named["track_id"]): song["track_id"]}


def test_a_scrobble_with_a_foreign_id_meets_the_catalogue_and_those_without_follow(settings):
    foreign = a_name("Halo (feat. Bo)", "Ana", track_id=MBID)
    alone = a_name("Nowhere Else At All", "Ana", track_id=MBID.replace("0", "1"))
    named, lost = a_name("Halo", "Ana"), a_name("Nowhere else at all", "Ana")
    land(settings, foreign, alone, named, lost)
    match_tracks(settings, "t1", "r1")
    assert held(settings) == {
        ("t1", MBID): None,
        ("t1", alone["track_id"]): None,
        ("t1", named["track_id"]): MBID,
        ("t1", lost["track_id"]): alone["track_id"],
    }

    song = a_row("tracks", track_id="z1", title="Halo", artist_name="Ana")
    land(settings, foreign, alone, named, lost, song)
    match_tracks(settings, "t1", "r2")
    assert held(settings)["t1", MBID] == "z1"
    assert held(settings)["t1", named["track_id"]] == "z1"


def test_a_second_run_commits_nothing_and_one_tenants_run_leaves_the_others(settings):
    songs = [
        track
        for tenant_id in ("t1", "t2")
        for track in (
            a_name("Halo", "Ana", tenant_id),
            a_row("tracks", tenant_id, track_id="s1", title="Halo", artist_name="Ana"),
        )
    ]
    land(settings, *songs)
    match_tracks(settings, "t1", "r1")
    match_tracks(settings, "t2", "r1")
    version = read.version(settings, "matches", "tracks")
    again = match_tracks(settings, "t1", "r2")
    assert (again.changed, again.version) == (False, version)

    land(settings, *songs[:1], *songs[2:])  # the first tenant's song is taken out
    assert match_tracks(settings, "t1", "r3").changed
    named = songs[0]["track_id"]
    assert held(settings) == {("t1", named): None, ("t2", named): "s1"}


def test_a_tenant_without_tracks_has_no_matches_and_an_unknown_one_is_an_error(settings):
    match_tracks(settings, "t1", "r1")
    assert held(settings) == {}
    with pytest.raises(UnknownTenant):
        match_tracks(settings, "t9", "r1")


def test_songs_that_a_log_only_names_meet_the_catalogue_that_came_as_a_file(make_settings):
    """From landing files to matches, by the readers and the lake as they are."""
    tenants = [
        a_tenant(
            tenant_id,
            {"name": "events", "format": "eventsim", "owner": "app team",
             "path": f"{{landing}}/{tenant_id}/events/{{date}}.jsonl"},
            {"name": "tracks", "format": "csv", "table": "tracks", "owner": "labels",
             "path": f"{{landing}}/{tenant_id}/tracks.csv",
             "columns": {c: c for c in ("track_id", "title", "artist_name", "updated_at")}},
        )
        for tenant_id in ("t1", "t2")
    ]  # fmt: skip
    settings = make_settings(tenants)
    for tenant_id, number in (("t1", "s1"), ("t2", "s2")):
        drop(
            settings, tenant_id, "2025-01-06",
            a_line(artist="Beyoncé", song="Déjà Vu (feat. Jay-Z)", length=240.5, trackId=None),
        )  # fmt: skip
        catalogue = f"track_id,title,artist_name,updated_at\n{number},Deja Vu,Beyonce,2025-01-06\n"
        drop_text(settings, f"{tenant_id}/tracks.csv", catalogue)
        run(settings, tenant_id, DAY_ONE, "r1")
        match_tracks(settings, tenant_id, "r1")
        played = read.scan(settings, "plays", tenant_id).collect()["track_id"].item()
        assert held(settings, tenant_id) == {(tenant_id, played): number}
