"""Volume and freshness at the bronze door: what a source declares, it owes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from analytics import gates
from analytics.errors import GateFailed, SettingsError
from analytics.gates import bronze_door, data_docs
from analytics.interval import Interval
from analytics.lake import bronze, staging
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.tenants import get_tenant
from tests.builders import NOON, a_frame, a_play, a_row
from tests.landing import BOTH_DAYS, DAY_ONE, a_tenant, events_of

YEAR_2099 = NOON.replace(year=2099)


def drops(table: str, **owed: int) -> dict[str, Any]:
    """A source of Parquet files under our own column names."""
    return {
        "name": table, "format": "parquet", "table": table, "owner": "radio desk",
        "path": f"{{landing}}/{table}/{{date}}.parquet",
        "columns": {c: c for c in TABLES[table].columns if c != "tenant_id"}, **owed,
    }  # fmt: skip


def world(make_settings, **owed: int) -> Settings:
    """t1's plays owe something, t2's nothing; both read the same drops."""
    both = {"t1": drops("plays", **owed), "t2": drops("plays")}
    return make_settings(
        [{**a_tenant(t, plays, drops("payments")), "bad_row_budget": 0.5}
         for t, plays in both.items()]
    )  # fmt: skip


def arrive(settings: Settings, *plays: dict[str, Any], day: str = "2025-01-06") -> None:
    for table, rows in (("plays", plays), ("payments", ())):
        path = settings.landing / table / f"{day}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        a_frame(table, *rows).drop("tenant_id").write_parquet(path)


def gate(settings: Settings, tenant_id: str, interval: Interval = DAY_ONE) -> gates.GateReport:
    bronze.extract(settings, tenant_id, interval, "extract")
    return gates.bronze(settings, tenant_id, interval, "run-1")


def staged(settings: Settings, tenant_id: str) -> int | None:
    found = staging.read(settings, tenant_id, "plays", DAY_ONE)
    return None if found is None else found.rows().height


def plays(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [a_play(play_id=f"p{n}", **changes) for n in range(count)]


def test_fewer_rows_than_owed_stop_that_tenant_alone(make_settings):
    settings = world(make_settings, least_rows_a_day=4)
    arrive(settings, *plays(3))

    with pytest.raises(GateFailed) as failure:
        gate(settings, "t1")

    assert "plays: enough_rows failed (observed 3, at least 4)" in str(failure.value)
    assert staged(settings, "t1") is None
    assert gate(settings, "t2").passed
    assert staged(settings, "t2") == 3
    page = data_docs.root(settings) / "t1" / "bronze" / "run-1" / "plays.html"
    assert "least_rows_a_day: plays 4" in page.read_text()


def test_as_many_rows_as_owed_pass(make_settings):
    settings = world(make_settings, least_rows_a_day=4)
    arrive(settings, *plays(4))

    assert gate(settings, "t1").passed


def test_rows_are_owed_for_every_day_of_the_run(make_settings):
    settings = world(make_settings, least_rows_a_day=4)
    arrive(settings, *plays(7))
    arrive(settings, day="2025-01-07")

    with pytest.raises(GateFailed, match=r"enough_rows failed \(observed 7, at least 8\)"):
        gate(settings, "t1", BOTH_DAYS)


@pytest.mark.parametrize("ahead", [(), (a_play(play_id="far", started_at=YEAR_2099),)])
def test_a_source_that_stands_still_stops_whatever_a_clock_ahead_says(make_settings, ahead):
    settings = world(make_settings, fresh_within_days=1)
    arrive(settings, *plays(3, started_at=NOON - timedelta(days=2)), *ahead)

    with pytest.raises(GateFailed) as failure:
        gate(settings, "t1")

    message = (
        "plays: started_at_is_fresh failed "
        "(observed 2025-01-04T12:00:00Z, at least 2025-01-06T00:00:00Z)"
    )
    assert message in str(failure.value)
    assert staged(settings, "t1") is None
    assert gate(settings, "t2").passed


def test_a_row_of_the_first_moment_allowed_is_fresh(make_settings):
    settings = world(make_settings, fresh_within_days=2)
    arrive(settings, *plays(1, started_at=DAY_ONE.end - timedelta(days=2)))

    assert gate(settings, "t1").passed


def test_without_a_declaration_no_rows_and_old_rows_are_no_fault(make_settings):
    settings = world(make_settings)
    arrive(settings, *plays(2, started_at=NOON - timedelta(days=400)))
    assert gate(settings, "t1").passed

    arrive(settings)
    report = gate(settings, "t1")
    assert {r.rule for table in report.tables for r in table.warnings} == {"has_rows"}


def test_an_empty_delivery_of_a_source_that_owes_rows_stops(make_settings):
    settings = world(make_settings, least_rows_a_day=1, fresh_within_days=1)
    arrive(settings)

    with pytest.raises(GateFailed) as failure:
        gate(settings, "t1")

    assert "enough_rows failed (observed 0, at least 1)" in str(failure.value)
    assert "started_at_is_fresh failed (observed nothing" in str(failure.value)


def test_a_source_of_many_tables_owes_the_first_of_them(make_settings):
    settings = make_settings([a_tenant("t1", {**events_of("t1"), "least_rows_a_day": 5})])
    tenant = get_tenant(settings, "t1")

    owing = {t for t in TABLES if bronze_door.owing(tenant, t)}

    assert owing == {"plays"}


def test_sources_of_one_table_owe_together_and_the_most_punctual_says_how_fresh(make_settings):
    one = drops("payments", least_rows_a_day=2, fresh_within_days=7)
    two = {**drops("payments", least_rows_a_day=1, fresh_within_days=1), "name": "refunds"}
    settings = make_settings([{**a_tenant("t1", one, two), "bad_row_budget": 0.5}])
    path = settings.landing / "payments" / "2025-01-06.parquet"
    path.parent.mkdir(parents=True)
    late = a_row("payments", paid_at=NOON - timedelta(days=3))
    a_frame("payments", late).drop("tenant_id").write_parquet(path)

    with pytest.raises(GateFailed) as failure:
        gate(settings, "t1")

    assert "enough_rows failed (observed 2, at least 3)" in str(failure.value)
    assert "paid_at_is_fresh failed" in str(failure.value)


@pytest.mark.parametrize("field", ["least_rows_a_day", "fresh_within_days"])
@pytest.mark.parametrize("value", [0, -1, "many"])
def test_nothing_can_be_owed_in_nonsense(make_settings, field, value):
    settings = make_settings([a_tenant("t1", {**events_of("t1"), field: value})])

    with pytest.raises(SettingsError, match=rf"tenant t1: .*{field}"):
        get_tenant(settings, "t1")
