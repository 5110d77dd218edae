"""The whole project builds, keeps its promises and says whose rows break them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from spark_jobs.churn_columns import COLUMNS
from tests.builders import a_play, a_row
from tests.integration.dbt.conftest import Warehouse

pytestmark = pytest.mark.integration

MARTS = {
    "fct_plays", "fct_sessions", "daily_listening", "daily_track_listening",
    "daily_artist_listening", "dim_tracks", "dim_listeners", "fct_subscriptions",
    "fct_payments", "monthly_revenue", "churn_labels", "churn_features",
}  # fmt: skip


def test_everything_builds_and_every_test_passes_on_two_tenants_that_share_ids(
    small: Warehouse, a_feature_row: Callable[..., dict[str, Any]]
) -> None:
    small.put("churn_features", a_feature_row("t1"), a_feature_row("t2"))
    for tenant in ("t1", "t2"):
        later = datetime(2025, 2, 11, 12, tzinfo=UTC)  # the horizon of 13 January is over
        small.put("plays", a_play(tenant, play_id="p2", started_at=later))
    small.put(
        "subscription_events",
        a_row(
            "subscription_events", event_id="e2", kind="cancel", plan_from="premium", plan_to=None,
            occurred_at=datetime(2025, 1, 20, tzinfo=UTC),
        ),
    )  # fmt: skip
    small.put("payments", a_row("payments", payment_id="x2", kind="refund", amount_minor=400))

    done = small.dbt("build")

    assert done.ok, done.output
    built = {row[0] for row in small.rows(
        "select table_name from information_schema.tables where table_schema = 'marts'"
    )}  # fmt: skip
    assert built == MARTS
    analyzed = {row[0] for row in small.rows(
        "select relname from pg_stat_all_tables"
        " where schemaname = 'marts' and last_analyze is not null"
    )}  # fmt: skip
    assert analyzed == MARTS, "what follows would be planned blindly"
    labels = "select tenant_id, as_of_date, is_churned from marts.churn_labels order by 1, 2"
    assert small.rows(labels) == [
        ("t1", date(2025, 1, 13), True),
        ("t2", date(2025, 1, 13), False),
    ]
    revenue = "select tenant_id, currency, net_minor from marts.monthly_revenue order by 1"
    assert small.rows(revenue) == [("t1", "EUR", 599), ("t2", "USD", 999)]


def test_failing_rows_are_stored_with_the_tenant_they_belong_to(small: Warehouse) -> None:
    small.put("payments", a_row("payments", "t2", payment_id="x1", amount_minor=5))  # a second x1

    small.run("+fct_payments")

    done = small.dbt("test", "--select", "stg_billing__payments")

    assert not done.ok
    failed = [name for name, status in done.statuses.items() if status == "fail"]
    assert any(name.startswith("tenant_unique_stg_billing__payments") for name in failed)
    stored = "select tenant_id, payment_id, rows_found from dbt_test_failures."
    table = next(name for name in failed if name.startswith("tenant_unique_stg_billing"))
    assert small.rows(stored + table) == [("t2", "x1", 2)]


def test_every_data_test_gives_rows_with_their_tenant(project: Any) -> None:
    for node in project.nodes.values():
        if node.resource_type == "test":
            assert node.config.store_failures, node.name
            assert node.schema == "dbt_test_failures", node.name


def test_every_mart_declares_its_grain_and_tests_it(project: Any) -> None:
    marts = {
        node.name: node
        for node in project.nodes.values()
        if node.resource_type == "model" and node.schema == "marts"
    }
    assert set(marts) == MARTS
    for name, mart in marts.items():
        grain = mart.config.meta["grain"]
        assert mart.description.startswith("One row per (tenant_id, "), name
        assert mart.config.contract.enforced, name
        assert mart.config.meta["publish"] is True, name
        assert mart.group, name
        assert next(iter(mart.columns)) == grain[0] == "tenant_id", name
        tested = [
            ["tenant_id", *node.test_metadata.kwargs["columns"]]
            for node in project.nodes.values()
            if node.resource_type == "test"
            and getattr(node, "attached_node", None) == mart.unique_id
            and node.test_metadata.name == "tenant_unique"
        ]
        assert tested == [grain], name


def test_every_mart_has_a_reader_with_an_owner(project: Any) -> None:
    read = {node.split(".")[-1] for e in project.exposures.values() for node in e.depends_on.nodes}
    assert read == MARTS
    assert all(exposure.owner.email for exposure in project.exposures.values())


def test_churn_features_has_just_the_columns_that_spark_declares(project: Any) -> None:
    types = {"string": "text", "date": "date", "bigint": "bigint", "double": "double precision"}
    model = project.nodes["model.tenant_analytics.churn_features"]
    told = {column.name: column.data_type for column in model.columns.values()}
    assert told == {column.name: types[column.type] for column in COLUMNS}
