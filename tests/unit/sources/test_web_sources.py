"""Listens fetched from web services: whole, once, to be gone on with, and as in files."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from analytics import gates
from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake import bronze, read, silver
from analytics.settings import Settings, load_settings
from analytics.sources import fetched, http_client, lastfm_api, listenbrainz_api, reader
from analytics.sources.base import Unit
from analytics.tenants import Tenant
from tests import landing
from tests.landing import land_staged
from tests.unit.sources.web import (
    BOTH,
    DAY,
    MIDNIGHT,
    NOON,
    READERS,
    TWO_DAYS,
    a_tenant,
    assert_whole,
    calls,
    fetch,
    given_by,
    no_sleep,
    with_key,
)
from tests.web_service import MOST, Fault, Heard, WebService, running


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return with_key(settings)


@pytest.fixture
def service() -> Iterator[WebService]:
    with running(WebService({"rob": []})) as known:
        yield known


# ---- whole and once

SECONDS = st.one_of(
    st.sampled_from([MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY - 1, MIDNIGHT + DAY,
                     MIDNIGHT + 2 * DAY - 1, MIDNIGHT + 2 * DAY]),
    st.integers(NOON, NOON + 4),
    st.integers(MIDNIGHT - DAY, MIDNIGHT + 3 * DAY),
)  # fmt: skip
HISTORIES = st.lists(
    st.builds(Heard, SECONDS, st.sampled_from(["Song", "Björk 🎧", '"\u2028\\'])), max_size=40
)
FAULTS = st.dictionaries(
    st.integers(0, 25),
    st.sampled_from(
        [
            Fault(status=429, headers=(("X-RateLimit-Reset-In", "3"),)),
            Fault(status=429, headers=(("Retry-After", "2"),), body=b'{"error": 29}'),
            Fault(status=500, body=b"oops"),
            Fault(status=503, body=b'{"error": 11, "message": "Service Offline"}'),
            Fault(status=400, body=b'{"error": 8, "message": "Operation failed"}'),
            Fault(status=200, body=b"<html>soon back</html>"),
            Fault(status=200, body=b'{"payload": {"listens": ['),
            Fault(cut=True),
            Fault(reset=True),
        ]
    ),
    max_size=http_client.TRIES - 1,
)


@BOTH
@tried(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORIES, size=st.integers(1, 5), faults=FAULTS)
@example(history=[Heard(NOON, f"s{n}") for n in range(7)] * 2, size=1, faults={})
def test_day_files_hold_the_history_exactly(format_, history, size, faults):
    if format_ == "listenbrainz_api":  # it tells listens apart by user, second and recording
        history = list(dict.fromkeys(history))
        # An error with status 400 is final there.
        faults = {n: fault for n, fault in faults.items() if fault.status != 400}
    known = WebService({"rob": history}, faults=faults)
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as var,
        running(known),
    ):
        patch.setattr(listenbrainz_api, "A_DAY", size)
        patch.setattr(lastfm_api, "LIMIT", size)
        settings = with_key(load_settings({"ANALYTICS_VAR_DIR": var}, dotenv=None))
        units = fetch(settings, a_tenant(known, format_))
        assert list(units) == ["rob@2025-01-06", "rob@2025-01-07"]
        assert_whole(known, format_, units)


@BOTH
@pytest.mark.parametrize("around", [0, 1, 150])
def test_a_second_that_is_longer_than_a_page_is_neither_cut_nor_doubled(
    keyed, service, format_, around
):
    service.histories["rob"] = [
        *(Heard(NOON - n, f"before {n}") for n in range(1, around + 1)),
        *(Heard(NOON, f"at once {n}") for n in range(450)),
        *(Heard(NOON + n, f"after {n}") for n in range(1, around + 1)),
    ]
    units = fetch(keyed, a_tenant(service, format_))
    assert_whole(service, format_, units)
    assert len(given_by(units["rob@2025-01-06"])) == 450 + 2 * around


@pytest.mark.parametrize("ago", range(3))
def test_a_page_border_within_a_second_is_no_border(keyed, service, ago):
    service.histories["rob"] = [Heard(NOON + n // 3, f"s{n}") for n in range(3 * 200 + ago)]
    units = fetch(keyed, a_tenant(service, "listenbrainz_api"))
    assert_whole(service, "listenbrainz_api", units)


def test_more_in_one_second_than_listenbrainz_gives_is_an_error_and_no_loss(keyed, service):
    service.histories["rob"] = [Heard(NOON, f"s{n}") for n in range(MOST)]
    with pytest.raises(SourceError, match=r"user rob.* 1,000 listens or more in one second.*dump"):
        fetch(keyed, a_tenant(service, "listenbrainz_api"))
    service.histories["rob"].pop()
    assert_whole(service, "listenbrainz_api", fetch(keyed, a_tenant(service, "listenbrainz_api")))


def test_a_history_that_moves_between_two_pages_of_lastfm_is_read_anew(keyed, service):
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(450)]

    def comes_late(number: int) -> None:
        if number == 1:
            service.histories["rob"].append(Heard(NOON + 1000, "late"))

    service.before = comes_late
    units = fetch(keyed, a_tenant(service, "lastfm_api"))
    assert len(given_by(units["rob@2025-01-06"])) == 451
    assert_whole(service, "lastfm_api", units)


def test_a_history_that_never_rests_is_given_up_in_words(keyed, service):
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(450)]
    service.before = lambda number: service.histories["rob"].append(Heard(NOON + 600 + number))
    with pytest.raises(SourceError, match=r"user rob: .*changed the history 4 times.*Ada"):
        fetch(keyed, a_tenant(service, "lastfm_api"))


def test_scrobbles_that_lastfm_counts_and_never_gives_are_said_not_waited_for(
    keyed, service, caplog
):
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(250)]
    service.total = lambda total: total + 3
    assert_whole(service, "lastfm_api", fetch(keyed, a_tenant(service, "lastfm_api")))
    assert "counts 253 scrobbles and gives 250" in caplog.text
    assert [call["page"] for call in calls(service)] == ["1", "2", "1", "2"]


def test_what_is_heard_right_now_is_no_play(keyed, service):
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(250)]
    service.now_playing = True
    assert_whole(service, "lastfm_api", fetch(keyed, a_tenant(service, "lastfm_api")))
    service.histories["rob"] = []  # then it comes alone, and as an object
    units = fetch(keyed, a_tenant(service, "lastfm_api"))
    assert [given_by(unit) for unit in units.values()] == [[], []]


# ---- again, and after a kill


@BOTH
def test_a_later_run_finds_late_and_deleted_listens_and_leaves_other_days_as_they_are(
    keyed, service, format_
):
    rob = service.histories["rob"] = [Heard(NOON, "a"), Heard(NOON + DAY, "b")]
    before = fetch(keyed, a_tenant(service, format_))
    assert {n: u.digest for n, u in fetch(keyed, a_tenant(service, format_)).items()} == {
        n: u.digest for n, u in before.items()
    }
    rob[:] = [Heard(NOON, "a"), Heard(NOON - 100, "late")]
    after = fetch(keyed, a_tenant(service, format_))
    assert_whole(service, format_, after)
    assert given_by(after["rob@2025-01-07"]) == []
    assert all(after[name].digest != before[name].digest for name in before)


class Killed(BaseException):
    """What no reader catches."""


@BOTH
@pytest.mark.parametrize("at", range(1, 5))
def test_a_fetch_that_was_killed_goes_on_where_it_stopped(keyed, service, format_, at, monkeypatch):
    monkeypatch.setattr(lastfm_api, "LIMIT", 100)
    monkeypatch.setattr(listenbrainz_api, "A_DAY", 50)
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(450)]
    tenant, slept = a_tenant(service, format_), []

    def kill(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == at:
            raise Killed

    with pytest.raises(Killed):
        fetch(keyed, tenant, sleep=kill)
    assert len(service.asked) == at
    assert_whole(service, format_, fetch(keyed, tenant))
    assert len(set(service.asked)) == len(service.asked), "a page was asked for twice"
    assert not list(fetched.folder(keyed, tenant, tenant.sources[0]).glob("**/pages-*"))


@BOTH
def test_a_kill_while_days_are_written_costs_no_call(keyed, service, format_, monkeypatch):
    service.histories["rob"] = [Heard(NOON, "a"), Heard(NOON + DAY, "b")]
    tenant = a_tenant(service, format_)
    with monkeypatch.context() as patch:
        write, written = fetched._write_day, []

        def killed_at_the_second(*given: Any) -> Any:
            written.append(given)
            if len(written) == 2:
                raise Killed
            return write(*given)

        patch.setattr(fetched, "_write_day", killed_at_the_second)
        with pytest.raises(Killed):
            fetch(keyed, tenant)
    asked = len(service.asked)
    assert_whole(service, format_, fetch(keyed, tenant))
    assert len(service.asked) == asked


@BOTH
def test_pages_of_another_interval_or_address_are_not_gone_on_with(
    keyed, service, format_, monkeypatch
):
    monkeypatch.setattr(lastfm_api, "LIMIT", 100)
    monkeypatch.setattr(listenbrainz_api, "A_DAY", 50)
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(450)]

    def kill(seconds: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        fetch(keyed, a_tenant(service, format_), sleep=kill)
    with running(WebService({"rob": [Heard(NOON + 449, "elsewhere")]})) as other:
        assert_whole(other, format_, fetch(keyed, a_tenant(other, format_)))
    first = service.asked[0]
    one_day = fetch(keyed, a_tenant(service, format_), Interval.of("2025-01-06", "2025-01-07"))
    assert_whole(service, format_, one_day)
    assert service.asked[1] != first
    assert len(service.asked) > 5, "from the first page on"


@BOTH
def test_a_user_who_fails_costs_the_others_no_second_call(keyed, service, format_):
    service.histories["rob"] = [Heard(NOON, "a")]
    tenant = a_tenant(service, format_, "rob", "nobody")
    with pytest.raises(SourceError, match=r"user nobody: .*Correct the name, or take it out"):
        fetch(keyed, tenant)
    service.asked.clear()
    service.histories["nobody"] = [Heard(NOON, "b")]
    assert_whole(service, format_, fetch(keyed, tenant))
    assert not [path for path in service.asked if "rob" in path]


@BOTH
def test_the_same_user_of_two_tenants_is_fetched_apart(keyed, format_):
    with (
        running(WebService({"rob": [Heard(NOON, "one")]})) as one,
        running(WebService({"rob": [Heard(NOON, "two"), Heard(NOON + DAY)]})) as two,
    ):
        first = fetch(keyed, a_tenant(one, format_, tenant_id="t1"))
        second = fetch(keyed, a_tenant(two, format_, tenant_id="t2"))
        assert_whole(one, format_, first)
        assert_whole(two, format_, second)


@BOTH
def test_any_name_at_the_service_has_a_folder_of_its_own(keyed, format_):
    users = ["..", ".", "AC/DC", "a b?#&=%2F", "日本" * 30, "rob.x", "../../t2/listens/rob"]
    if format_ == "listenbrainz_api":
        users = users[2:]  # a web address cannot hold the first two as a name
    known = WebService({user: [Heard(NOON, f"of {user}")] for user in users})
    with running(known):
        tenant = a_tenant(known, format_, *users)
        units = fetch(keyed, tenant)
        assert_whole(known, format_, units)
    root = fetched.folder(keyed, tenant, tenant.sources[0])
    folders = {Path(unit.location or "").parent for unit in units.values()}
    assert len(folders) == len(users)
    assert {folder.resolve().parent for folder in folders} == {root.resolve()}


# ---- to silver, and the same as from files


def a_declared(tenant_id: str, known: WebService, *users: str) -> dict[str, Any]:
    """A tenant that takes the same users from both services."""
    shared = {"users": list(users), "url": known.url, "key_secret": "web_key", "owner": "Ada"}
    return {
        "id": tenant_id,
        "name": tenant_id,
        "sources": [{"name": name, "format": name, **shared} for name in READERS],
    }


def run_with_gate(settings: Settings, tenant_id: str) -> tuple[bronze.Extracted, silver.Landed]:
    extracted = bronze.extract(settings, tenant_id, TWO_DAYS, "first")
    gates.bronze(settings, tenant_id, TWO_DAYS, "first")
    return extracted, land_staged(settings, tenant_id, TWO_DAYS, "first")


def silver_rows(settings: Settings, table: str, tenant_id: str) -> pl.DataFrame:
    return read.scan(settings, table, tenant_id).collect()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The readers the lake finds by name, not waiting."""
    for name in READERS:
        monkeypatch.setattr(reader(name), "sleep", no_sleep)


