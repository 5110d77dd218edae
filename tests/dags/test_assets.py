"""How a run finds its interval and its tenants."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from analytics.interval import Interval
from dags import assets

NO_PARAMS: dict[str, Any] = {"tenants": None, "from": None, "to": None}


@pytest.fixture(autouse=True)
def two_tenants(settings, monkeypatch):
    monkeypatch.setattr(assets, "load_settings", lambda: settings)


def an_event(*tenants: str, start: str, end: str, **extra: Any) -> SimpleNamespace:
    return SimpleNamespace(extra={"tenants": list(tenants), "from": start, "to": end, **extra})


def a_run(*events: SimpleNamespace, **params: Any) -> dict[str, Any]:
    return {
        "params": {**NO_PARAMS, **params},
        "triggering_asset_events": {assets.SILVER: list(events)} if events else {},
    }


def test_the_form_wins():
    run = a_run(
        an_event("t1", start="2025-01-01", end="2025-01-02"),
        **{"from": "2025-02-01", "to": "2025-02-03", "tenants": ["t2"]},
    )
    assert assets.interval_of(run) == Interval.of("2025-02-01", "2025-02-03")
    assert assets.tenants_of(run) == ["t2"]


def test_an_event_names_the_green_tenants_and_the_window():
    run = a_run(an_event("t2", start="2025-01-01", end="2025-01-02"))
    assert assets.interval_of(run) == Interval.of("2025-01-01", "2025-01-02")
    assert assets.tenants_of(run) == ["t2"]


def test_events_that_waited_together_become_one_window_over_all_their_tenants():
    run = a_run(
        an_event("t2", start="2025-01-01", end="2025-01-02"),
        an_event("t1", start="2025-01-03", end="2025-01-04"),
    )
    assert assets.interval_of(run) == Interval.of("2025-01-01", "2025-01-04")
    assert assets.tenants_of(run) == ["t1", "t2"]


def test_a_schedule_gives_its_data_interval_and_all_tenants():
    day = Interval.of("2025-01-01", "2025-01-02")
    run = {**a_run(), "data_interval_start": day.start, "data_interval_end": day.end}
    assert assets.interval_of(run) == day
    assert assets.tenants_of(run) == ["t1", "t2"]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"from": "2025-01-02", "to": "2025-01-01"}, "must be later"),
        ({"from": "2025-01-02"}, "give both"),
        ({}, "has no interval"),
    ],
)
def test_a_bad_interval_fails_without_a_retry(params, complaint):
    with pytest.raises(AirflowFailException, match=complaint):
        assets.interval_of(a_run(**params))


def test_a_tenant_that_left_the_file_is_skipped():
    with pytest.raises(AirflowSkipException):
        assets.tenants_of(a_run(an_event("gone", start="2025-01-01", end="2025-01-02")))


def test_no_event_is_emitted_when_nothing_changed():
    with pytest.raises(AirflowSkipException, match="nothing new"):
        assets.announce(assets.SILVER, {}, [], Interval.of("2025-01-01", "2025-01-02"))


def test_an_announcement_can_be_read_back():
    outlet = {assets.SILVER: SimpleNamespace(extra=None)}
    day = Interval.of("2025-01-01", "2025-01-02")
    assets.announce(assets.SILVER, outlet, ["t2"], day, reasons={"t2": "drift"})
    run = a_run(outlet[assets.SILVER])
    assert assets.interval_of(run) == day
    assert assets.tenants_of(run) == ["t2"]
    assert assets.reasons_of(run) == {"t2": "drift"}


def test_the_form_knows_only_declared_tenants_and_real_dates():
    form = assets.trigger_form()
    assert form["tenants"].schema["items"]["enum"] == ["t1", "t2"]
    assert form["from"].schema["format"] == form["to"].schema["format"] == "date"


@pytest.mark.parametrize(
    ("handed_over", "results"),
    [
        (None, []),
        ([], []),
        ("t1", ["t1"]),
        ({"tenant": "t1"}, [{"tenant": "t1"}]),
        (["t1", "t2"], ["t1", "t2"]),
    ],
)
def test_one_green_tenant_is_a_list_of_one(handed_over, results):
    """Airflow gives the result of a group bare when only one of its tenants came through."""
    assert assets.results_of(handed_over) == results
