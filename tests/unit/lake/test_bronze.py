import polars as pl
import pytest

from analytics.errors import SchemaError, SourceError, UnknownTenant
from analytics.lake import bronze, delta, paths, quarantine
from analytics.lake.candidates import candidates
from tests.landing import BOTH_DAYS, DAY_ONE, DAY_TWO, NOON_MS, a_line, a_tenant, drop, drop_text


@pytest.fixture
def settings(make_settings):
    return make_settings([a_tenant("t1"), a_tenant("t2")])


def bronze_of(settings, tenant_id: str) -> pl.DataFrame:
    return pl.read_delta(paths.bronze(settings, tenant_id, "events"))


def test_reading_the_same_file_again_changes_nothing(settings):
    drop(settings, "t1", "2025-01-06", a_line(), a_line(itemInSession=1))

    first = bronze.extract(settings, "t1", DAY_ONE, "run-1")
    version = delta.version(paths.bronze(settings, "t1", "events"))
    again = bronze.extract(settings, "t1", DAY_ONE, "run-2")

    assert (first.units_read, first.units_known, first.rows_in) == (1, 0, 2)
    assert (again.units_read, again.units_known, again.rows_in) == (0, 1, 0)
    assert delta.version(paths.bronze(settings, "t1", "events")) == version


def test_a_file_dropped_anew_replaces_its_rows_and_rejects_and_no_other_files(settings):
    drop(settings, "t1", "2025-01-06", a_line(), '{"ts": 1, "page": "Home"', a_line(ts="soon"))
    drop(settings, "t1", "2025-01-07", a_line(sessionId=8, ts=NOON_MS + 86_400_000))
    bronze.extract(settings, "t1", BOTH_DAYS, "run-1")
    assert candidates(settings, "t1", DAY_ONE)[1].rejected("plays") == 2

    drop(settings, "t1", "2025-01-06", a_line(sessionId=9), a_line(sessionId=10))
    bronze.extract(settings, "t1", BOTH_DAYS, "run-2")

    assert sorted(bronze_of(settings, "t1")["sessionId"]) == ["10", "8", "9"]
    assert candidates(settings, "t1", BOTH_DAYS)[1].rejects.is_empty()


def test_a_file_dropped_anew_arrives_together_with_one_that_is_new(settings):
    drop(settings, "t1", "2025-01-06", a_line())
    bronze.extract(settings, "t1", DAY_ONE, "run-1")

    drop(settings, "t1", "2025-01-06", a_line(sessionId=9))
    drop(settings, "t1", "2025-01-07", a_line(sessionId=10))
    bronze.extract(settings, "t1", BOTH_DAYS, "run-2")

    assert sorted(bronze_of(settings, "t1")["sessionId"]) == ["10", "9"]


def test_a_file_that_goes_back_to_what_it_was_is_read_once_more(settings):
    for listener in ("1", "2", "1"):
        drop(settings, "t1", "2025-01-06", a_line(userId=listener))
        bronze.extract(settings, "t1", DAY_ONE, "run")
        assert bronze_of(settings, "t1")["userId"].to_list() == [listener]


def test_candidates_of_a_dated_source_are_those_that_arrived_in_the_interval(settings):
    late = a_line(itemInSession=5, ts=NOON_MS - 3600_000)
    drop(settings, "t1", "2025-01-06", a_line())
    drop(settings, "t1", "2025-01-07", late)
    bronze.extract(settings, "t1", BOTH_DAYS, "run")

    plays = candidates(settings, "t1", DAY_TWO)[0]["plays"]

    assert plays["started_at"].dt.date().to_list() == [DAY_ONE.start.date()]


def test_tenants_with_the_same_file_keep_their_own_rows(settings):
    for tenant in ("t1", "t2"):
        drop(settings, tenant, "2025-01-06", a_line())
        bronze.extract(settings, tenant, DAY_ONE, "run")
    for tenant in ("t1", "t2"):
        assert bronze_of(settings, tenant)["tenant_id"].to_list() == [tenant]
        assert candidates(settings, tenant, DAY_ONE)[0]["plays"].height == 1


