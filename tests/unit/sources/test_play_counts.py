"""Who played whom how often, nobody knows when: HetRec, Audioscrobbler, lists of recommenders."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analytics import gates
from analytics.errors import GateFailed, SchemaError
from analytics.interval import Interval
from analytics.lake import bronze, quarantine, read
from analytics.lake.content import content_hash
from analytics.sources.sniff import extent, sniff, tenants_from_folder
from tests.landing import DAY_ONE, a_tenant, drop_text, land_staged

COUNTED = "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t1\n3\t51\t7\n"
ARTISTS = (
    "51\tDuran Duran\thttp://www.last.fm/music/Duran+Duran\thttp://pictures/1.jpg\n"
    '52\t"Weird Al" Yankovic\thttp://www.last.fm/music/%22Weird+Al%22+Yankovic\t\n'
)
WORDS = b"tagID\ttagValue\n13\tchillout\n15\ttropic\xe1lia\n16\t\xe6\x9d\xb1\n"
TAGGED = (
    "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    "2\t52\t13\t1\t4\t2009\n2\t52\t15\t1\t4\t2009\n3\t51\t16\t9\t12\t2010\n"
)
FRIENDS = "userID\tfriendID\n2\t3\n3\t2\n"


def source_of(format_: str, tenant_id: str) -> dict[str, Any]:
    path = f"{{landing}}/{tenant_id}/*"
    return {"name": "given", "format": format_, "path": path, "owner": "Ann"}


@pytest.fixture
def two(make_settings):
    """Settings of two tenants whose files share names and ids; half of the rows may be bad."""

    def of(format_: str):
        entries = [a_tenant(t, source_of(format_, t)) for t in ("t1", "t2")]
        return make_settings([{**entry, "bad_row_budget": 0.5} for entry in entries])

    return of


def gated(settings, tenant_id: str, interval: Interval = DAY_ONE, run_id: str = "run"):
    bronze.extract(settings, tenant_id, interval, run_id)
    report = gates.bronze(settings, tenant_id, interval, run_id)
    return report, land_staged(settings, tenant_id, interval, run_id)


def rows(settings, table: str, *columns: str, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    return read.scan(settings, table, tenant_id).select(columns).sort(columns).collect().rows()


def set_aside(settings, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    found = quarantine.scan(settings, tenant_id).collect()
    return found.select("table", "row_number", "rule").sort("table", "row_number", "rule").rows()


# ----------------------------------------------------------------- HetRec


def drop_hetrec(settings, tenant_id: str, **changed: str | bytes) -> None:
    files = {
        "user_artists": COUNTED, "artists": ARTISTS, "tags": WORDS, "user_taggedartists": TAGGED,
        "user_friends": FRIENDS, **changed,
    }  # fmt: skip
    for name, content in files.items():
        if content:
            drop_text(settings, f"{tenant_id}/{name}.dat", content)


def test_counts_artists_words_and_friends_land_for_each_tenant_alone(two):
    settings = two("hetrec_lastfm")
    drop_hetrec(settings, "t1")
    drop_hetrec(settings, "t2", user_artists="userID\tartistID\tweight\n2\t51\t4\n")
    interval = Interval.of("2009-01-01", "2011-01-01")
    for tenant in ("t1", "t2"):
        gated(settings, tenant, interval)

    counts = ("listener_id", "item_kind", "item_id", "plays")
    assert rows(settings, "listening_counts", *counts) == [
        ("2", "artist", "51", 13883), ("2", "artist", "52", 1), ("3", "artist", "51", 7),
    ]  # fmt: skip
    assert rows(settings, "listening_counts", *counts, tenant_id="t2") == [("2", "artist", "51", 4)]
    assert rows(settings, "artists", "artist_id", "name") == [
        ("51", "Duran Duran"), ("52", '"Weird Al" Yankovic'),
    ]  # fmt: skip
    assert rows(settings, "taggings", "listener_id", "item_id", "tag", "updated_at") == [
        ("2", "52", "chillout", datetime(2009, 4, 1, tzinfo=UTC)),
        ("2", "52", "tropicália", datetime(2009, 4, 1, tzinfo=UTC)),
        ("3", "51", "東", datetime(2010, 12, 9, tzinfo=UTC)),
    ]
    assert rows(settings, "friendships", "listener_id", "friend_id") == [("2", "3"), ("3", "2")]
    before = content_hash(settings)
    assert gated(settings, "t1", interval, "again")[1].touched is None
    assert content_hash(settings) == before


def test_a_tag_without_its_word_waits_for_the_file_of_words(make_settings):
    settings = make_settings([a_tenant(t, source_of("hetrec_lastfm", t)) for t in ("t1", "t2")])
    interval = Interval.of("2009-01-01", "2011-01-01")
    drop_hetrec(settings, "t1", tags=b"")
    drop_hetrec(settings, "t2")
    with pytest.raises(GateFailed, match="tag_is_given"):
        gated(settings, "t1", interval)
    assert gated(settings, "t2", interval)[1].rows["taggings"]["landed"] == 3
    drop_hetrec(settings, "t1")
    assert gated(settings, "t1", interval, "again")[1].rows["taggings"]["landed"] == 3


def test_an_assignment_is_one_by_day_and_by_millisecond(two):
    settings = two("hetrec_lastfm")
    drop_hetrec(settings, "t1")
    exact = (
        "userID\tartistID\ttagID\ttimestamp\n2\t52\t13\t1238536800000\n3\t52\t13\t1260313200000\n"
    )
    drop_text(settings, "t1/user_taggedartists-timestamps.dat", exact)
    assert gated(settings, "t1", Interval.of("2009-01-01", "2011-01-01"))[1].rows["taggings"][
        "landed"
    ] == 4  # fmt: skip


def test_days_that_are_none_or_before_any_service_are_set_aside(two):
    settings = two("hetrec_lastfm")
    more = "2\t51\t13\t31\t2\t2009\n2\t51\t15\t1\t6\t1956\n"
    drop_hetrec(settings, "t1", user_taggedartists=TAGGED + more)
    gated(settings, "t1", Interval.of("2009-01-01", "2011-01-01"))
    assert set_aside(settings) == [
        ("taggings", 4, "updated_at_is_given"), ("taggings", 5, "updated_at_not_before_2000"),
    ]  # fmt: skip
    assert len(rows(settings, "taggings", "tagging_id")) == 3


def test_torn_lines_cost_themselves_and_strange_files_their_source(two):
    settings = two("hetrec_lastfm")
    torn = "4\t51\n4\tmany\t1\n4\t52\t1.5\n"
    drop_hetrec(settings, "t1", user_artists=(COUNTED + torn).replace("\n", "\r\n"))
    gated(settings, "t1")
    assert set_aside(settings) == [
        ("listening_counts", 4, "row_parses"), ("listening_counts", 5, "type:artistID"),
        ("listening_counts", 6, "type:weight"),
    ]  # fmt: skip
    drop_text(settings, "t2/movies.dat", "1::Toy Story::Comedy\n")
    with pytest.raises(
        SchemaError, match=r"t2: source given: .*movies.dat is not .*Toy Story.*Ann"
    ):
        bronze.extract(settings, "t2", DAY_ONE, "run")


@pytest.mark.parametrize("content", ["", "\n\n", "userID\tartistID\tweight\n"])
def test_an_empty_file_brings_nothing_and_stops_nothing(two, content):
    settings = two("hetrec_lastfm")
    drop_hetrec(settings, "t1")
    drop_text(settings, "t1/user_artists.dat", content)
    landed = gated(settings, "t1")[1].rows
    assert (landed["listening_counts"]["rows_in"], landed["artists"]["landed"]) == (0, 2)


def test_a_zip_of_the_data_set_is_read_without_its_readme(two):
    settings = two("hetrec_lastfm")
    path = drop_text(settings, "t1/hetrec.zip", b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hetrec2011-lastfm-2k")
        archive.writestr("user_artists.dat", COUNTED)
        archive.writestr("user_friends.dat", FRIENDS)
    assert [s.format for s in sniff(path.parent).sources] == ["hetrec_lastfm"]
    landed = gated(settings, "t1")[1].rows
    assert [landed[t]["landed"] for t in ("listening_counts", "friendships")] == [3, 2]
    with zipfile.ZipFile(drop_text(settings, "t2/hetrec.zip", b""), "w") as archive:
        archive.writestr("readme.txt", "hetrec2011-lastfm-2k")
    with pytest.raises(SchemaError, match=r"t2: source given: .* holds no file of this format"):
        bronze.extract(settings, "t2", DAY_ONE, "run")


def test_the_real_data_set_arrives_to_the_row(real_data, tmp_path, make_settings):
    folder = real_data / "listening" / "hetrec2011-lastfm-2k"
    lines = {
        path.name: [line.split(b"\t") for line in gzip.decompress(path.read_bytes()).splitlines()]
        for path in folder.glob("*.gz")
    }
    settings, tenant = real(folder, tmp_path, make_settings)
    interval = extent(settings, tenant)
    _, landed = gated(settings, tenant.id, interval)

    tagged = lines["user_taggedartists.dat.gz"][1:]
    modern = [row for row in tagged if int(row[5]) >= 2000]
    days = [(int(row[5]), int(row[4]), int(row[3])) for row in modern]
    last = interval.days()[-1]
    assert (min(days), max(days)) == (
        (interval.start.year, interval.start.month, interval.start.day),
        (last.year, last.month, last.day),
    )
    assert {table: counted["landed"] for table, counted in landed.rows.items()} == {
        "listening_counts": len(lines["user_artists.dat.gz"]) - 1,
        "artists": len(lines["artists.dat.gz"]),
        "taggings": len(modern),
        "friendships": len(lines["user_friends.dat.gz"]) - 1,
    }
    assert Counter(rule for _, _, rule in set_aside(settings, tenant.id)) == {
        "updated_at_not_before_2000": len(tagged) - len(modern)
    }
    words = {row[0]: row[1] for row in lines["tags.dat.gz"][1:]}
    expected = Counter(words[row[2]].decode("latin-1") for row in modern)
    tags = read.scan(settings, "taggings", tenant.id).collect()["tag"].value_counts()
    assert dict(tags.iter_rows()) == expected
    plays = read.scan(settings, "listening_counts", tenant.id).collect()["plays"].sum()
    assert plays == sum(int(row[2]) for row in lines["user_artists.dat.gz"][1:])


def real(folder: Path, tmp_path: Path, make_settings):
    """A tenant of the folder's files beside one of the same files, as a folder of exports is."""
    for name in ("one", "two"):
        given = tmp_path / "exports" / name
        given.mkdir(parents=True)
        for path in folder.iterdir():
            (given / path.name).write_bytes(path.read_bytes())
    tenants = tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml")
    settings = make_settings([t.model_dump(mode="json") for t in tenants.values()])
    return settings, tenants["one"]


