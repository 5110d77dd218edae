"""Spotify's exports: arrays read in pieces, what identifies a play, what is never kept."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from analytics.errors import SourceError
from analytics.lake import quarantine, read
from analytics.sources import json_array, json_lines
from analytics.sources.base import Unit
from analytics.sources.json_array import Broken, pieces
from analytics.sources.sniff import extent, sniff, tenants_from_folder
from analytics.sources.spotify_account import SpotifyAccount
from analytics.sources.spotify_extended import SpotifyExtended
from analytics.sources.typed import typed_batch
from analytics.tenants import Tenant, get_tenant
from tests.landing import DAY_ONE, a_tenant, drop_text, run
from tests.unit.sources.samples import Sample, taken
from tests.unit.sources.test_hostile import FEW, check, spliced

# One real shape of an older export's row, and the id it has always had.
OLDER_ROW = {
    "ts": "2021-05-03T18:04:05Z", "username": "anna", "platform": "iOS 14.4 (iPhone12,1)",
    "ms_played": 183_000, "conn_country": "DE", "ip_addr_decrypted": "198.18.0.1",
    "user_agent_decrypted": "unknown", "master_metadata_track_name": "Blue in Green",
    "master_metadata_album_artist_name": "Miles Davis",
    "master_metadata_album_album_name": "Kind of Blue",
    "spotify_track_uri": "spotify:track:0aWMVrwxPNYkKmFthzmpRi", "episode_name": None,
    "episode_show_name": None, "spotify_episode_uri": None, "reason_start": "trackdone",
    "reason_end": "fwdbtn", "shuffle": False, "skipped": True, "offline": False,
    "offline_timestamp": 1_620_065_000_000, "incognito_mode": False,
}  # fmt: skip
ITS_ID = "d7d11de1b82ce092bc8d10a938b9041f"
NO_BOOK = dict.fromkeys(
    ("audiobook_title", "audiobook_uri", "audiobook_chapter_title", "audiobook_chapter_uri")
)
CHAPTER = {
    "ts": "2025-01-06T12:00:00Z", "platform": "ios", "ms_played": 600_000, "conn_country": "DE",
    "ip_addr": "203.0.113.77", "user_agent_decrypted": "Dalvik/2.1.0", "city": "Jena",
    "region": "Thuringia", "audiobook_title": "Emma", "audiobook_uri": "spotify:show:emma",
    "audiobook_chapter_title": "Volume I", "audiobook_chapter_uri": "spotify:episode:emma1",
}  # fmt: skip
PRIVATE = ("203.0.113.77", "Dalvik", "Jena", "Thuringia")

SONG = {
    "endTime": "2025-01-06 08:15", "artistName": "Can", "trackName": "Halleluhwah",
    "msPlayed": 90_500,
}  # fmt: skip
EPISODE = {
    "endTime": "2025-01-06 09:00", "podcastName": "In Our Time", "episodeName": "Plankton",
    "msPlayed": 60_000,
}  # fmt: skip
BOOK = {
    "endTime": "2025-01-06 10:00", "authorName": "Jane Austen", "audiobookName": "Emma",
    "chapterName": "Volume I", "msPlayed": 60_000,
}  # fmt: skip


def zipped(files: dict[str, str]) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return kept.getvalue()


def elements(content: bytes) -> list[tuple[int, bytes]]:
    """Every element of the array under its number, but blank ones."""
    found = pieces(io.BytesIO(content))
    numbered = (one for number, lines in found for one in enumerate(lines, number))
    return [(number, text) for number, text in numbered if text.strip()]


def history_of(tenant_id: str, format_: str = "spotify_extended") -> dict[str, str]:
    path = f"{{landing}}/{tenant_id}/*"
    return {"name": "history", "format": format_, "path": path, "owner": "Anna"}


# ----------------------------------------------------------------- arrays

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@examples(deadline=None, database=None)
@given(
    rows=st.lists(st.dictionaries(st.text(), any_json, max_size=4), max_size=6),
    indent=st.sampled_from([None, 0, 2, "\t", "\r\n"]),
    is_ascii=st.booleans(),
    start=st.sampled_from([b"", b"\xef\xbb\xbf", b"\n \r\n"]),
    piece=st.sampled_from([1, 2, 3, 7, 64, 1 << 20]),
)
def test_every_array_comes_back_as_it_was(rows, indent, is_ascii, start, piece):
    text = json.dumps(rows, indent=indent, ensure_ascii=is_ascii)
    content = start + text.encode("utf-8", errors="replace") + b" \n"
    usual, json_array.PIECE = json_array.PIECE, piece
    try:
        found = elements(content)
    finally:
        json_array.PIECE = usual
    assert [json.loads(text) for _, text in found] == json.loads(content.decode("utf-8-sig"))
    assert [number for number, _ in found] == list(range(len(rows)))


@pytest.mark.parametrize("piece", [1, 5, 1 << 20])
def test_what_is_no_object_is_set_aside_and_the_others_keep_their_numbers(monkeypatch, piece):
    monkeypatch.setattr(json_array, "PIECE", piece)
    odd = [b'{"a": }', b"nonsense", b"7", b"null", b'"a, b"', b'[{"a": 1}]', b'{"a": "\xff"}',
           b'{"a": "\x00"}', b'{"a": "one\ntwo"}', b'{"a": "\\\n"}', b"{a: 1} {}"]  # fmt: skip
    fine = b'{"a": "[\\"{,\\\\"}'
    content = b"[" + b",\n".join(part for one in odd for part in (one, fine)) + b"]"
    good, bad = [], []
    for number, lines in pieces(io.BytesIO(content), first=100):
        rows, broken = json_lines.parsed(number, lines, {"a": pl.String})
        good += rows.rows()
        bad += broken["row"].to_list()
    assert good == [('["{,\\', 101 + 2 * n) for n in range(len(odd))]
    assert bad == [100 + 2 * n for n in range(len(odd))]


def test_a_file_cut_anywhere_is_never_taken_for_whole():
    content = json.dumps([SONG, {"a": 'x\\"]'}, EPISODE], indent=1).encode()
    for at in range(1, len(content)):
        with pytest.raises(Broken, match="ends before its array does"):
            elements(content[:at])
    assert len(elements(content)) == 3


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a": 1}', "begins with"),
        (b"null", "begins with"),
        (b"\x00" * 9000, "begins with"),
        ("[{}]".encode("utf-16"), "begins with"),
        (b"[{}]\x00", "follows the end"),
        (b'[{}] [{"a": 1}]', "follows the end"),
        (b"[{}]" + b" " * (3 << 20) + b"]", "follows the end"),
        (b"[{}}", "brackets do not match"),
        (b'[{"a": "x}, {"a": 1}]', "ends before its array does"),
    ],
)
def test_what_is_no_array_says_what_it_is(content, why):
    with pytest.raises(Broken, match=why):
        elements(content)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf", b"[]", b"[ \n]", b"[,]"])
def test_an_array_of_nothing_brings_nothing(content):
    assert elements(content) == []


def test_an_element_too_long_for_any_play_never_fills_the_memory(monkeypatch):
    monkeypatch.setattr(json_array, "PIECE", 1 << 12)
    monkeypatch.setattr(json_lines, "PIECE", 1 << 14)
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 1 << 15)
    giant = b'{"a": "' + b"x" * (1 << 20) + b'"}'
    held, found = 0, []
    for number, lines in pieces(io.BytesIO(b'[{"a": 1},' + giant + b',{"a": 2}]')):
        held = max(held, sum(map(len, lines)))
        found += list(enumerate(lines, number))
    assert [(n, text[:8]) for n, text in found] == [
        (0, b'{"a": 1}'), (1, giant[:8]), (2, b'{"a": 2}'),
    ]  # fmt: skip
    assert held < 1 << 17


# -------------------------------------------------- the extended history


def extended(*rows: dict) -> dict[str, pl.DataFrame]:
    """What the rows become, straight from their typed columns."""
    return _conformed(SpotifyExtended(), "endsong_0.json", *rows)


def _conformed(handler, name: str, *rows: dict) -> dict[str, pl.DataFrame]:
    tenant = Tenant.model_validate({"id": "t1", "name": "t1", "sources": [history_of("t1")]})
    source = tenant.sources[0]
    unit = Unit(name, "0" * 64, None)
    texts = [{k: None if v is None else str(v) for k, v in row.items()} for row in rows]
    types = handler.schema(source)
    frame = pl.DataFrame(texts, schema=dict.fromkeys(types, pl.String))
    batch = typed_batch(tenant, source, "plays", unit, frame, types)
    return handler.conform(tenant, source, batch.rows)


def test_a_row_of_the_older_schema_keeps_the_id_it_always_had(make_settings):
    newer = {**OLDER_ROW, **NO_BOOK, "ip_addr": "198.18.0.1"}
    settings = make_settings([a_tenant(t, history_of(t)) for t in ("t1", "t2")])
    drop_text(settings, "t1/endsong_0.json", json.dumps([OLDER_ROW]))
    drop_text(settings, "t2/Streaming_History_Audio_2021_0.json", json.dumps([newer], indent=2))
    day = extent(settings, get_tenant(settings, "t1"))
    for tenant_id in ("t1", "t2"):
        run(settings, tenant_id, day, "run")
    found = read.scan(settings, "plays").collect().sort("tenant_id")
    assert found.select("tenant_id", "play_id").rows() == [("t1", ITS_ID), ("t2", ITS_ID)]


def test_bronze_rows_of_before_the_audiobooks_become_what_they_did():
    handler, kept = SpotifyExtended(), extended(OLDER_ROW)
    assert kept["plays"]["play_id"].to_list() == [ITS_ID]
    tenant = Tenant.model_validate({"id": "t1", "name": "t1", "sources": [history_of("t1")]})
    bronze = pl.DataFrame(
        {**OLDER_ROW, "ts": datetime(2021, 5, 3, 18, 4, 5, tzinfo=UTC), "tenant_id": "t1",
         "_file": "f", "_file_hash": "0", "_row": 0, "_arrived_on": None},
    ).with_columns(pl.col(pl.Datetime).dt.cast_time_unit("us"))  # fmt: skip
    again = handler.conform(tenant, tenant.sources[0], bronze)
    assert again["plays"]["play_id"].to_list() == [ITS_ID]


def test_each_field_of_an_audiobook_tells_two_plays_apart_where_it_is_given():
    rows = [CHAPTER, {**CHAPTER, **NO_BOOK}, *({**CHAPTER, field: None} for field in NO_BOOK)]
    assert extended(*rows)["plays"]["play_id"].n_unique() == len(rows)


def test_a_chapter_is_a_track_of_its_book_and_a_podcast_stays_what_it_was():
    episode = {
        **OLDER_ROW, "master_metadata_track_name": None, "spotify_track_uri": None,
        "master_metadata_album_artist_name": None, "master_metadata_album_album_name": None,
        "episode_name": "Plankton", "episode_show_name": "In Our Time",
        "spotify_episode_uri": "spotify:episode:p",
    }  # fmt: skip
    found = extended(CHAPTER, episode, {**CHAPTER, "audiobook_chapter_uri": None})
    assert found["plays"]["track_id"].to_list() == [
        "spotify:episode:emma1", "spotify:episode:p", "spotify:show:emma",
    ]  # fmt: skip
    tracks = found["tracks"].sort("track_id")
    assert tracks.select("title", "artist_name", "album").rows() == [
        ("Volume I", None, "Emma"), ("Plankton", "In Our Time", None), ("Volume I", None, "Emma"),
    ]  # fmt: skip
    assert found["listeners"]["listener_id"].sort().to_list() == ["anna", "owner"]


def test_addresses_places_and_devices_are_kept_nowhere(make_settings):
    settings = make_settings([a_tenant(t, history_of(t)) for t in ("t1", "t2")])
    torn = json.dumps(CHAPTER)[:-1] + ', "x": }'
    untyped = json.dumps({**CHAPTER, "ms_played": "long"})
    content = f"[{json.dumps(CHAPTER)}, {torn}, {untyped}]"
    for tenant_id in ("t1", "t2"):
        drop_text(settings, f"{tenant_id}/Streaming_History_Audiobook_2025.json", content)
        landed = run(settings, tenant_id, DAY_ONE, "run").rows["plays"]
        assert (landed["landed"], landed["quarantined"]) == (1, 2)
    set_aside = quarantine.scan(settings, "t1").collect().sort("row_number")
    assert set_aside.select("row_number", "rule").rows() == [
        (1, "row_parses"), (2, "type:ms_played"),
    ]  # fmt: skip
    assert "may hold an address" in set_aside["row"][0]
    written = b"".join(p.read_bytes() for p in Path(settings.lake_root).rglob("*") if p.is_file())
    bronze = read.scan(settings, "history", layer="bronze/t1").collect()
    everything = f"{bronze.rows()} {set_aside.rows()}".encode() + written
    assert [word for word in PRIVATE if word.encode() in everything] == []
    assert not {"ip_addr", "city", "region"}.intersection(bronze.columns)


def test_files_of_a_zip_count_their_rows_on_and_only_its_own_are_read(make_settings):
    settings = make_settings([a_tenant(t, history_of(t)) for t in ("t1", "t2")])
    content = zipped({
        "Spotify Extended Streaming History/Streaming_History_Audio_2025_1.json":
            json.dumps([{**CHAPTER, "ms_played": n} for n in (3, 4)], indent=2),
        "Spotify Extended Streaming History/Streaming_History_Audio_2024-2025_0.json":
            json.dumps([{**CHAPTER, "ms_played": n} for n in (1, 2)]),
        "Spotify Extended Streaming History/Streaming_History_Video_2025.json": "[]",
        "Spotify Account Data/Userdata.json": '{"username": "anna"}',
    })  # fmt: skip
    for tenant_id in ("t1", "t2"):
        drop_text(settings, f"{tenant_id}/my_spotify_data.zip", content)
        run(settings, tenant_id, DAY_ONE, "run")
        bronze = read.scan(settings, "history", layer=f"bronze/{tenant_id}").collect()
        assert bronze.sort("_row").select("_row", "ms_played").rows() == [
            (0, 1), (1, 2), (2, 3), (3, 4),
        ]  # fmt: skip


# ------------------------------------------------------- the account data


def account(*rows: dict) -> dict[str, pl.DataFrame]:
    return _conformed(SpotifyAccount(), "StreamingHistory0.json", *rows)


def test_a_play_began_its_length_before_the_minute_it_ended_in():
    play = account(SONG)["plays"].row(0, named=True)
    assert play["started_at"] == datetime(2025, 1, 6, 8, 13, 29, 500_000, tzinfo=UTC)
    assert (play["listened_ms"], play["listener_id"]) == (90_500, "owner")


def test_music_podcasts_and_audiobooks_become_tracks_by_name():
    found = account(
        SONG,
        EPISODE,
        BOOK,
        {**SONG, "artistName": "CAN ", "msPlayed": 1, "endTime": "2025-01-07 08:15"},
    )
    tracks = {t["track_id"]: t for t in found["tracks"].rows(named=True)}
    ended = datetime(2025, 1, 6, 8, 15, tzinfo=UTC)
    assert found["tracks"]["updated_at"].min() == found["listeners"]["updated_at"][0] == ended
    named = [tracks[track_id] for track_id in found["plays"]["track_id"]]
    assert [(t["artist_name"], t["title"], t["album"]) for t in named[:3]] == [
        ("Can", "Halleluhwah", None), ("In Our Time", "Plankton", None),
        ("Jane Austen", "Volume I", "Emma"),
    ]  # fmt: skip
    assert len(tracks) == 3
    assert sorted(found["artists"]["name"]) == ["Can", "In Our Time", "Jane Austen"]
    artists = dict(found["artists"].select("artist_id", "name").rows())
    assert {artists[t["artist_id"]] for t in named} == set(artists.values())
    emma = account({**BOOK, "audiobookName": "Persuasion"})["tracks"]["track_id"][0]
    assert emma not in tracks


def test_a_podcast_of_an_older_export_is_the_same_play_in_a_newer_one():
    older = {**SONG, "endTime": "2025-01-06 09:00", "artistName": "In Our Time",
             "trackName": "Plankton", "msPlayed": 60_000}  # fmt: skip
    assert account(older)["plays"].equals(account(EPISODE)["plays"])


def test_a_play_without_names_keeps_its_time():
    found = account({"endTime": "2025-01-06 08:15", "msPlayed": 5})
    assert found["plays"]["track_id"].to_list() == ["unnamed"]
    assert found["tracks"].is_empty()
    assert found["artists"].is_empty()


def test_exports_that_overlap_bring_each_play_once_to_two_tenants(make_settings):
    sources = {t: history_of(t, "spotify_account") for t in ("t1", "t2")}
    settings = make_settings([a_tenant(t, s) for t, s in sources.items()])
    older = zipped({"MyData/StreamingHistory0.json": json.dumps([SONG], indent=2),
                    "MyData/Playlist1.json": '{"playlists": []}'})  # fmt: skip
    newer = zipped({
        "Spotify Account Data/StreamingHistory_music_0.json": json.dumps([SONG, SONG]),
        "Spotify Account Data/StreamingHistory_podcast_0.json": json.dumps([EPISODE]),
        "Spotify Account Data/StreamingHistory_audiobook_0.json": json.dumps([BOOK]),
    })  # fmt: skip
    for tenant_id in ("t1", "t2"):
        drop_text(settings, f"{tenant_id}/a.zip", older)
        drop_text(settings, f"{tenant_id}/b.zip", newer)
        landed = run(settings, tenant_id, DAY_ONE, "run").rows["plays"]
        assert (landed["rows_in"], landed["landed"], landed["duplicates"]) == (5, 3, 2)
    assert read.scan(settings, "plays").collect().height == 6


def test_a_zip_without_a_history_says_what_it_lacks(make_settings):
    sources = {"t1": "spotify_account", "t2": "spotify_extended"}
    settings = make_settings([a_tenant(t, history_of(t, f)) for t, f in sources.items()])
    for tenant_id, lacking in (("t1", r"StreamingHistory\*.json"), ("t2", r"endsong_\*.json or")):
        drop_text(settings, f"{tenant_id}/a.zip", zipped({"MyData/Userdata.json": "{}"}))
        message = rf"^{tenant_id}: source history: {tenant_id}/a.zip holds no {lacking}.*\(Anna\)"
        with pytest.raises(SourceError, match=message):
            run(settings, tenant_id, DAY_ONE, "run")


@pytest.mark.parametrize("rows", [[{"a": 1}], [{**SONG, "endTime": None}], [{}]])
def test_a_file_without_the_field_it_is_placed_by_is_refused(make_settings, rows):
    settings = make_settings([a_tenant("t1", history_of("t1", "spotify_account"))])
    drop_text(settings, "t1/StreamingHistory0.json", json.dumps(rows))
    with pytest.raises(SourceError, match=r"has no field 'endTime'.*docs/sources.md.*owner: Anna"):
        run(settings, "t1", DAY_ONE, "run")


ACCOUNT = Sample(
    "spotify_account", "StreamingHistory0.json", json.dumps([SONG, EPISODE, BOOK]).encode(), 3
)


def test_no_bytes_break_the_reader_of_account_data(make_settings, tmp_path):
    settings = make_settings()
    check(ACCOUNT, taken(settings, ACCOUNT, ACCOUNT.content, tmp_path))

    @examples(max_examples=FEW, deadline=None, database=None)
    @given(spliced(ACCOUNT.content))
    def holds(content: bytes) -> None:
        check(ACCOUNT, taken(settings, ACCOUNT, content, tmp_path))

    holds()


# ------------------------------------------------- recognised, and really


def test_both_exports_are_recognised_bare_packed_and_zipped(tmp_path):
    for name, row in (("StreamingHistory_music_0", SONG), ("endsong_0", OLDER_ROW)):
        (tmp_path / f"{name}.json").write_text(json.dumps([row]))
        (tmp_path / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps([row]).encode()))
    account_zip = {"MyData/StreamingHistory0.json": json.dumps([SONG]), "MyData/Follow.json": "{}"}
    (tmp_path / "my_spotify_data.zip").write_bytes(zipped(account_zip))
    found = {(s.format, Path(s.path or "").relative_to(tmp_path).as_posix())
             for s in sniff(tmp_path).sources}  # fmt: skip
    assert found == {
        ("spotify_account", "**/StreamingHistory*.json"),
        ("spotify_account", "**/StreamingHistory*.json.gz"),
        ("spotify_account", "**/*.zip"),
        ("spotify_extended", "**/endsong_*.json"),
        ("spotify_extended", "**/endsong_*.json.gz"),
    }


def test_a_real_account_export_arrives_to_the_row_for_two_tenants(
    real_data, tmp_path, make_settings
):
    given_files = sorted((real_data / "listening" / "spotify_account_history" / "user1").iterdir())
    folder = tmp_path / "exports"
    for name in ("user one", "packed"):
        (folder / name).mkdir(parents=True)
    for file in given_files:
        (folder / "packed" / file.name).write_bytes(file.read_bytes())
    contents = {f"MyData/{f.stem}": gzip.decompress(f.read_bytes()).decode() for f in given_files}
    (folder / "user one" / "my_spotify_data.zip").write_bytes(zipped(contents))
    rows = [row for text in contents.values() for row in json.loads(text)]
    told_apart = {json.dumps(row, sort_keys=True) for row in rows}
    minutes = Counter(
        datetime.strptime(r["endTime"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        - timedelta(milliseconds=r["msPlayed"])
        for r in rows
    )

    tenants = tenants_from_folder(folder, tmp_path / "tenants.yaml")
    settings = make_settings([t.model_dump(mode="json") for t in tenants.values()])
    for tenant in tenants.values():
        interval = extent(settings, tenant)
        landed = run(settings, tenant.id, interval, "run").rows["plays"]
        assert (landed["rows_in"], landed["landed"], landed["duplicates"]) == (len(rows), 11_931, 0)
        plays = read.scan(settings, "plays", tenant.id).collect()
        assert plays["listened_ms"].sum() == sum(r["msPlayed"] for r in rows)
        assert dict(plays.group_by("started_at").len().rows()) == dict(minutes)
        tracks = read.scan(settings, "tracks", tenant.id).collect()
        assert plays.join(tracks, on=["tenant_id", "track_id"], how="anti").is_empty()
        assert tracks.height == len(
            {(r["artistName"].lower().strip(), r["trackName"].lower().strip()) for r in rows}
        )
    assert len(told_apart) == len(rows) == 11_931
