"""A prepared warehouse with hand-made marts for two tenants that share every id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from analytics.settings import Settings
from analytics.stack.postgres import Postgres
from analytics.warehouse import bootstrap, connect, prepare
from analytics.warehouse.partitions import add_months

NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
DATABASE = "warehouse_gates"

# The columns that the gate reads; the real models are proven in tests/integration/dbt.
MARTS = """
create schema if not exists marts;
create table marts.fct_plays (tenant_id text, play_id text, listener_id text, track_id text,
    started_at timestamptz, listened_ms bigint);
create table marts.fct_sessions (tenant_id text, session_key text, listener_id text,
    started_at timestamptz, plays bigint, listened_seconds bigint);
create table marts.daily_listening (tenant_id text, listening_date date, plays bigint,
    skips bigint, listeners bigint, listened_seconds bigint);
create table marts.daily_track_listening (tenant_id text, listening_date date, track_id text,
    plays bigint, skips bigint, listeners bigint, listened_seconds bigint);
create table marts.daily_artist_listening (tenant_id text, listening_date date, artist_id text,
    plays bigint, skips bigint, listeners bigint, listened_seconds bigint);
create table marts.dim_tracks (tenant_id text, track_id text);
create table marts.dim_listeners (tenant_id text, listener_id text);
create table marts.fct_subscriptions (tenant_id text, subscription_key text, listener_id text,
    valid_from timestamptz);
create table marts.fct_payments (tenant_id text, payment_id text, listener_id text,
    amount_minor bigint, signed_amount_minor bigint, currency text, kind text, month_date date,
    paid_at timestamptz);
create table marts.monthly_revenue (tenant_id text, currency text, month_date date,
    charged_minor bigint, refunded_minor bigint, net_minor bigint);
create table marts.churn_labels (tenant_id text, listener_id text, as_of_date date,
    is_churned boolean);
create table marts.churn_features (tenant_id text, listener_id text, as_of_date date);
"""
ROWS = """
insert into raw.plays (tenant_id, play_id, listener_id, track_id, started_at, listened_ms)
    values (%(t)s, 'p1', 'l1', 's1', %(noon)s, 180000);
insert into marts.fct_plays values (%(t)s, 'p1', 'l1', 's1', %(noon)s, 180000);
insert into marts.fct_sessions values (%(t)s, 'k1', 'l1', %(noon)s, 1, 180);
insert into marts.daily_listening values (%(t)s, '2025-01-06', 1, 0, 1, 180);
insert into marts.daily_track_listening values (%(t)s, '2025-01-06', 's1', 1, 0, 1, 180);
insert into marts.daily_artist_listening values (%(t)s, '2025-01-06', 'a1', 1, 0, 1, 180);
insert into marts.dim_tracks values (%(t)s, 's1');
insert into marts.dim_listeners values (%(t)s, 'l1');
insert into marts.fct_subscriptions values (%(t)s, 'k1', 'l1', %(noon)s);
insert into marts.fct_payments values
    (%(t)s, 'x1', 'l1', 999, 999, 'EUR', 'charge', '2025-01-01', %(noon)s);
insert into marts.monthly_revenue values (%(t)s, 'EUR', '2025-01-01', 999, 0, 999);
insert into marts.churn_labels values (%(t)s, 'l1', '2025-01-06', false);
insert into marts.churn_features values (%(t)s, 'l1', '2025-01-06');
"""


@pytest.fixture
def warehouse(
    postgres: Postgres, make_settings: Callable[..., Settings], tmp_path: Path
) -> Iterator[Settings]:
    """Settings that lead to clean marts of `t1` and `t2`."""
    settings = make_settings()
    dsn = bootstrap(postgres.dsn(), settings, database=DATABASE)
    settings = make_settings(analytics_warehouse_dsn=dsn)
    prepare(settings)
    with connect(settings) as connection:
        add_months(connection, "plays", [NOON.date().replace(day=1)])
        connection.execute(MARTS)
        for statement in ROWS.strip().split(";\n"):
            for tenant_id in ("t1", "t2"):
                connection.execute(statement.rstrip(";").encode(), {"t": tenant_id, "noon": NOON})
    yield settings
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(DATABASE)))