# --------------------------------------------------------- Audioscrobbler


def test_counts_names_and_aliases_meet_in_one_artist(two):
    settings = two("audioscrobbler")
    for tenant, plays in (("t1", 55), ("t2", 3)):
        drop_text(settings, f"{tenant}/user_artist_data.txt", f"1 10 {plays}\n1 11 2\n")
        drop_text(settings, f"{tenant}/artist_data.txt", "10\t06Crazy Life\n11\t  Crazy Life \n")
    drop_text(settings, "t1/artist_alias.txt", "10\t11\n12\t11\n")
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    assert rows(settings, "artists", "artist_id", "name", "same_as") == [
        ("10", "06Crazy Life", "11"), ("11", "Crazy Life", None), ("12", None, "11"),
    ]  # fmt: skip
    assert rows(settings, "artists", "same_as", tenant_id="t2") == [(None,), (None,)]
    columns = ("listener_id", "item_id", "plays")
    assert rows(settings, "listening_counts", *columns) == [("1", "10", 55), ("1", "11", 2)]
    assert rows(settings, "listening_counts", *columns, tenant_id="t2")[0] == ("1", "10", 3)
    before = content_hash(settings)
    assert gated(settings, "t1", run_id="again")[1].touched is None
    assert content_hash(settings) == before


