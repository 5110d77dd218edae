"""The Last.fm-1K data set: invented rows with the oddities of the real ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from analytics import gates
from analytics.lake import bronze, quarantine, read, silver
from analytics.lake.content import content_hash
from analytics.sources.sniff import sniff
from tests.landing import DAY_ONE, a_tenant, drop_text, land_staged, run
from tests.unit.sources.samples import Sample, taken
from tests.unit.sources.test_hostile import FEW, check, examples, spliced

ARTIST, TRACK = "6e0a3b7c-4a0e-4bd5-9a36-0f2f6f1d7a11", "b7ff12e3-9f4b-4a07-8d0c-5a1c0e6a2c22"
HEARD = "userid-timestamp-artid-artname-traid-traname.tsv"
PROFILES = "userid-profile.tsv"
HEADER = "#id\tgender\tage\tcountry\tregistered\n"


def a_line(user: str, at: str, artist: str, title: str, artist_id: str = "", track_id: str = ""):
    return f"{user}\t2025-01-06T{at}Z\t{artist_id}\t{artist}\t{track_id}\t{title}\n"


SCROBBLES = (
    a_line("user_000002", "12:00:00", '"Weird Al" Yankovic', "Eat It", ARTIST, TRACK)
    + a_line("user_000001", "12:00:00", "坂本龍一", "Composition 0919 (Live_2009_4_15)")
    + a_line("user_000001", "11:55:00", "Der \"Große' Rest", '"Heroes')
)
PEOPLE = (
    HEADER + "user_000001\tm\t\tJapan\tAug 13, 2006\n"
    "user_000002\tf\t22\tUnited States\tFeb 1, 2006\nuser_000003\t\t\t\t\n"
)  # fmt: skip


@pytest.fixture
def settings(make_settings):
    """Two tenants with files and users of the same names; half of the rows may be bad."""

    def source(tenant_id: str) -> dict[str, Any]:
        path = f"{{landing}}/{tenant_id}/userid-*.tsv*"
        return {"name": "listening", "format": "lastfm_1k", "path": path}

    return make_settings(
        [{**a_tenant(t, source(t)), "bad_row_budget": 0.5} for t in ("t1", "t2")]
    )  # fmt: skip


def gated(settings, tenant_id: str, run_id: str = "run") -> silver.Landed:
    bronze.extract(settings, tenant_id, DAY_ONE, run_id)
    gates.bronze(settings, tenant_id, DAY_ONE, run_id)
    return land_staged(settings, tenant_id, DAY_ONE, run_id)


def rows(settings, table: str, *columns: str, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    return read.scan(settings, table, tenant_id).select(columns).sort(columns).collect().rows()


def test_both_files_land_and_each_tenant_keeps_its_own(settings):
    drop_text(settings, f"t1/{HEARD}", SCROBBLES)
    drop_text(settings, f"t1/{PROFILES}", PEOPLE)
    drop_text(settings, f"t2/{HEARD}", a_line("user_000001", "12:00:00", "Other", "Song"))
    drop_text(settings, f"t2/{PROFILES}", HEADER + "user_000001\tf\t\tPeru\tJan 9, 2007\n")
    for tenant in ("t1", "t2"):
        gated(settings, tenant)

    assert rows(settings, "tracks", "artist_name", "title") == [
        ('"Weird Al" Yankovic', "Eat It"), ("Der \"Große' Rest", '"Heroes'),
        ("坂本龍一", "Composition 0919 (Live_2009_4_15)"),
    ]  # fmt: skip
    heard = read.scan(settings, "plays", "t1").collect()
    assert heard.filter(track_id=TRACK)["listener_id"].to_list() == ["user_000002"]
    assert (heard.height, heard["listened_ms"].null_count()) == (3, 3)
    about = ("listener_id", "gender", "country", "birth_year", "signed_up_at")
    assert rows(settings, "listeners", *about) == [
        ("user_000001", "M", "Japan", None, datetime(2006, 8, 13, tzinfo=UTC)),
        ("user_000002", "F", "United States", None, datetime(2006, 2, 1, tzinfo=UTC)),
        ("user_000003", None, None, None, None),
    ]
    assert rows(settings, "listeners", *about, tenant_id="t2") == [
        ("user_000001", "F", "Peru", None, datetime(2007, 1, 9, tzinfo=UTC))
    ]
    assert rows(settings, "artists", "external_id").count((ARTIST,)) == 1
    before = content_hash(settings)
    assert gated(settings, "t1", "again").touched is None
    assert content_hash(settings) == before


def test_broken_lines_of_both_files_are_set_aside_alone(settings):
    torn = a_line("user_000001", "12:00:01", "A\tB", "tab in a name")
    strange = a_line("user_000001", "25:00:00", "A", "no hour")
    zero = a_line("user_000001", "12:00:02", "A", "N\x00UL")
    latin = a_line("user_000001", "12:00:03", "é", "latin").encode("latin-1")
    content = (SCROBBLES + torn + strange + zero).encode() + latin
    drop_text(settings, f"t1/{HEARD}", content.replace(b"\n", b"\r\n") + b"user_000001\t2025")
    drop_text(settings, f"t1/{PROFILES}", "\ufeff" + PEOPLE + "user_4\tm\told\tX\tAug 32, 2006\n")
    run(settings, "t1", DAY_ONE, "run")

    found = quarantine.scan(settings, "t1").sort("table", "row_number", "rule").collect()
    assert found.select("table", "row_number", "rule", "value").rows() == [
        ("listeners", 4, "type:age", "old"),
        ("listeners", 4, "type:registered_on", "Aug 32, 2006"),
        ("plays", 3, "row_parses", None), ("plays", 4, "type:at", "2025-01-06T25:00:00Z"),
        ("plays", 5, "row_parses", None), ("plays", 6, "row_parses", None),
        ("plays", 7, "row_parses", None),
    ]  # fmt: skip
    assert read.scan(settings, "plays", "t1").collect().height == 3
    assert read.scan(settings, "listeners", "t1").collect().height == 3


@pytest.mark.parametrize("content", ["", HEADER, "\n"])
def test_an_empty_file_brings_nothing_and_stops_nothing(settings, content):
    drop_text(settings, f"t1/{HEARD}", content)
    drop_text(settings, f"t1/{PROFILES}", PEOPLE)
    counts = run(settings, "t1", DAY_ONE, "run").rows
    assert (counts["plays"]["rows_in"], counts["listeners"]["landed"]) == (0, 3)


def test_a_play_without_artist_or_track_is_named_by_the_gate(settings):
    nobody = a_line("user_000001", "12:00:00", "", "No artist")
    nothing = a_line("user_000001", "12:00:01", "A", "")
    drop_text(settings, f"t1/{HEARD}", SCROBBLES + nobody + nothing)
    assert gated(settings, "t1").rows["plays"]["landed"] == 3
    found = quarantine.scan(settings, "t1").collect()
    assert found.select("table", "rule").rows() == [("plays", "track_id_is_given")] * 2


def test_both_files_are_recognised_as_one_source_and_others_are_not(tmp_path):
    (tmp_path / HEARD).write_text(SCROBBLES)
    (tmp_path / PROFILES).write_text(PEOPLE)
    (tmp_path / "sessions.tsv").write_text("1\t2\t3\t4\t5\t6\n")
    found = sniff(tmp_path)
    assert [(s.format, s.name) for s in found.sources] == [("lastfm_1k", "listening")]
    assert (found.files, found.unknown) == ({"listening": 2}, ("sessions.tsv",))


@pytest.mark.parametrize("content", [SCROBBLES, PEOPLE], ids=["heard", "people"])
def test_no_bytes_break_the_reader(content, make_settings, tmp_path):
    sample = Sample("lastfm_1k", HEARD, content.encode(), 3)
    settings = make_settings()

    @examples(max_examples=FEW, deadline=None, database=None)
    @given(spliced(sample.content))
    def holds(content: bytes) -> None:
        check(sample, taken(settings, sample, content, tmp_path))

    holds()