def test_rejects_stand_in_quarantine_once_with_rule_value_and_place(settings):
    drop(settings, "t1", "2025-01-06", a_line(), a_line(listenedMs="long"), '{"ts": 17')
    bronze.extract(settings, "t1", DAY_ONE, "run-1")
    drop(settings, "t1", "2025-01-06", a_line(), a_line(listenedMs="long"), '{"ts": 17')
    bronze.extract(settings, "t1", DAY_ONE, "run-2")

    found = quarantine.scan(settings, "t1").collect().sort("row_number")

    assert found["rule"].to_list() == ["type:listenedMs", "row_parses"]
    assert found["value"].to_list() == ["long", None]
    assert found["row_number"].to_list() == [1, 2]
    assert found["row"][1] == '{"ts": 17'
    assert set(found["file"]) == {"t1/events/2025-01-06.jsonl"}
    assert quarantine.scan(settings, "t2").collect().is_empty()


def test_one_failing_source_does_not_keep_the_others_from_arriving(make_settings):
    songs = {"name": "songs", "format": "msd_songs", "path": "{landing}/t1/songs/*.json"}
    events = a_tenant("t1")["sources"][0]
    settings = make_settings([a_tenant("t1", songs, events)])
    drop(settings, "t1", "2025-01-06", a_line())

    with pytest.raises(SourceError, match="source songs: no file matches"):
        bronze.extract(settings, "t1", DAY_ONE, "run")

    assert bronze_of(settings, "t1").height == 1


def test_days_without_a_file_are_counted_and_all_days_without_one_stop(settings):
    drop(settings, "t1", "2025-01-06", a_line())
    assert bronze.extract(settings, "t1", BOTH_DAYS, "run").days_missing == 1
    with pytest.raises(SourceError, match=r"t1: source events: no file for any day .*app team"):
        bronze.extract(settings, "t1", DAY_TWO, "run")


def test_an_unknown_tenant_is_named_with_those_that_exist(settings):
    with pytest.raises(UnknownTenant, match=r"no tenant 't9'.*t1, t2"):
        bronze.extract(settings, "t9", DAY_ONE, "run")


def test_an_empty_file_is_a_known_unit_without_rows(settings):
    drop(settings, "t1", "2025-01-06")
    assert bronze.extract(settings, "t1", DAY_ONE, "run").rows_in == 0
    assert bronze.extract(settings, "t1", DAY_ONE, "run").units_known == 1
    assert candidates(settings, "t1", DAY_ONE)[0]["plays"].is_empty()


def test_a_unit_larger_than_memory_allows_goes_over_the_disk_in_one_commit(settings, monkeypatch):
    from analytics.lake import ingest

    monkeypatch.setattr(ingest, "ROWS_IN_MEMORY", 10)
    monkeypatch.setattr("analytics.sources.json_lines.PIECE", 2000)
    drop(settings, "t1", "2025-01-06", *[a_line(itemInSession=n) for n in range(95)])

    assert bronze.extract(settings, "t1", DAY_ONE, "run").rows_in == 95

    rows = bronze_of(settings, "t1")
    assert sorted(rows["itemInSession"]) == list(range(95))
    assert sorted(rows["_row"]) == list(range(95))
    assert delta.version(paths.bronze(settings, "t1", "events")) == 0


@pytest.mark.parametrize(
    ("second", "kind"), [("user,song\n1,2\n", SchemaError), (None, SourceError)]
)
def test_two_failing_sources_are_worth_another_try_only_where_one_of_them_is(
    make_settings, second, kind
):
    """A missing column stays missing; a file that did not come may come."""
    plays = {
        "format": "csv", "table": "plays",
        "columns": {"listener_id": "user", "track_id": "song", "started_at": "at",
                    "listened_ms": "heard"},
    }  # fmt: skip
    sources = [
        {**plays, "name": name, "path": f"{{landing}}/{name}/{{date}}.csv"} for name in ("a", "b")
    ]
    settings = make_settings([a_tenant("t1", *sources)])
    drop_text(settings, "a/2025-01-06.csv", "user,song\n1,2\n")
    if second:
        drop_text(settings, "b/2025-01-06.csv", second)

    with pytest.raises(SourceError, match=r"(?s)source a: .*source b: ") as failure:
        bronze.extract(settings, "t1", DAY_ONE, "run")

    assert failure.type is kind