def test_names_that_are_torn_are_set_aside_alone(two):
    settings = two("audioscrobbler")
    content = "10\tA\n11 B\n12\tC\tD\nx\tE\n13\t\ufffd\n14\tF\n15\tG\n"
    drop_text(settings, "t1/artist_data.txt", content)
    drop_text(settings, "t1/artist_alias.txt", "10\t11\n\t12\n")
    gated(settings, "t1")
    assert [(n, rule) for _, n, rule in set_aside(settings)] == [
        (1, "artist_id_is_given"), (1, "row_parses"), (2, "row_parses"), (3, "type:artist_id"),
    ]  # fmt: skip


def test_real_counts_and_aliases_arrive_to_the_row(real_data, tmp_path, make_settings):
    folder = real_data / "listening" / "audioscrobbler50"
    lines = {
        path.name.rsplit("_small")[0]: gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]
        for path in folder.iterdir()
    }
    settings, tenant = real(folder, tmp_path, make_settings)
    report, landed = gated(settings, tenant.id)

    counts = [line.split(" ") for line in lines["user_artist_data"]]
    torn = [line for line in lines["artist_data"] if line.count("\t") != 1]
    named = {line.split("\t")[0] for line in lines["artist_data"] if line not in torn}
    aliases = [line.split("\t") for line in lines["artist_alias"]]
    assert landed.rows["listening_counts"]["landed"] == len(counts)
    assert landed.rows["artists"]["landed"] == len(named | {a for a, _ in aliases})
    assert set_aside(settings, tenant.id) == [
        ("artists", lines["artist_data"].index(line), "row_parses") for line in torn
    ]
    artists = read.scan(settings, "artists", tenant.id).collect()
    resolved = dict(artists.drop_nulls("same_as").select("artist_id", "same_as").iter_rows())
    assert resolved == dict(aliases)
    assert artists["name"].null_count() == len({a for a, _ in aliases} - named)
    judged = {r.rule: r.unexpected for t in report.tables for r in t.results}
    assert judged["artist_is_not_its_own_alias"] == sum(a == b for a, b in aliases)
    plays = read.scan(settings, "listening_counts", tenant.id).collect()["plays"].sum()
    assert plays == sum(int(n) for _, _, n in counts)


