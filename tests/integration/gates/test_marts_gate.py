"""The door before publication, on a real warehouse, and what dbt's own tests say to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analytics import gates
from analytics.errors import GateFailed
from analytics.gates import data_docs
from analytics.gates.dbt_failures import dbt_failures, record
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.warehouse import connect

pytestmark = pytest.mark.integration
DAY = Interval.of("2025-01-06", "2025-01-07")


def change(settings: Settings, *statements: str) -> None:
    with connect(settings) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ran(
    settings: Settings, folder: Path, tests: dict[str, dict[str, Any]] | None = None
) -> list[Any]:
    """Record a dbt run as its artifacts describe it: by test its status, relation, failures."""
    tests = {"plays_are_unique": {"status": "pass"}} if tests is None else tests
    nodes = {
        f"test.music.{name}": {
            "name": name,
            "relation_name": test.get("relation"),
            "description": test.get("description", ""),
        }
        for name, test in tests.items()
    }
    results = [
        {
            "unique_id": f"test.music.{name}",
            "status": test["status"],
            "failures": test.get("failures"),
            "message": test.get("message"),
        }
        for name, test in tests.items()
        if test["status"] != "not selected"
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"nodes": nodes}))
    model = {"unique_id": "model.music.fct_plays", "status": "success"}
    (folder / "run_results.json").write_text(json.dumps({"results": [model, *results]}))
    return record(settings, folder / "run_results.json", folder / "manifest.json", "invocation-1")


def stored(settings: Settings, name: str, *tenants: str) -> str:
    """A table of failing rows, as `dbt test --store-failures` leaves it."""
    rows = ", ".join(f"('{tenant_id}', 1)" for tenant_id in tenants)
    change(
        settings,
        "create schema if not exists dbt_test_failures",
        f"create table dbt_test_failures.{name} (tenant_id text, n int)",
        f"insert into dbt_test_failures.{name} values {rows}",  # noqa: S608 (the test's own words)
    )
    return f'"warehouse_gates"."dbt_test_failures"."{name}"'


def test_clean_marts_pass_for_both_tenants(warehouse: Settings, tmp_path: Path) -> None:
    ran(warehouse, tmp_path)

    reports = [gates.marts(warehouse, tenant_id, DAY, "run-1") for tenant_id in ("t1", "t2")]

    assert [report.passed for report in reports] == [True, True]
    assert [t.table for t in reports[0].tables if t.warnings] == []
    json.dumps(reports[0].as_dict())


def test_broken_marts_stop_their_tenant_and_no_other(warehouse: Settings, tmp_path: Path) -> None:
    ran(warehouse, tmp_path)
    change(
        warehouse,
        "insert into marts.dim_tracks select * from marts.dim_tracks where tenant_id = 't1'",
        "update marts.fct_sessions set listener_id = null where tenant_id = 't1'",
        "update marts.fct_plays set listened_ms = -1 where tenant_id = 't1'",
        "update marts.daily_listening set plays = 2 where tenant_id = 't1'",
        "delete from marts.daily_artist_listening where tenant_id = 't1'",
        "insert into raw.plays (tenant_id, play_id, listener_id, track_id, started_at, listened_ms)"
        " select tenant_id, 'p2', listener_id, track_id, started_at, listened_ms from raw.plays"
        " where tenant_id = 't1'",
        "update marts.monthly_revenue set net_minor = 998 where tenant_id = 't1'",
    )

    with pytest.raises(GateFailed) as failure:
        gates.marts(warehouse, "t1", DAY, "run-1")

    message = str(failure.value)
    assert "the marts gate stopped tenant t1" in message
    assert "dim_tracks: grain_is_unique failed for 1 of 1 rows, 0 allowed" in message
    assert "fct_sessions: listener_id_is_given failed" in message
    assert "fct_plays: listened_ms_not_negative failed" in message
    assert "reconciliation: totals_reconcile failed for 4 of 5 rows" in message
    for totals in (
        "actual=2, expected=1",  # daily_listening
        "actual=0, expected=1",  # daily_artist_listening
        "actual=1, expected=2",  # fct_plays against raw
        "actual=998, expected=999",  # revenue
    ):
        assert totals in message
    assert gates.marts(warehouse, "t2", DAY, "run-1").passed
    index = data_docs.index(warehouse).read_text()
    assert "totals_reconcile" in index
    assert index.index("t1/marts") < index.index("t2/marts")


def test_a_day_outside_the_interval_is_not_judged(warehouse: Settings, tmp_path: Path) -> None:
    ran(warehouse, tmp_path)
    change(warehouse, "update marts.daily_listening set plays = 2")

    assert gates.marts(warehouse, "t1", Interval.of("2025-01-07", "2025-01-08"), "run-1").passed


def test_failing_rows_block_the_tenants_they_name(warehouse: Settings, tmp_path: Path) -> None:
    relation = stored(warehouse, "plays_are_unique", "t1", "t1")

    ran(
        warehouse, tmp_path,
        {"plays_are_unique": {"status": "fail", "failures": 2, "relation": relation}},
    )  # fmt: skip

    with pytest.raises(GateFailed, match="dbt_tests: plays_are_unique failed with 2 rows"):
        gates.marts(warehouse, "t1", DAY, "run-1")
    assert gates.marts(warehouse, "t2", DAY, "run-1").passed


@pytest.mark.parametrize(
    "test",
    [
        {"status": "fail", "failures": 3},
        {"status": "error", "message": "relation does not exist"},
        {"status": "skipped"},
    ],
)
def test_what_names_no_tenant_blocks_all(
    warehouse: Settings, tmp_path: Path, test: dict[str, Any]
) -> None:
    ran(warehouse, tmp_path, {"totals_agree": test})

    for tenant_id in ("t1", "t2"):
        assert dbt_failures(warehouse, tenant_id)["severity"].to_list() == ["critical"]


def test_a_relaxed_test_is_told_and_does_not_stop(warehouse: Settings, tmp_path: Path) -> None:
    relation = stored(warehouse, "titles_are_given", "t1")
    ran(
        warehouse, tmp_path,
        {"titles_are_given": {"status": "warn", "failures": 1, "relation": relation}},
    )  # fmt: skip

    report = gates.marts(warehouse, "t1", DAY, "run-1")

    assert [r.rule for table in report.tables for r in table.warnings] == ["titles_are_given"]


def test_a_later_run_replaces_what_it_tested_and_keeps_the_rest(
    warehouse: Settings, tmp_path: Path
) -> None:
    failing = {"status": "fail", "failures": 1}
    ran(warehouse, tmp_path / "1", {"one": failing, "two": failing, "three": failing})
    assert dbt_failures(warehouse, "t1")["test"].to_list() == ["one", "three", "two"]

    # `two` was not selected this time, `three` is no longer declared
    ran(warehouse, tmp_path / "2", {"one": {"status": "pass"}, "two": {"status": "not selected"}})

    assert dbt_failures(warehouse, "t1")["test"].to_list() == ["two"]


def test_untested_marts_are_not_published(warehouse: Settings, tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="dbt's tests were never recorded"):
        gates.marts(warehouse, "t1", DAY, "run-1")
    with pytest.raises(GateFailed, match="dbt left no usable run_results"):
        record(warehouse, tmp_path / "run_results.json", tmp_path / "manifest.json", "invocation")