def test_two_tenants_go_to_silver_apart_and_a_late_listen_follows(make_settings, registered):
    length = (("duration_ms", 200_000), ("duration_played", 120))
    of_one = [Heard(NOON, "a", info=length), Heard(NOON, "b"), Heard(NOON + DAY, "a")]
    of_two = [Heard(NOON, "a"), Heard(NOON + 7, "c", artist="Other")]
    with (
        running(WebService({"rob": of_one, "mia": []})) as one,
        running(WebService({"rob": of_two})) as two,
    ):
        settings = with_key(
            make_settings([a_declared("t1", one, "rob", "mia"), a_declared("t2", two, "rob")])
        )
        for tenant_id, units, plays in (("t1", 8, 6), ("t2", 4, 4)):
            extracted, landed = run_with_gate(settings, tenant_id)
            assert (extracted.units_read, extracted.rows_in) == (units, plays)
            assert landed.rows["plays"]["landed"] == plays
        ours, theirs = (silver_rows(settings, "plays", t) for t in ("t1", "t2"))
        assert set(ours["listener_id"]) == set(theirs["listener_id"]) == {"rob"}
        assert ours["listened_ms"].drop_nulls().to_list() == [120_000]
        assert ours["track_ms"].drop_nulls().to_list() == [200_000]
        assert set(ours["started_at"].dt.epoch("s")) == {NOON, NOON + DAY}
        assert set(silver_rows(settings, "tracks", "t2")["title"]) == {"a", "c"}
        assert set(silver_rows(settings, "artists", "t2")["name"]) == {"Artist", "Other"}
        assert silver_rows(settings, "listeners", "t1")["listener_id"].to_list() == ["rob"]

        again = bronze.extract(settings, "t1", TWO_DAYS, "again")
        assert (again.units_read, again.units_known) == (0, 8)
        of_one.append(Heard(NOON - 60, "late"))
        late = bronze.extract(settings, "t1", TWO_DAYS, "late")
        assert late.units_read == 2, "one day of one user, of each service"
        landed = landing.run(settings, "t1", TWO_DAYS, "late")
        assert landed.rows["plays"]["landed"] == 2
        assert landed.touched == Interval.of("2025-01-06", "2025-01-07")
        assert landing.run(settings, "t1", TWO_DAYS, "once more").touched is None
        assert silver_rows(settings, "plays", "t2").height == 4


