"""Last.fm's scrobbles in every dialect of their exporters, whole and damaged."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from analytics import gates
from analytics.errors import SchemaError
from analytics.lake import bronze, quarantine, read, silver
from analytics.lake.candidates import candidates
from analytics.lake.content import content_hash
from analytics.sources import json_lines
from analytics.sources.sniff import extent, sniff, tenants_from_folder
from analytics.tenants import get_tenant
from tests.landing import BOTH_DAYS, DAY_ONE, DAY_TWO, a_tenant, drop_text, land_staged, run
from tests.unit.sources.samples import Sample, taken
from tests.unit.sources.test_hostile import FEW, MANY, check, examples, spliced

HAWAII = "50e6dad8-1efd-4c96-b370-6a2a50b69df3"
NOON = 1_736_164_800  # 2025-01-06 12:00 UTC
# One minute after noon "Hey, You" of A, at noon "Hawaii" of B, in every dialect there is.
DIALECTS = {
    "mbid_epoch.csv": "artist,artist_mbid,album,album_mbid,track,track_mbid,timestamp,datetime\n"
    f'A,,Red,,"Hey, You",,{NOON + 60},2025-01-06 12:01:00\n'
    f"B,,,,Hawaii,{HAWAII},{NOON},2025-01-06 12:00:00\n",
    "no_header.csv": 'A,Red,"Hey, You",06 Jan 2025 12:01\nB,,Hawaii,06 Jan 2025 12:00\n',
    "quoted.csv": '"uts","utc_time","artist","artist_mbid","album","album_mbid","track",'
    f'"track_mbid"\n"{NOON + 60}","06 Jan 2025, 12:01","A","","Red","","Hey, You",""\n'
    f'"{NOON}","06 Jan 2025, 12:00","B","","","","Hawaii","{HAWAII}"\n',
    "other_order.csv": "DateTime;Title;Artist;Album\n2025-01-06 12:01;Hey, You;A;Red\n"
    "2025-01-06T12:00:00Z;Hawaii;B;\n",
    "pandas.csv": ",Artist,Album,Title,Time\n0,A,Red,\"Hey, You\",2025-01-06 12:01:00\n"
    "1,B,,Hawaii,2025-01-06 12:00:00\n",
    "r.tsv": '"artist"\t"album"\t"track"\t"date"\n"1"\t"A"\t"Red"\t"Hey, You"\t"2025-01-06 12:01"\n'
    '"2"\t"B"\t""\t"Hawaii"\t"2025-01-06 12:00"\n',
    "of_user.csv": "\ufeffArtist;Album;AlbumId;Track;Date#owner\n"
    f"A;Red;7;Hey, You;{NOON + 60}000\nB;;;Hawaii;{NOON}000\n",
    "user_column.csv": "username,artist,album,track,date,time\n"
    'owner,A,Red,"Hey, You",2025-01-06,12:01:00\nowner,B,,Hawaii,2025-01-06,12:00:00\n',
}  # fmt: skip
HEADER = "artist,album,track,track_mbid,uts\n"


def at(hour: int, minute: int = 0, second: int = 0, day: int = 6) -> datetime:
    return datetime(2025, 1, day, hour, minute, second, tzinfo=UTC)


def source_of(tenant_id: str, name: str = "*.csv", **more: Any) -> dict[str, Any]:
    path = f"{{landing}}/{tenant_id}/{name}"
    return {"name": "heard", "format": "lastfm_scrobbles", "path": path, **more}


@pytest.fixture
def settings(make_settings):
    """Two tenants with scrobbles of one name; half of a tenant's rows may be bad."""
    tenants = [a_tenant(t, source_of(t, owner="Ann")) for t in ("t1", "t2")]
    return make_settings([{**tenant, "bad_row_budget": 0.5} for tenant in tenants])


def gated(settings, tenant_id: str, interval=DAY_ONE, run_id: str = "run") -> silver.Landed:
    """Extract, judge and land one interval."""
    bronze.extract(settings, tenant_id, interval, run_id)
    gates.bronze(settings, tenant_id, interval, run_id)
    return land_staged(settings, tenant_id, interval, run_id)


