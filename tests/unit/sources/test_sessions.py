"""Sessions of 30Music: slices as session-rec cuts them, and the events of the data set itself."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from analytics import gates
from analytics.errors import SchemaError
from analytics.interval import Interval
from analytics.lake import bronze, quarantine, read
from analytics.lake.content import content_hash
from analytics.sources.sniff import extent, sniff, tenants_from_folder
from tests.landing import DAY_ONE, a_tenant, drop_text, land_staged

NOON = 1_736_164_800  # 2025-01-06 12:00 UTC
HEADER = "UserId\tSessionId\tItemId\tTime\tArtistId\n"


def a_play(user: int, session: int, item: int, at: int | str = NOON, artist: int | str = 9) -> str:
    return f"{user}\t{session}\t{item}\t{at}\t{artist}\n"


def an_event(number: int, user: int, track: int, at: int = NOON, more: str = '"playtime":176'):
    linked = f'[{{"type":"user","id":{user}}}], "objects":[{{"type":"track","id":{track}}}]'
    return f'event.play\t{number}\t{at}\t{{{more}}}\t{{"subjects":{linked}}}\n'


@pytest.fixture
def settings(make_settings):
    """Two tenants with files and ids of the same names; half of the rows may be bad."""

    def source(tenant_id: str) -> dict[str, Any]:
        path = f"{{landing}}/{tenant_id}/*"
        return {"name": "sessions", "format": "thirty_music", "path": path, "owner": "Ann"}

    return make_settings([{**a_tenant(t, source(t)), "bad_row_budget": 0.5} for t in ("t1", "t2")])


def gated(settings, tenant_id: str, interval: Interval = DAY_ONE, run_id: str = "run"):
    bronze.extract(settings, tenant_id, interval, run_id)
    gates.bronze(settings, tenant_id, interval, run_id)
    return land_staged(settings, tenant_id, interval, run_id)


def rows(settings, table: str, *columns: str, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    return read.scan(settings, table, tenant_id).select(columns).sort(columns).collect().rows()


def test_plays_land_without_length_and_each_tenant_keeps_its_own(settings):
    twice = a_play(1, 7, 13)
    drop_text(settings, "t1/a.txt", HEADER + twice + twice + a_play(1, 7, 14, NOON + 60, ""))
    drop_text(settings, "t2/a.txt", HEADER + a_play(1, 8, 13))
    counts = gated(settings, "t1").rows
    gated(settings, "t2")

    assert (counts["plays"]["landed"], counts["plays"]["duplicates"]) == (2, 1)
    noon = datetime(2025, 1, 6, 12, tzinfo=UTC)
    columns = ("listener_id", "track_id", "started_at", "listened_ms")
    assert rows(settings, "plays", *columns)[0] == ("1", "13", noon, None)
    assert rows(settings, "plays", *columns, tenant_id="t2") == [("1", "13", noon, None)]
    assert rows(settings, "tracks", "track_id", "title", "artist_id") == [
        ("13", "(not named)", "9"), ("14", "(not named)", None),
    ]  # fmt: skip
    assert rows(settings, "artists", "artist_id", "updated_at") == [("9", noon)]
    assert rows(settings, "listeners", "listener_id") == [("1",)]
    kept = read.scan(settings, "t1/sessions", layer="bronze").collect()
    assert kept["SessionId"].to_list() == [7, 7, 7]
    before = content_hash(settings)
    assert gated(settings, "t1", run_id="again").touched is None
    assert content_hash(settings) == before


def test_the_same_second_in_two_sessions_is_two_plays(settings):
    drop_text(settings, "t1/a.txt", HEADER + a_play(1, 7, 13) + a_play(1, 8, 13))
    drop_text(settings, "t2/a.txt", HEADER + a_play(1, 7, 13))
    assert [gated(settings, t).rows["plays"]["landed"] for t in ("t1", "t2")] == [2, 1]


def test_events_of_the_data_set_may_say_how_long_was_listened(settings):
    told = an_event(0, 1, 13) + an_event(1, 1, 13) + an_event(2, 2, 14, more='"playtime":-1')
    torn = an_event(3, 2, 15)[:-9] + "\nevent.session\t1\t2\t{}\t{}\n"
    drop_text(settings, "t1/events.idomaar", told + an_event(4, 2, 14, NOON + 9, "") + torn)
    drop_text(settings, "t2/events.idomaar", an_event(0, 1, 13).replace("}\t{", "} {"))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    assert rows(settings, "plays", "listener_id", "track_id", "listened_ms") == [
        ("1", "13", 176_000), ("1", "13", 176_000), ("2", "14", None), ("2", "14", None),
    ]  # fmt: skip
    assert len(rows(settings, "plays", "play_id", tenant_id="t2")) == 1
    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("row_number", "rule").rows() == [(4, "row_parses"), (5, "row_parses")]


def test_what_is_no_play_is_set_aside_and_dates_nothing(settings):
    bad = a_play(1, 7, 13, 0) + a_play(1, 7, 14, "noon") + "1\t7\n" + a_play(1, 7, 15, "")
    good = "".join(a_play(2, 8, n) for n in range(6))
    drop_text(settings, "t1/a.txt", HEADER + bad + good)
    drop_text(settings, "t2/a.txt", HEADER + good)
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("row_number", "rule").rows() == [
        (1, "started_at_not_before_2000"), (2, "type:Time"), (3, "row_parses"),
        (4, "started_at_is_given"),
    ]  # fmt: skip
    assert rows(settings, "listeners", "listener_id") == [("2",)]


def test_clicks_of_a_shop_are_no_plays(settings, tmp_path):
    shop = "SessionId\tItemId\tTime\n1\t2\t1396861149\n"
    drop_text(settings, "t1/clicks.txt", shop)
    with pytest.raises(SchemaError, match=r"t1: source sessions: t1/clicks.txt is not .*Ann"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "clicks.txt").write_text(shop)
    (tmp_path / "given" / "plays.txt").write_text(HEADER + a_play(1, 7, 13))
    assert sniff(tmp_path / "given").unknown == ("clicks.txt",)


def test_real_slices_arrive_to_the_row(real_data, tmp_path, make_settings):
    slices = sorted((real_data / "listening" / "30music_sessions").glob("*.gz"))
    for name in ("one", "two"):
        (tmp_path / "exports" / name).mkdir(parents=True)
        for path in slices[: None if name == "one" else 1]:
            (tmp_path / "exports" / name / path.name).write_bytes(path.read_bytes())
    tenants = tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml")
    settings = make_settings([t.model_dump(mode="json") for t in tenants.values()])
    assert [len(tenant.sources) for tenant in tenants.values()] == [1, 1]

    given = [
        list(
            csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()), delimiter="\t")
        )
        for path in slices
    ]
    for tenant, mine in (("one", [row for some in given for row in some]), ("two", given[0])):
        interval = extent(settings, tenants[tenant])
        landed = gated(settings, tenant, interval).rows
        days = sorted(datetime.fromtimestamp(int(row["Time"]), UTC).date() for row in mine)
        assert (interval.days()[0], interval.days()[-1]) == (days[0], days[-1])
        told_apart = {tuple(row.values()) for row in mine}
        assert (landed["plays"]["rows_in"], landed["plays"]["landed"]) == (
            len(mine), len(told_apart)
        )  # fmt: skip
        assert landed["plays"]["quarantined"] == 0
        assert rows(settings, "tracks", "track_id", "artist_id", tenant_id=tenant) == sorted(
            {(row["ItemId"], row["ArtistId"]) for row in mine}
        )
        assert len(rows(settings, "artists", "artist_id", tenant_id=tenant)) == len(
            {row["ArtistId"] for row in mine}
        )
        assert len(rows(settings, "listeners", "listener_id", tenant_id=tenant)) == len(
            {row["UserId"] for row in mine}
        )
        kept = read.scan(settings, f"{tenant}/sessions", layer="bronze").collect()
        assert kept["SessionId"].n_unique() == len({row["SessionId"] for row in mine})