def ids(
    settings: Settings, tenant: Tenant, units: Iterable[Unit], tables: tuple[str, ...]
) -> dict[str, set[tuple[Any, ...]]]:
    source = tenant.sources[0]
    handler = reader(source.format)
    found: dict[str, set[tuple[Any, ...]]] = {table: set() for table in tables}
    with handler.session(settings, tenant, source) as read_unit:
        for unit in units:
            for batch in read_unit(unit):
                assert not batch.rejects.height
                for table, rows in handler.conform(tenant, source, batch.rows).items():
                    columns = [c for c in rows.columns if not c.startswith("_")]
                    found[table] |= set(rows.select(columns).iter_rows())
    return found


ODD = [
    Heard(NOON + n, f"s{n}", album=album, artist=artist)
    for n, (album, artist) in enumerate([("", "A"), ('B, "x"', "Björk"), ("C", " A "), ("", "ü;")])
]


def from_file(settings: Settings, format_: str, name: str, content: bytes) -> Any:
    path = settings.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    entry = {"name": "export", "format": format_, "path": str(path)}
    tenant = Tenant.model_validate({"id": "t1", "name": "t1", "sources": [entry]})
    units = reader(format_).units(settings, tenant, tenant.sources[0], TWO_DAYS).found
    return ids(settings, tenant, units, ("plays", "tracks", "artists", "listeners"))


