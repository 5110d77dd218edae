"""Files about tracks: Spotify's audio features, and the tags of MTG-Jamendo."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections import Counter, defaultdict
from datetime import date
from typing import Any

import pytest

from analytics import gates
from analytics.errors import SchemaError
from analytics.lake import bronze, quarantine, read
from analytics.lake.content import content_hash
from tests.landing import DAY_ONE, a_tenant, drop_text, land_staged

SHARES = ("danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness",
          "valence")  # fmt: skip
MEASURES = (*SHARES, "loudness", "tempo")
TAGS = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"


def a_song(**changes: Any) -> dict[str, Any]:
    return {
        "track_id": "6f80", "track_name": 'Say "Yes", Love', "track_artist": "Can",
        "track_album_name": "Tago Mago", "track_album_release_date": "1971-08-01",
        "playlist_genre": "rock", **dict.fromkeys(SHARES, "0.5"), "key": "6", "loudness": "-2.634",
        "mode": "1", "tempo": "122.036", "duration_ms": "194754", **changes,
    }  # fmt: skip


def songs(*rows: dict[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def a_track(number: int, *tags: str, length: str = "212.7") -> str:
    return "\t".join([f"track_{number}", "artist_1", "album_1", "48/1.mp3", length, *tags]) + "\n"


@pytest.fixture
def two(make_settings):
    """Settings of two tenants whose files share names and ids; half of the rows may be bad."""

    def of(format_: str):
        entries = [
            a_tenant(t, {"name": "given", "format": format_, "path": f"{{landing}}/{t}/*",
                         "owner": "Ann"})
            for t in ("t1", "t2")
        ]  # fmt: skip
        return make_settings([{**entry, "bad_row_budget": 0.5} for entry in entries])

    return of


def gated(settings, tenant_id: str, run_id: str = "run"):
    bronze.extract(settings, tenant_id, DAY_ONE, run_id)
    gates.bronze(settings, tenant_id, DAY_ONE, run_id)
    return land_staged(settings, tenant_id, DAY_ONE, run_id)


def rows(settings, table: str, *columns: str, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    return read.scan(settings, table, tenant_id).select(columns).sort(columns).collect().rows()


# --------------------------------------------------------- audio features


def test_a_track_and_its_features_land_for_each_tenant_alone(two):
    settings = two("audio_features")
    drop_text(settings, "t1/songs.csv", songs(a_song()))
    drop_text(settings, "t2/songs.csv", songs(a_song(track_name="Other", key="-1", mode="0")))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    columns = ("title", "artist_name", "album", "genre", "duration_ms", "released_on")
    assert rows(settings, "tracks", *columns) == [
        ('Say "Yes", Love', "Can", "Tago Mago", "rock", 194754, date(1971, 8, 1))
    ]
    assert rows(settings, "tracks", "title", tenant_id="t2") == [("Other",)]
    told = ("track_id", "loudness", "valence", "pitch_class", "is_major", "time_signature")
    assert rows(settings, "track_features", *told) == [("6f80", -2.634, 0.5, 6, True, None)]
    assert rows(settings, "track_features", *told, tenant_id="t2") == [
        ("6f80", -2.634, 0.5, None, False, None)
    ]
    before = content_hash(settings)
    assert gated(settings, "t1", "again").touched is None
    assert content_hash(settings) == before


def test_columns_of_another_collection_in_another_order_say_the_same(two):
    settings = two("audio_features")
    names = {
        "track_id": "id", "track_name": "Name", "track_artist": "artists",
        "track_album_release_date": "release_date", "playlist_genre": "track_genre",
        "track_album_name": "album",
    }  # fmt: skip
    turned = {names.get(k, k): v for k, v in reversed(a_song().items())}
    drop_text(settings, "t1/data.csv", songs({**turned, "explicit": "0", "time_signature": "4"}))
    drop_text(settings, "t2/data.csv", songs(a_song()))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    for table, columns in (
        ("tracks", ("title", "artist_name", "album", "genre", "released_on", "duration_ms")),
        ("track_features", MEASURES),
    ):
        mine, theirs = (rows(settings, table, *columns, tenant_id=t) for t in ("t1", "t2"))
        assert mine == theirs
    assert rows(settings, "track_features", "time_signature") == [(4,)]


def test_a_track_on_several_playlists_has_the_genre_of_most(two):
    settings = two("audio_features")
    genres = {"a": ["pop", "rock", "rock"], "b": ["rock", "edm"], "c": [""]}
    listed = [a_song(track_id=t, playlist_genre=g) for t, gs in genres.items() for g in gs]
    drop_text(settings, "t1/songs.csv", songs(*listed))
    drop_text(settings, "t2/songs.csv", songs(*reversed(listed)))
    for tenant in ("t1", "t2"):
        counts = gated(settings, tenant).rows
        assert rows(settings, "tracks", "track_id", "genre", tenant_id=tenant) == [
            ("a", "rock"), ("b", "edm"), ("c", None),
        ]  # fmt: skip
        assert {t: c["corrected"] for t, c in counts.items()} == {"tracks": 0, "track_features": 0}


@pytest.mark.parametrize(
    ("written", "day"),
    [("1998", date(1998, 1, 1)), ("2001-05", date(2001, 5, 1)), ("2001-05-09", date(2001, 5, 9)),
     ("", None), ("soon", None), ("2001-05-09 00:00", None)],
)  # fmt: skip
def test_a_release_of_a_year_or_month_was_on_its_first_day(two, written, day):
    settings = two("audio_features")
    for tenant in ("t1", "t2"):
        content = songs(a_song(track_album_release_date=written))
        drop_text(settings, f"{tenant}/songs.csv", content)
        gated(settings, tenant)
        assert rows(settings, "tracks", "released_on", tenant_id=tenant) == [(day,)]


def test_what_is_no_number_or_no_title_is_set_aside_alone(two):
    settings = two("audio_features")
    bad = [
        a_song(track_id="b", energy="loud"), a_song(track_id="c", duration_ms="0"),
        a_song(track_id="d", track_name="NA", track_artist="NA"),
    ]  # fmt: skip
    good = [a_song(track_id=str(n)) for n in range(5)] + [a_song(track_id="na", track_name="NA")]
    drop_text(settings, "t1/songs.csv", songs(*bad, *good) + "torn\n")
    drop_text(settings, "t2/songs.csv", songs(*good))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("table", "row_number", "rule").rows() == [
        ("tracks", 1, "type:energy"), ("tracks", 2, "duration_ms_is_positive"),
        ("tracks", 3, "title_is_given"), ("tracks", 10, "row_parses"),
    ]  # fmt: skip
    assert rows(settings, "tracks", "track_id") == rows(
        settings, "tracks", "track_id", tenant_id="t2"
    )
    assert ("na", "NA") in rows(settings, "tracks", "track_id", "title")


def test_a_csv_without_features_is_refused_by_name_and_owner(two):
    settings = two("audio_features")
    drop_text(settings, "t1/songs.csv", "track_id,track_name,tempo\n1,A,120\n")
    drop_text(settings, "t2/songs.csv", songs(a_song()))
    with pytest.raises(SchemaError, match=r"t1: source given: t1/songs.csv is not .*tempo.*Ann"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    assert gated(settings, "t2").rows["tracks"]["landed"] == 1


def test_real_features_arrive_once_a_track(real_data, two):
    settings = two("audio_features")
    path = real_data / "features" / "spotify_songs_tidytuesday.csv.zip"
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/{path.name}", path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        text = archive.read("spotify_songs.csv").decode()
    given = list(csv.DictReader(io.StringIO(text)))
    counts = gated(settings, "t1")
    gated(settings, "t2")

    kept = read.scan(settings, "t1/given", layer="bronze").collect()
    assert kept.height == len(given)
    genres, of_id = defaultdict(Counter), {}
    for row in given:
        genres[row["track_id"]][row["playlist_genre"]] += 1
        of_id[row["track_id"]] = row
    unnamed = {k for k, row in of_id.items() if row["track_name"] == row["track_artist"] == "NA"}
    most = {k: min(c, key=lambda g: (-c[g], g)) for k, c in genres.items()}
    tracks = read.scan(settings, "tracks", "t1").collect()
    assert {
        (r["track_id"], r["title"], r["artist_name"], r["album"], r["genre"], r["duration_ms"])
        for r in tracks.iter_rows(named=True)
    } == {
        (k, row["track_name"], row["track_artist"], row["track_album_name"], most[k],
         int(row["duration_ms"]))
        for k, row in of_id.items()
        if k not in unnamed
    }  # fmt: skip
    years = Counter(
        int(r["track_album_release_date"][:4]) for k, r in of_id.items() if k not in unnamed
    )
    assert Counter(tracks["released_on"].dt.year()) == years
    assert counts.rows["tracks"]["quarantined"] == len(unnamed)
    features = read.scan(settings, "track_features", "t1").collect()
    assert features.height == len(of_id)
    for name in MEASURES:
        told = dict(features.select("track_id", name).iter_rows())
        assert told == {k: float(row[name]) for k, row in of_id.items()}
    assert features["is_major"].sum() == sum(row["mode"] == "1" for row in of_id.values())


# ---------------------------------------------------------------- Jamendo


def test_tracks_and_tags_land_for_each_tenant_alone(two):
    settings = two("jamendo_tags")
    tagged = a_track(1, "instrument---voice", "genre---rock", "genre---pop") + a_track(2)
    drop_text(settings, "t1/genre.tsv", (TAGS + tagged).replace("\n", "\r\n"))
    drop_text(settings, "t2/genre.tsv", TAGS + a_track(1, "genre---voice", "instrument---voice"))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    columns = ("track_id", "title", "artist_id", "genre", "duration_ms")
    assert rows(settings, "tracks", *columns) == [
        ("track_1", "(not named)", "artist_1", "rock", 212_700),
        ("track_2", "(not named)", "artist_1", None, 212_700),
    ]
    tags = ("item_kind", "item_id", "tag", "listener_id")
    assert rows(settings, "taggings", *tags) == [
        ("track", "track_1", tag, None) for tag in ("pop", "rock", "voice")
    ]
    assert (
        rows(settings, "taggings", *tags, tenant_id="t2")
        == [("track", "track_1", "voice", None)] * 2
    )
    before = content_hash(settings)
    assert gated(settings, "t1", "again").touched is None
    assert content_hash(settings) == before


def test_the_same_track_in_two_lists_of_tags_is_one_track_with_both(two):
    settings = two("jamendo_tags")
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/genre.tsv", TAGS + a_track(1, "genre---rock"))
        drop_text(settings, f"{tenant}/mood.tsv", TAGS + a_track(1, "mood/theme---sad"))
        gated(settings, tenant)
        assert rows(settings, "tracks", "track_id", "genre", tenant_id=tenant) == [
            ("track_1", "rock")
        ]
        assert rows(settings, "taggings", "tag", tenant_id=tenant) == [("rock",), ("sad",)]


def test_torn_tracks_are_set_aside_alone(two):
    settings = two("jamendo_tags")
    torn = "track_9\tartist_1\n" + a_track(8, "x\x00") + a_track(7, length="long")
    good = "".join(a_track(n, "genre---rock") for n in range(4))
    drop_text(settings, "t1/genre.tsv", TAGS + torn + good)
    drop_text(settings, "t2/genre.tsv", TAGS + good)
    assert [gated(settings, t).rows["tracks"]["landed"] for t in ("t1", "t2")] == [4, 4]
    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("row_number", "rule").rows() == [
        (1, "row_parses"), (2, "row_parses"), (3, "type:DURATION"),
    ]  # fmt: skip


def test_real_tags_arrive_to_the_tag(real_data, two):
    settings = two("jamendo_tags")
    path = real_data / "features" / "mtg_jamendo_autotagging_moodtheme.tsv.gz"
    lines = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().split("\r\n")]
    given = [line for line in lines[1:] if line != [""]]
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/{path.name}", path.read_bytes())
        gated(settings, tenant)
    tags = sorted((line[0], tag.split("---")[1]) for line in given for tag in line[5:])
    assert rows(settings, "taggings", "item_id", "tag") == tags
    assert rows(settings, "tracks", "track_id", "duration_ms", tenant_id="t2") == sorted(
        (line[0], round(float(line[4]) * 1000)) for line in given
    )
    assert quarantine.scan(settings, "t1").collect().is_empty()
