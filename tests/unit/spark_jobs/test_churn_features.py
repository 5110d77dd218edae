"""The features as pure functions: point in time, by tenant, and as counted the long way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pyspark.sql import SparkSession

from analytics.settings import load_settings
from spark_jobs.churn_columns import COLUMNS, polars_schema
from spark_jobs.churn_features import churn_features
from spark_jobs.session import spark
from spark_jobs.storage import empty, spark_columns
from tests.builders import a_frame, a_row
from tests.unit.spark_jobs.histories import AS_OF, TABLES_READ, a_history
from tests.unit.spark_jobs.oracle import features_of

MONDAY = date(2025, 2, 10)
AT = datetime(2025, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYS = ["tenant_id", "listener_id", "as_of_date"]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The embedded engine, once for the module."""
    var = tmp_path_factory.mktemp("spark")
    with spark(load_settings({"ANALYTICS_VAR_DIR": str(var)}, dotenv=None)) as opened:
        yield opened


@pytest.fixture
def on_spark(session):
    """A canonical table of the rows given, as a Spark frame."""

    def make(table: str, *rows: dict[str, Any]):
        if not rows:
            return empty(session, spark_columns(table))
        return session.createDataFrame(a_frame(table, *rows).to_arrow())

    return make


@pytest.fixture
def computed(on_spark):
    def compute(tables: dict[str, list[dict[str, Any]]], as_of: list[date]) -> pl.DataFrame:
        inputs = {table: on_spark(table, *tables.get(table, [])) for table in TABLES_READ}
        features = churn_features(**inputs, as_of_dates=as_of)
        return pl.DataFrame(pl.from_arrow(features.toArrow())).sort(KEYS)

    return compute


def paying(tenant_id: str = "t1", plan: str = "premium", **changes: Any) -> dict[str, Any]:
    at = changes.pop("occurred_at", AT - timedelta(days=20))
    return a_row("subscription_events", tenant_id, occurred_at=at, plan_to=plan, **changes)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_features_equal_those_counted_the_long_way(computed, seed):
    history = a_history(seed)
    expected = pl.DataFrame(features_of(history, AS_OF), infer_schema_length=None)
    expected = expected.select(pl.col(n).cast(t) for n, t in polars_schema().items()).sort(KEYS)

    found = computed(history, AS_OF)

    assert found.height > 10
    assert found.columns == expected.columns
    for column in found.columns:
        differs = found.filter(~found[column].eq_missing(expected[column]))
        assert differs.is_empty(), (column, differs.select(*KEYS, column))


def test_columns_come_typed_and_in_the_declared_order(on_spark):
    inputs = {table: on_spark(table) for table in TABLES_READ}
    frame = churn_features(**inputs, as_of_dates=[MONDAY])
    assert frame.dtypes == [(column.name, column.type) for column in COLUMNS]


def test_tables_without_rows_give_no_features(computed):
    assert computed({}, [MONDAY]).is_empty()
    assert computed({"subscription_events": [paying()]}, []).is_empty()


def test_nothing_at_or_after_as_of_changes_a_feature(computed):
    history = a_history(7)
    before = computed(history, [MONDAY])
    later = [AT, AT + timedelta(microseconds=1), AT + HOUR, AT + timedelta(days=9)]
    for number, at in enumerate(later):
        for tenant_id in ("t1", "t2"):
            for listener_id in ("l0", "l1", "l2"):
                new = {"listener_id": listener_id}
                for table, changes in {
                    "plays": {"play_id": f"z{number}", "started_at": at},
                    "payments": {"payment_id": f"z{number}", "paid_at": at},
                    "tickets": {"ticket_id": f"z{number}", "opened_at": at},
                    "subscription_events": {
                        "event_id": f"z{number}", "occurred_at": at, "kind": "cancel",
                        "plan_to": None,
                    },
                }.items():  # fmt: skip
                    history[table].append(a_row(table, tenant_id, **new, **changes))

    assert computed(history, [MONDAY]).equals(before)
    assert not before.is_empty()


def test_a_ticket_resolved_after_as_of_is_still_open_and_unrated(computed):
    ticket = a_row(
        "tickets", opened_at=AT - 5 * HOUR, resolved_at=AT, satisfaction=1, listener_id="l1"
    )
    row = computed({"subscription_events": [paying()], "tickets": [ticket]}, [MONDAY]).row(
        0, named=True
    )
    assert (row["open_tickets"], row["unhappy_tickets_90d"]) == (1, 0)