def from_service(settings: Settings, format_: str, known: WebService) -> Any:
    tenant = a_tenant(known, format_)
    units = fetch(settings, tenant).values()
    return ids(settings, tenant, units, ("plays", "tracks", "artists", "listeners"))


def test_a_listen_of_the_api_is_the_same_as_in_a_dump_of_listenbrainz(keyed, service):
    service.histories["rob"] = ODD
    lines = []
    for heard in ODD:  # a dump names the time differently, and has no time of insertion
        listen = heard.of_listenbrainz("rob")
        listen["timestamp"] = listen.pop("listened_at")
        del listen["inserted_at"]
        lines.append(json.dumps({"user_id": 1, **listen}) + "\n")
    dump = from_file(keyed, "listenbrainz_dump", "1.listens", "".join(lines).encode())
    assert dump == from_service(keyed, "listenbrainz_api", service)
    assert len(dump["plays"]) == len(ODD)


def test_a_scrobble_of_the_api_is_the_same_as_in_an_export_of_lastfm(keyed, service):
    service.histories["rob"] = ODD
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["user", "uts", "artist", "album", "track"])
    table.writerows(["rob", heard.second, heard.artist, heard.album, heard.track] for heard in ODD)
    export = from_file(keyed, "lastfm_scrobbles", "rob.csv", text.getvalue().encode())
    assert export == from_service(keyed, "lastfm_api", service)
    assert len(export["plays"]) == len(ODD)


# ---- names

NAMES = ["AC\\DC", '"Weird Al" Yankovic', "Tab\there", "Ключ \u2028 🎧", "{'#text': 1}"]


@pytest.mark.parametrize("name", NAMES)
def test_names_come_from_the_fetched_files_as_they_are(settings, service, tmp_path, name):
    file = tmp_path / "2025-01-06.jsonl"
    scrobble = {
        "artist": {"#text": name, "mbid": ""}, "album": {"#text": name, "mbid": ""},
        "name": name, "mbid": "", "date": {"uts": str(NOON)},
    }  # fmt: skip
    file.write_text(json.dumps(scrobble) + "\n")
    for tenant_id in ("t1", "t2"):
        tenant = a_tenant(service, "lastfm_api", tenant_id=tenant_id)
        (source,) = tenant.sources
        unit = Unit("rob@2025-01-06", "0" * 64, None, str(file))
        (batch,) = reader("lastfm_api").read(settings, tenant, source, unit)
        assert batch.rejects.is_empty()
        found = batch.rows.select("tenant_id", "artist", "album", "track").row(0)
        assert found == (tenant_id, name, name, name)