def plays(settings, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    """(listener, artist, title, album, when) of every play in silver."""
    tracks = read.scan(settings, "tracks", tenant_id)
    joined = read.scan(settings, "plays", tenant_id).join(
        tracks, on=["tenant_id", "track_id"], how="left"
    )
    told = joined.select("listener_id", "artist_name", "title", "album", "started_at")
    return told.sort("started_at", "title").collect().rows()


def rules(settings, tenant_id: str = "t1") -> list[tuple[str, str]]:
    found = quarantine.scan(settings, tenant_id).sort("table", "row_number").collect()
    return found.select("table", "rule").rows()


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_tells_the_same_plays(name, make_settings, tmp_path):
    """t2 sends the first of the scrobbles, by another listener of the same name."""
    settings = make_settings([a_tenant(t, source_of(t, name)) for t in ("t1", "t2")])
    drop_text(settings, f"t1/{name}", DIALECTS[name])
    drop_text(settings, f"t2/{name}", "".join(DIALECTS[name].splitlines(keepends=True)[:-1]))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)

    hawaii, hey = (
        ("owner", "B", "Hawaii", None, at(12)),
        ("owner", "A", "Hey, You", "Red", at(12, 1)),
    )
    assert plays(settings) == [hawaii, hey]
    assert plays(settings, "t2") == [hey]
    assert quarantine.scan(settings).collect().is_empty()
    assert [s.format for s in sniff(settings.landing / "t1").sources] == ["lastfm_scrobbles"]


@pytest.mark.parametrize(
    "content",
    [
        "Song_Name,Artist_Name,Album_Name,Time\nHey,A,Red,3:59\n",
        "artist,title,time\nA,Hey,3:59\n",  # a length, no instant
        "artist,title,year\nA,Hey,1999\n",
        "A,Red,Hey,9.99\nB,Blue,Hawaii,19.99\n",
        "artist,album,track\nA,Red,Hey\n",
        "",
    ],
)
def test_a_table_of_songs_is_not_taken_for_scrobbles(content, tmp_path):
    (tmp_path / "songs.csv").write_text(content)
    (tmp_path / "endsong_0.json").write_text("[]")
    assert [s.format for s in sniff(tmp_path).sources] == ["spotify_extended"]


def test_scrobbles_without_a_time_are_set_aside_and_never_dated(settings):
    rows = f"A,Red,Now playing,,\nA,Red,No clock,,0\nA,Red,Hey,,{NOON}\nB,,Hawaii,,{NOON}\n"
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/a.csv", HEADER + rows)
        gated(settings, tenant)
        assert [play[2] for play in plays(settings, tenant)] == ["Hawaii", "Hey"]
        assert rules(settings, tenant) == [("plays", "started_at_is_given")] * 2
        assert extent(settings, get_tenant(settings, tenant)).start == DAY_ONE.start


def test_the_listener_is_who_the_export_names_else_its_owner(make_settings):
    settings = make_settings([a_tenant(t, source_of(t, "[ab].csv")) for t in ("t1", "t2")])
    named = f"Artist;Album;AlbumId;Track;Date#ann\nA;Red;7;Hey;{NOON}000\n"
    users = f"user,artist,track,uts\nann,A,Hey,{NOON}\nbob,A,Hey,{NOON}\n,A,Hey,{NOON}\n"
    drop_text(settings, "t1/a.csv", named)
    drop_text(settings, "t1/b.csv", users)
    drop_text(settings, "t2/a.csv", HEADER + f"A,Red,Hey,,{NOON}\n")
    for tenant in ("t1", "t2"):
        bronze.extract(settings, tenant, DAY_ONE, "run")

    who = {t: candidates(settings, t, DAY_ONE)[0]["plays"] for t in ("t1", "t2")}
    assert sorted(who["t1"]["listener_id"].fill_null("")) == ["", "ann", "ann", "bob"]
    assert who["t2"]["listener_id"].to_list() == ["owner"]


def test_damaged_lines_are_set_aside_alone_with_their_number(settings):
    content = (HEADER + f"A,Red,Hey,,{NOON},more\nA,Red\n").encode() + (
        b"A,Red,\xff\xfe,,1736164800\nA,Red,Zero\x00,,1736164800\n"
        b'A,Red,"never closed,,1736164800\nA,"Red,two",Torn,,1736164800\n'
        b"A,Red,Late,,1.73616E+09\nA,Red,Day,,2025-01-06\n,Red,Nobody,,1736164860\n"
        b"B,,Hawaii,,1736164800\nC,,Torn in two,,17361"
    )
    drop_text(settings, "t1/a.csv", content.replace(b"\n", b"\r\n"))
    drop_text(settings, "t2/a.csv", HEADER + f"A,Red,Hey,,{NOON}\n")
    run(settings, "t1", DAY_ONE, "run")
    run(settings, "t2", DAY_ONE, "run")

    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("row_number", "rule", "value").rows() == [
        *((n, "row_parses", None) for n in range(1, 5)),
        (7, "type:at", "1.73616E+09"), (8, "type:at", "2025-01-06"),
    ]  # fmt: skip
    assert [p[1:3] for p in plays(settings, "t1") if p[4] == at(12)] == [
        ("A", '"never closed'), ("B", "Hawaii"), ("A", "Torn"),
    ]  # fmt: skip
    assert [p[2] for p in plays(settings, "t2")] == ["Hey"]


