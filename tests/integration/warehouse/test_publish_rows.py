"""Frames of models into serve: what is replaced, what is refused."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from analytics.errors import WarehouseError
from analytics.settings import Settings
from analytics.warehouse import publish_rows, read

pytestmark = pytest.mark.integration


def predictions(tenant_id: str, day: date, **scores: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "tenant_id": tenant_id,
            "listener_id": list(scores),
            "as_of_date": day,
            "churn_probability": list(scores.values()),
            "reasons": '["played less"]',
        }
    )


def test_rows_replace_those_of_the_same_day_and_tenant(warehouse: Settings) -> None:
    monday, tuesday = date(2025, 1, 6), date(2025, 1, 7)
    for tenant in ("t1", "t2"):
        for day in (monday, tuesday):
            frame = predictions(tenant, day, l1=0.5, l2=0.25)
            publish_rows(warehouse, tenant, "serve.churn_predictions", frame, {"as_of_date": day})

    frame = predictions("t1", monday, l1=0.75)
    assert publish_rows(warehouse, "t1", "churn_predictions", frame, {"as_of_date": monday}) == 1

    mine = "select as_of_date, listener_id, churn_probability from churn_predictions order by 1, 2"
    assert read(warehouse, mine, tenant_id="t1").rows() == [
        (monday, "l1", 0.75), (tuesday, "l1", 0.5), (tuesday, "l2", 0.25),
    ]  # fmt: skip
    assert read(warehouse, mine, tenant_id="t2").height == 4


def test_an_empty_frame_takes_the_rows_away(warehouse: Settings) -> None:
    day = date(2025, 1, 6)
    frame = predictions("t1", day, l1=0.5)
    publish_rows(warehouse, "t1", "churn_predictions", frame, {"as_of_date": day})
    assert publish_rows(warehouse, "t1", "churn_predictions", frame.clear(), {}) == 0
    assert read(warehouse, "select count(*) from serve.churn_predictions").item() == 0


def test_a_new_column_of_a_frame_widens_the_table(warehouse: Settings) -> None:
    day = date(2025, 1, 6)
    publish_rows(warehouse, "t1", "scores", predictions("t1", day, l1=0.5), {"as_of_date": day})
    frame = predictions("t2", day, l1=0.5).with_columns(model_version=pl.lit(3))
    publish_rows(warehouse, "t2", "scores", frame, {"as_of_date": day})
    rows = read(warehouse, "select tenant_id, model_version from serve.scores order by 1").rows()
    assert rows == [("t1", None), ("t2", 3)]


def test_rows_of_another_tenant_or_no_name_or_no_type_are_refused(warehouse: Settings) -> None:
    day = date(2025, 1, 6)
    frame = predictions("t2", day, l1=0.5)
    with pytest.raises(WarehouseError, match="must carry tenant_id 't1'"):
        publish_rows(warehouse, "t1", "scores", frame, {})
    with pytest.raises(WarehouseError, match="no column run"):
        publish_rows(warehouse, "t2", "scores", frame, {"run": 1})
    for name in ("snapshots", "Scores", 'x"; drop table y', "marts.scores"):
        with pytest.raises(WarehouseError, match="cannot be a relation of serve"):
            publish_rows(warehouse, "t2", name, frame, {})
    with pytest.raises(WarehouseError, match="column reasons has type List"):
        publish_rows(
            warehouse, "t2", "scores", frame.with_columns(reasons=pl.concat_list("reasons")), {}
        )
