"""A windowed run leaves exactly what a full refresh leaves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.builders import a_play
from tests.integration.dbt.conftest import Warehouse

pytestmark = pytest.mark.integration

MODELS = ("fct_plays", "fct_sessions", "daily_listening", "daily_track_listening")
SELECT = ("staging", *MODELS)
DAY = datetime(2025, 1, 6, tzinfo=UTC)
WINDOW = ("2025-01-07T00:00:00Z", "2025-01-08T00:00:00+00:00")


def play(play_id: str, day: int, at: str, minutes: float = 3, **changes: Any) -> dict[str, Any]:
    """A play on the n-th day from Monday 6 January, at hours:minutes UTC."""
    hours, minute = at.split(":")
    started = DAY + timedelta(days=day, hours=int(hours), minutes=int(minute))
    return a_play(
        **{"play_id": play_id, "started_at": started, "listened_ms": int(minutes * 60_000)}
        | changes
    )


def of(listener: str, plays: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The plays as that listener's."""
    return [
        {**row, "listener_id": listener, "play_id": f"{listener}: {row['play_id']}"}
        for row in plays
    ]


def history(*listeners: str) -> list[dict[str, Any]]:
    """The same history for each listener; t2 has the same ids an hour later."""
    rows = [row for listener in listeners for row in of(listener, AROUND)]
    later = timedelta(hours=1)
    twins = [{**row, "tenant_id": "t2", "started_at": row["started_at"] + later} for row in rows]
    return [*rows, *twins]


# The neighbourhood of the window (day 1): a session that crosses into it, one
# within, one that crosses out of it, and quiet ones far away on either side.
AROUND = (
    play("far_before", -2, "12:00"),
    play("eve", 0, "23:40"),
    play("first", 1, "00:05"),
    play("noon", 1, "12:00"),
    play("noon_too", 1, "12:10", track_id="s2"),
    play("late", 1, "22:20"),
    play("after", 2, "00:10", 100),
    play("after_that", 2, "02:00"),
    play("far_after", 4, "12:00"),
)

CASES: dict[str, tuple[tuple[str, ...], list[dict[str, Any]]]] = {
    "nothing changed": ((), []),
    "a late play joins two sessions": ((), [play("new", 1, "00:35", 1), play("n2", 1, "01:00")]),
    "a late play before midnight joins the next day": ((), [play("new", 1, "23:50")]),
    "a play of the window reaches far into the next day": ((), [play("new", 1, "23:59", 120)]),
    "a play overtakes a session that reaches the next one": (
        (),
        [play("new", 1, "22:30", 75), play("n2", 1, "23:58", 5)],
    ),
    "the joining play of a session is withdrawn": (("first",), []),
    "the middle of a long session is withdrawn": (("late",), []),
    "every play of the window is withdrawn": (("first", "noon", "noon_too", "late"), []),
    "a listener vanishes whole": (tuple(row["play_id"] for row in AROUND), []),
    "a play moves within the window": (("noon",), [play("noon", 1, "15:00")]),
    "a play at the first instant of the window": ((), [play("new", 1, "00:00")]),
    "a play exactly a gap after an end": ((), [play("new", 1, "00:38", 1)]),
    "scrobbles of unknown length join two sessions": (
        (),
        [play("new", 1, "00:30", listened_ms=None), play("n2", 1, "00:59", listened_ms=None)],
    ),
}


@pytest.fixture
def built(warehouse: Warehouse) -> Warehouse:
    """Every case's listener with the same history, built whole."""
    warehouse.zone = "America/New_York"  # a session's zone must not move a day
    warehouse.put("plays", *history(*CASES))
    warehouse.run(*SELECT)
    return warehouse


def test_a_windowed_run_equals_a_full_refresh_whatever_changed_in_the_window(
    built: Warehouse,
) -> None:
    for listener, (withdrawn, arrived) in CASES.items():
        gone = [f"{listener}: {play_id}" for play_id in withdrawn]
        in_window = "started_at >= '2025-01-07 00:00Z' and started_at < '2025-01-08 00:00Z'"
        built.execute(
            f"delete from raw.plays where {in_window} and play_id = any(%s)",  # noqa: S608
            gone,
        )
        built.put("plays", *of(listener, arrived))
    built.put("plays", *of("a listener is new", [play("new", 1, "08:00")]))

    before = everything(built)
    built.run(*SELECT, window=WINDOW)
    windowed = everything(built)
    built.run(*SELECT, window=WINDOW)
    again = everything(built)
    built.run(*SELECT, full=True)
    whole = everything(built)

    for model in MODELS:
        assert windowed[model] == whole[model], model
        assert windowed[model] == again[model], f"{model}, second run"
        assert windowed[model] != before[model], f"{model} did not change: the cases prove nothing"


def test_windows_one_after_the_other_equal_one_full_refresh(warehouse: Warehouse) -> None:
    rows = history("l1", "l2")
    for start, end in (("2025-01-04", "2025-01-07"), ("2025-01-07", "2025-01-08")):
        warehouse.put("plays", *(row for row in rows if start <= str(row["started_at"]) < end))
        warehouse.run(*SELECT, window=(start, end))
    windowed = everything(warehouse)
    warehouse.run(*SELECT, full=True)
    assert windowed == everything(warehouse)


def everything(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    return {model: warehouse.everything(model) for model in MODELS}


def test_a_window_is_rounded_out_to_whole_days(built: Warehouse) -> None:
    built.put("plays", play("new", 1, "18:00"))
    built.run(*SELECT, window=("2025-01-07T03:00:00-05:00", "2025-01-07T11:00:00Z"))
    windowed = everything(built)
    built.run(*SELECT, full=True)
    assert windowed == everything(built)


def test_a_half_given_window_is_refused_by_name(built: Warehouse) -> None:
    built.variables = {"from": "2025-01-07"}
    done = built.dbt("run", "--select", "fct_plays")
    assert not done.ok
    assert "Give both vars, from and to, or neither" in done.output


def test_a_window_that_ends_before_it_begins_is_refused(built: Warehouse) -> None:
    done = built.dbt("run", "--select", "fct_plays", window=("2025-01-08", "2025-01-07"))
    assert not done.ok
    assert "`to` must be later than `from`" in done.output