def test_what_the_gate_sets_aside_is_a_play_without_artist_or_an_impossible_time(settings):
    rows = f",Red,Nobody,,{NOON}\nA,Red,Future,,4102444800\nA,,Hey,,{NOON}\nB,,Hawaii,,{NOON}\n"
    drop_text(settings, "t1/a.csv", HEADER + rows)
    gated(settings, "t1")
    assert [p[2] for p in plays(settings)] == ["Hawaii", "Hey"]
    assert ("plays", "track_id_is_given") in rules(settings)
    assert ("plays", "started_at_not_after_interval") in rules(settings)


@pytest.mark.parametrize("content", ["", "\n\n", HEADER, "\ufeff" + HEADER + "\r\n"])
def test_an_empty_file_brings_nothing_and_stops_nothing(settings, content):
    drop_text(settings, "t1/a.csv", content)
    assert run(settings, "t1", DAY_ONE, "run").rows["plays"]["rows_in"] == 0


@pytest.mark.parametrize(
    "content", [b"artist,album\nA,Red\n", (HEADER + "A,,Hey,,1\n").encode("utf-16"), b"{}\n"]
)
def test_what_is_no_export_of_scrobbles_is_named_with_its_owner(settings, content):
    drop_text(settings, "t1/a.csv", content)
    message = r"t1: source heard: t1/a.csv holds no scrobbles .*its owner \(Ann\)"
    with pytest.raises(SchemaError, match=message):
        bronze.extract(settings, "t1", DAY_ONE, "run")


def test_a_zip_is_read_member_by_member_and_one_without_scrobbles_is_named(make_settings):
    settings = make_settings([a_tenant(t, source_of(t, "x.zip")) for t in ("t1", "t2")])
    for tenant, names in (("t1", ("a.csv", "b.tsv", "read me.txt")), ("t2", ("read me.txt",))):
        kept = io.BytesIO()
        with zipfile.ZipFile(kept, "w") as archive:
            for name in names:
                mark = "\t" if name.endswith("tsv") else ","
                row = f"A,Red,{name},,{NOON}\n"
                archive.writestr(name, (HEADER + row).replace(",", mark))
        drop_text(settings, f"{tenant}/x.zip", kept.getvalue())
    run(settings, "t1", DAY_ONE, "run")

    assert [p[2] for p in plays(settings)] == ["a.csv", "b.tsv"]
    numbers = pl.read_delta(f"{settings.lake_root}/bronze/t1/heard")["_row"]
    assert sorted(numbers) == [1, 3]
    with pytest.raises(SchemaError, match=r"t2: source heard: t2/x.zip holds no file of scrob"):
        bronze.extract(settings, "t2", DAY_ONE, "run")


def test_a_later_export_brings_nothing_twice_and_its_mbids_mend_the_plays(make_settings):
    tenants = [a_tenant(t, source_of(t, "{date}.csv")) for t in ("t1", "t2")]
    settings = make_settings(tenants)
    old = f"A,Red,Hey,,{NOON}\nA,Blue,Hey,,{NOON}\nB,,Hawaii,,{NOON}\n"
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/2025-01-06.csv", HEADER + old)
        run(settings, tenant, DAY_ONE, "one")
    new = old.replace("Hawaii,", f"Hawaii,{HAWAII.upper()}") + f"B,,Hawaii,NA,{NOON + 60}\n"
    drop_text(settings, "t1/2025-01-07.csv", HEADER + new)
    counts = run(settings, "t1", DAY_TWO, "two").rows["plays"]

    assert (counts["duplicates"], counts["corrected"], counts["landed"]) == (2, 1, 1)
    ids = read.scan(settings, "plays", "t1").sort("started_at").collect()["track_id"].to_list()
    assert ids.count(HAWAII) == 1
    assert len(ids[-1]) == 32, "NA is no MBID"
    assert read.scan(settings, "plays", "t2").collect().height == 3
    assert HAWAII not in read.scan(settings, "plays", "t2").collect()["track_id"].to_list()


