"""Replacing one tenant's rows of a table that all tenants share."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from analytics.errors import LakeError
from analytics.lake import delta, read
from analytics.lake.replace import replace

MONDAY, TUESDAY = date(2025, 3, 3), date(2025, 3, 4)


def scores(tenant_id: str, day: date, *values: float, run_id: str = "r1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "tenant_id": [tenant_id] * len(values),
            "listener_id": [f"l{n}" for n in range(len(values))],
            "as_of_date": [day] * len(values),
            "score": list(values),
            "run_id": [run_id] * len(values),
        }
    )


def put(settings, tenant_id, day, *values, run_id="r1"):
    frame = scores(tenant_id, day, *values, run_id=run_id)
    where = {"as_of_date": day}
    return replace(settings, tenant_id, "monitoring", "scores", frame, where, {"run_id": run_id})


def held(settings, tenant_id, day) -> list[float]:
    rows = read.scan(settings, "scores", tenant_id, layer="monitoring").collect()
    return rows.filter(pl.col("as_of_date") == day).sort("listener_id")["score"].to_list()


def test_only_the_rows_of_that_tenant_and_day_are_replaced(settings):
    for tenant_id in ("t1", "t2"):
        for day in (MONDAY, TUESDAY):
            put(settings, tenant_id, day, 0.1, 0.2)
    put(settings, "t1", MONDAY, 0.9)
    assert held(settings, "t1", MONDAY) == [0.9]
    assert held(settings, "t1", TUESDAY) == [0.1, 0.2]
    assert held(settings, "t2", MONDAY) == held(settings, "t2", TUESDAY) == [0.1, 0.2]


def test_the_same_rows_by_another_run_make_no_new_version(settings):
    first = put(settings, "t1", MONDAY, 0.1, 0.2)
    again = put(settings, "t1", MONDAY, 0.1, 0.2, run_id="r2")
    assert first.changed
    assert not again.changed
    assert again.version == first.version == read.version(settings, "monitoring", "scores")


def test_fewer_rows_are_a_change(settings):
    put(settings, "t1", MONDAY, 0.1, 0.2)
    assert put(settings, "t1", MONDAY, 0.1).changed
    assert held(settings, "t1", MONDAY) == [0.1]


def test_a_list_of_days_is_replaced_as_one(settings):
    put(settings, "t1", MONDAY, 0.1)
    put(settings, "t1", TUESDAY, 0.2)
    frame, where = scores("t1", TUESDAY, 0.7), {"as_of_date": [MONDAY, TUESDAY]}
    replace(settings, "t1", "monitoring", "scores", frame, where, {"run_id": "r2"})
    assert held(settings, "t1", MONDAY) == []
    assert held(settings, "t1", TUESDAY) == [0.7]


def test_rows_of_another_tenant_are_refused(settings):
    put(settings, "t2", MONDAY, 0.1)
    frame = scores("t2", MONDAY, 0.9)
    with pytest.raises(LakeError, match="rows of other tenants among those of t1"):
        replace(settings, "t1", "monitoring", "scores", frame, {}, {"run_id": "r1"})
    assert held(settings, "t2", MONDAY) == [0.1]


def test_a_value_with_a_quote_is_only_a_value(settings):
    frame = scores("t1", MONDAY, 0.1)
    where = {"listener_id": "l0' OR 'a' = 'a"}
    put(settings, "t1", MONDAY, 0.1, 0.2)
    replace(settings, "t1", "monitoring", "scores", frame.clear(), where, {"run_id": "r2"})
    assert held(settings, "t1", MONDAY) == [0.1, 0.2]


@pytest.fixture
def losing(monkeypatch):
    """The first `n` commits lose to another writer."""
    left, write = {"n": 0}, delta.write

    def lose(*arguments, **named):
        if left["n"]:
            left["n"] -= 1
            raise CommitFailedError("another writer was first")
        write(*arguments, **named)

    monkeypatch.setattr(delta, "write", lose)
    monkeypatch.setattr(delta.time, "sleep", lambda seconds: None)
    return left


def test_a_lost_race_is_run_again(settings, losing):
    losing["n"] = delta.ATTEMPTS - 1
    assert put(settings, "t1", MONDAY, 0.1).changed
    assert held(settings, "t1", MONDAY) == [0.1]


def test_a_race_that_cannot_be_won_says_what_to_do(settings, losing):
    losing["n"] = delta.ATTEMPTS
    with pytest.raises(LakeError, match="run the task again, nothing was half written"):
        put(settings, "t1", MONDAY, 0.1)
    assert read.version(settings, "monitoring", "scores") is None
