"""A scrobble has no length and passes; a play whose source knows lengths owes one."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from analytics import gates
from analytics.errors import AnalyticsError, GateFailed
from analytics.gates import bronze_door, data_docs, engine, split
from analytics.gates.judge import judge
from analytics.lake import bronze, quarantine, staging
from analytics.settings import Settings
from analytics.sources.faults import faults
from analytics.tenants import Source, get_tenant
from tests.builders import NOON, a_frame, a_play
from tests.landing import DAY_ONE, a_tenant, land_staged

SHARED = {"play_id": "id", "listener_id": "who", "track_id": "what", "started_at": "at"}


def plays_of(tenant_id: str, name: str, **columns: str) -> dict[str, Any]:
    return {
        "name": name, "format": "jsonl", "table": "plays",
        "path": f"{{landing}}/{tenant_id}/{name}/{{date}}.jsonl", "columns": SHARED | columns,
    }  # fmt: skip


@pytest.fixture
def settings(make_settings) -> Settings:
    """t1 sends timed plays and scrobbles, t2 timed plays alone, under the same names."""
    return make_settings(
        [
            {**a_tenant("t1", plays_of("t1", "player", listened_ms="ms"),
                        plays_of("t1", "scrobbles")), "bad_row_budget": 0.5},
            {**a_tenant("t2", plays_of("t2", "scrobbles", listened_ms="ms")),
             "bad_row_budget": 0.5},
        ]
    )  # fmt: skip


def arrive(settings: Settings, tenant_id: str, **rows_of: list[dict[str, Any]]) -> None:
    for name, rows in rows_of.items():
        path = settings.landing / tenant_id / name / "2025-01-06.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bronze.extract(settings, tenant_id, DAY_ONE, "extract")


def a_line(play_id: str, **more: Any) -> dict[str, Any]:
    return {"id": play_id, "who": "l1", "what": "s1", "at": NOON.isoformat(), **more}


def passed(settings: Settings, tenant_id: str) -> dict[str, int | None]:
    found = staging.read(settings, tenant_id, "plays", DAY_ONE)
    assert found is not None
    return dict(found.rows().sort("play_id").select("play_id", "listened_ms").iter_rows())


def test_scrobbles_without_length_pass_and_timed_plays_without_one_do_not(settings):
    timed = [a_line("p1", ms=180_000), a_line("p2"), a_line("p3", ms=None)]
    arrive(settings, "t1", player=timed, scrobbles=[a_line("s1"), a_line("s2"), a_line("s3")])
    arrive(settings, "t2", scrobbles=[a_line("s1", ms=1000), a_line("s2", ms=None)])

    gates.bronze(settings, "t1", DAY_ONE, "run-1")
    gates.bronze(settings, "t2", DAY_ONE, "run-1")

    assert passed(settings, "t1") == {"p1": 180_000, "s1": None, "s2": None, "s3": None}
    assert passed(settings, "t2") == {"s1": 1000}
    set_aside = quarantine.scan(settings).sort("tenant_id", "row").collect()
    told = set_aside.select("tenant_id", "source", "rule", pl.col("row").str.json_path_match(
        "$.play_id").alias("play_id"))  # fmt: skip
    assert told.rows() == [
        ("t1", "player", "listened_ms_is_given", "p2"),
        ("t1", "player", "listened_ms_is_given", "p3"),
        ("t2", "scrobbles", "listened_ms_is_given", "s2"),
    ]


def test_what_passed_lands_in_silver_with_its_length_unknown(settings):
    arrive(settings, "t1", player=[a_line("p1", ms=180_000)], scrobbles=[a_line("s1")])

    gates.bronze(settings, "t1", DAY_ONE, "run-1")
    landed = land_staged(settings, "t1", DAY_ONE, "run-1")

    assert landed.rows["plays"]["landed"] == 2


def test_the_budget_is_spent_by_the_plays_that_owe_a_length(settings):
    """Four of seven rows are bad: above half. The scrobbles count among the rows that came."""
    timed = [a_line("p9", ms=1000), *(a_line(f"p{n}") for n in range(4))]
    arrive(settings, "t1", player=timed, scrobbles=[a_line("s1"), a_line("s2")])

    with pytest.raises(GateFailed) as failure:
        gates.bronze(settings, "t1", DAY_ONE, "run-1")

    assert "listened_ms_is_given failed for 4 of 7 rows, 3 allowed" in str(failure.value)


def test_a_tenant_of_scrobbles_alone_owes_no_length_at_all(make_settings):
    settings = make_settings([a_tenant("t1", plays_of("t1", "scrobbles")), a_tenant("t2")])
    arrive(settings, "t1", scrobbles=[a_line("s1"), a_line("s2")])

    report = gates.bronze(settings, "t1", DAY_ONE, "run-1")

    (rule,) = [r for r in report.tables[0].results if r.rule == "listened_ms_is_given"]
    assert (rule.passed, rule.considered, rule.unexpected) == (True, 0, 0)
    assert passed(settings, "t1") == {"s1": None, "s2": None}
    page = data_docs.root(settings) / "t1" / "bronze" / "run-1" / "plays.html"
    assert "Not asked of scrobbles, which cannot know it." in page.read_text()


def test_a_length_that_came_is_judged_whoever_sent_it(settings):
    tenant = get_tenant(settings, "t1")
    rows = a_frame("plays", a_play(listened_ms=-1), a_play("t2", play_id="p2", listened_ms=None))
    rows = rows.with_columns(_source=pl.lit("scrobbles"))

    judgement = judge(plays_suite(bronze_door.lacking(tenant, "plays")), rows)

    assert judgement.broken["_rule"].to_list() == ["listened_ms_is_plausible"]


def test_the_split_finds_the_rows_great_expectations_finds():
    suite = plays_suite({"listened_ms": ["scrobbles", "a 'quoted' one"]})
    sources = ["player", "scrobbles", "a 'quoted' one", "other", "player"]
    rows = [a_play(f"t{1 + n % 2}", listened_ms=None) for n in range(4)]
    frame = a_frame("plays", *rows, a_play()).with_columns(_source=pl.Series(sources))
    (rule,) = [e for e in suite.expectations if split.rule_of(e) == "listened_ms_is_given"]

    found = frame.select(split.predicate(rule).broken.alias("broken"))["broken"].arg_true()

    assert found.to_list() == [0, 3]
    assert engine.unexpected_rows([rule], frame) == {"listened_ms_is_given": [0, 3]}


def test_rows_that_do_not_say_their_source_stop_as_a_missing_column():
    judgement = judge(plays_suite({"listened_ms": ["scrobbles"]}), a_frame("plays", a_play()), 1.0)

    (stop,) = judgement.stops
    assert (stop.rule, stop.observed) == ("columns_match", "missing _source")


def test_a_condition_nobody_taught_the_split_is_an_error():
    engine.context()
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    rule = gxe.ExpectColumnValuesToNotBeNull(
        column="listened_ms", row_condition=Column("country") == "DE",
        meta={"kind": "row", "rule": "german"},
    )  # fmt: skip
    with pytest.raises(TypeError, match=r"teach analytics/gates/split\.py"):
        split.predicate(rule)


def test_plays_may_be_declared_without_their_length_and_without_nothing_else():
    entry = plays_of("t1", "scrobbles")

    assert list(faults(Source(**entry))) == []
    without_time = {k: v for k, v in SHARED.items() if k != "started_at"}
    assert list(faults(Source(**{**entry, "columns": without_time}))) == [
        ("columns", "plays needs `columns` for started_at")
    ]


def test_a_declared_length_that_did_not_come_refuses_the_file(settings):
    with pytest.raises(AnalyticsError, match=r"came without ms \(our listened_ms\)"):
        arrive(settings, "t2", scrobbles=[a_line("s1")])


def plays_suite(lacking: dict[str, list[str]]):
    engine.context()
    from expectations import bronze as suites

    return suites.suite("plays", DAY_ONE, lacking=lacking)