def test_daily_deliveries_and_one_ranged_run_end_with_the_same_states(make_settings, tmp_path):
    """The album of a track and its artist's MBID come, change and go missing over two days."""
    mbid = "46e32991-1e7b-4575-9206-8e6519c97c14"
    header = "artist,artist_mbid,album,track,uts\n"
    first = f"A,,Red,Hey,{NOON}\na ,{mbid},,hey,{NOON + 60}\nA,,Blue,Hey,{NOON + 120}\n"
    second = f"A,,,Hey,{NOON + 86400}\nA,,Green,Hey,{NOON + 86460}\nA,,Lost,Hey,\n"
    hashes = []
    for kind, intervals in (("daily", (DAY_ONE, DAY_TWO)), ("ranged", (BOTH_DAYS,))):
        settings = make_settings(
            [a_tenant(t, source_of(t, "{date}.csv")) for t in ("t1", "t2")],
            ANALYTICS_VAR_DIR=tmp_path / kind,
        )
        drop_text(settings, "t1/2025-01-06.csv", header + first)
        drop_text(settings, "t1/2025-01-07.csv", header + second)
        for interval in intervals:
            run(settings, "t1", interval, "run")
        found = content_hash(settings)
        states = ("silver/tracks", "silver/artists", "silver/listeners", "silver/plays")
        hashes.append({name: found[name, "t1"] for name in states})
        (track,) = read.scan(settings, "tracks").collect().rows(named=True)
        (artist,) = read.scan(settings, "artists").collect().rows(named=True)
        assert (track["album"], track["artist_id"]) == ("Green", artist["artist_id"])
        assert artist["external_id"] == mbid
    assert hashes[0] == hashes[1]


def test_pieces_of_any_size_give_the_same_rows(settings, monkeypatch):
    for tenant, piece in (("t1", 11), ("t2", json_lines.PIECE)):
        monkeypatch.setattr(json_lines, "PIECE", piece)
        drop_text(settings, f"{tenant}/a.csv", DIALECTS["mbid_epoch.csv"])
        run(settings, tenant, DAY_ONE, "run")
    assert plays(settings, "t1") == plays(settings, "t2")


def test_a_real_export_arrives_to_the_row_and_once(real_data, make_settings, tmp_path):
    file = real_data / "listening" / "lastfm_scrobbles" / "userA_mbid_epoch.csv.gz"
    for name in ("User A", "User B"):
        (tmp_path / "exports" / name).mkdir(parents=True)
        (tmp_path / "exports" / name / file.name).write_bytes(file.read_bytes())
    tenants = tenants_from_folder(tmp_path / "exports", tmp_path / "tenants.yaml")
    settings = make_settings(
        [{**t.model_dump(mode="json"), "bad_row_budget": 0.05} for t in tenants.values()]
    )
    interval = extent(settings, tenants["user_a"])
    landed = gated(settings, "user_a", interval)
    run(settings, "user_b", interval, "run")

    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    dated = [r for r in rows if r["timestamp"] != "0"]
    seconds = sorted(int(r["timestamp"]) for r in dated)
    told_apart = {(r["timestamp"], r["artist"], r["track"], r["album"]) for r in dated}
    songs = {r["track_mbid"] or (r["artist"].lower(), r["track"].lower()) for r in dated}
    artists = {r["artist"].strip().lower(): r["artist_mbid"] for r in dated}

    assert (len(rows), len(dated)) == (17_503, 16_860)
    counts = landed.rows["plays"]
    assert (counts["rows_in"], counts["quarantined"]) == (len(rows), len(rows) - len(dated))
    assert (counts["landed"], counts["duplicates"]) == (
        len(told_apart), len(dated) - len(told_apart),
    )  # fmt: skip
    heard = read.scan(settings, "plays", "user_a").collect()
    assert heard["started_at"].min() == datetime.fromtimestamp(seconds[0], UTC)
    assert heard["started_at"].max() == datetime.fromtimestamp(seconds[-1], UTC)
    assert heard["listened_ms"].null_count() == heard.height
    tracks = read.scan(settings, "tracks", "user_a").collect()
    assert tracks.height == len(songs)
    assert heard.join(tracks, on="track_id", how="anti").is_empty()
    named = read.scan(settings, "artists", "user_a").collect()
    assert named.height == len(artists)
    assert named["external_id"].count() == sum(bool(mbid) for mbid in artists.values())
    assert gated(settings, "user_a", interval, "again").touched is None


SAMPLE = Sample("lastfm_scrobbles", "scrobbles.csv", DIALECTS["mbid_epoch.csv"].encode(), 2)
NAKED = Sample("lastfm_scrobbles", "scrobbles.csv", DIALECTS["no_header.csv"].encode(), 2)


@pytest.mark.parametrize("sample", [SAMPLE, NAKED], ids=["header", "no_header"])
@pytest.mark.parametrize("many", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
def test_no_bytes_break_the_reader(sample, many, make_settings, tmp_path):
    settings = make_settings()

    @examples(max_examples=many, deadline=None, database=None)
    @given(spliced(sample.content))
    def holds(content: bytes) -> None:
        check(sample, taken(settings, sample, content, tmp_path))

    holds()