def test_the_last_microsecond_before_as_of_counts(computed):
    play = a_row("plays", started_at=AT - timedelta(microseconds=1))
    row = computed({"subscription_events": [paying()], "plays": [play]}, [MONDAY]).row(
        0, named=True
    )
    assert (row["plays_1d"], row["days_since_last_play"]) == (1, 1)


def test_two_tenants_sharing_ids_never_mix(computed):
    history = a_history(11)
    both = computed(history, AS_OF)
    for tenant_id in ("t1", "t2"):
        alone = {t: [r for r in rows if r["tenant_id"] == tenant_id] for t, rows in history.items()}
        assert computed(alone, AS_OF).equals(both.filter(pl.col("tenant_id") == tenant_id))
    assert (
        not both.filter(pl.col("tenant_id") == "t1")
        .drop("tenant_id")
        .equals(both.filter(pl.col("tenant_id") == "t2").drop("tenant_id"))
    )


def test_artists_come_from_the_tenants_own_catalogue(computed):
    tables = {
        "subscription_events": [paying("t1"), paying("t2")],
        "plays": [
            a_row("plays", tenant, play_id=track, track_id=track, started_at=AT - HOUR)
            for tenant in ("t1", "t2")
            for track in ("s1", "s2")
        ],
        "tracks": [
            a_row("tracks", "t1", track_id="s1", artist_id="a1"),
            a_row("tracks", "t1", track_id="s2", artist_id="a1"),
            a_row("tracks", "t2", track_id="s1", artist_id="a1"),
            a_row("tracks", "t2", track_id="s2", artist_id="a2"),
        ],
    }
    assert computed(tables, [MONDAY])["artists_7d"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "is_in"),
    [
        ({"plan": "family"}, True),
        ({"plan": "free"}, False),
        ({"plan": None, "kind": "cancel"}, False),
        ({"plan": "premium", "kind": "cancel"}, False),
        ({"occurred_at": AT}, False),
        ({"occurred_at": AT - timedelta(microseconds=1)}, True),
    ],
)
def test_only_listeners_on_a_paid_plan_at_as_of_have_features(computed, changes, is_in):
    assert computed({"subscription_events": [paying(**changes)]}, [MONDAY]).height == is_in


def test_a_share_of_no_plays_is_null_and_a_count_is_zero(computed):
    row = computed({"subscription_events": [paying()]}, [MONDAY]).row(0, named=True)
    assert row["plays_28d"] == 0
    assert row["skip_share_28d"] is None
    assert row["plays_trend_28d"] is None
    assert (row["days_since_last_play"], row["tickets_90d"], row["tenure_days"]) == (91, 0, 20)


def test_silence_of_more_than_thirty_minutes_opens_a_session(computed):
    first = AT - 10 * HOUR
    ends = first + timedelta(milliseconds=180_000)
    plays = [
        a_row("plays", play_id="p1", started_at=first, listened_ms=180_000),
        a_row("plays", play_id="p2", started_at=ends + timedelta(minutes=30), listened_ms=0),
        a_row("plays", play_id="p3", started_at=ends + timedelta(minutes=60, milliseconds=1)),
    ]
    found = computed({"subscription_events": [paying()], "plays": plays}, [MONDAY])
    assert found["sessions_7d"].to_list() == [2]


def test_a_play_of_unknown_length_is_a_play_and_ends_where_it_begins(computed):
    first = AT - 10 * HOUR
    plays = [
        a_row("plays", tenant, play_id=f"p{n}", started_at=first + timedelta(minutes=minutes),
              listened_ms=180_000 if tenant == "t2" else None)
        for tenant in ("t1", "t2")
        for n, minutes in enumerate((0, 30, 61))
    ]  # fmt: skip
    events = [paying(), {**paying(), "tenant_id": "t2"}]

    found = computed({"subscription_events": events, "plays": plays}, [MONDAY]).sort("tenant_id")

    assert found.select("plays_7d", "sessions_7d", "listened_seconds_7d").rows() == [
        (3, 2, 0),  # 31 minutes after a begin
        (3, 1, 540),  # 28 minutes after an end
    ]
    assert found["listened_trend_28d"].to_list() == [None, 1.0]