# ------------------------------------------------------------------ lists


def test_lists_say_who_listened_and_not_how_often(two):
    settings = two("recsys_lists")
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/train.txt", "0 0 1\n1 1 \n2\n")
        drop_text(settings, f"{tenant}/item_list.txt", "org_id remap_id\n51 0\n52 1\n")
    drop_text(settings, "t1/test.txt", "0 2\n1 1\n2 x\n")
    drop_text(settings, "t1/user_map.txt", "a 0\nb 1\n")
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    pairs = ("listener_id", "item_kind", "item_id", "plays")
    assert rows(settings, "listening_counts", *pairs) == [
        ("0", "artist", "0", None), ("0", "artist", "1", None), ("0", "artist", "2", None),
        ("1", "artist", "1", None),
    ]  # fmt: skip
    assert len(rows(settings, "listening_counts", *pairs, tenant_id="t2")) == 3
    assert rows(settings, "artists", "artist_id", "external_id") == [("0", "51"), ("1", "52")]
    assert rows(settings, "listeners", "listener_id") == [("0",), ("1",)]
    assert set_aside(settings) == [("listening_counts", 2, "row_parses")]
    kept = read.scan(settings, "t1/given", layer="bronze").collect()
    assert set(kept["file"]) == {"train", "test", "item_list", "user_map"}


def test_a_user_of_very_many_items_keeps_them_all(two):
    settings = two("recsys_lists")
    items = [str(n) for n in range(20_000)]
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/train.txt", f"0 {' '.join(items)}\n1 5\n")
        assert gated(settings, tenant)[1].rows["listening_counts"]["landed"] == 20_001


def test_real_lists_arrive_to_the_pair(real_data, tmp_path, make_settings):
    folder = real_data / "listening" / "recsys_split_lastfm"
    lines = {p.stem: [x.split() for x in p.read_text().splitlines()] for p in folder.iterdir()}
    settings, tenant = real(folder, tmp_path, make_settings)
    gated(settings, tenant.id)
    pairs = {(u, i) for name in ("train", "test") for u, *items in lines[name] for i in items}
    assert (
        set(rows(settings, "listening_counts", "listener_id", "item_id", tenant_id="one")) == pairs
    )
    assert rows(settings, "artists", "external_id", "artist_id", tenant_id="one") == sorted(
        (old, new) for old, new in lines["item_map"]
    )
    assert len(rows(settings, "listeners", "listener_id", tenant_id="one")) == len(
        lines["user_map"]
    )
    assert set_aside(settings, tenant.id) == []
