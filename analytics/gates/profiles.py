"""What the warehouse says about a tenant's marts: profiles by day, and totals from both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from psycopg import sql

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.warehouse import read

if TYPE_CHECKING:
    from expectations.marts import Mart

PROFILE = sql.SQL(
    "select %(tenant_id)s::text as tenant_id, {day} as day, count(*) as rows,"
    " count(distinct {key}) as keys {measures}"
    " from {relation} where tenant_id = %(tenant_id)s and {window} group by 2"
)
# Totals of one day from an origin and from what was made of it; a day that one side lacks is 0.
TOTALS = """
with expected as (
    select (started_at at time zone 'UTC')::date as day, count(*) as value from {origin}
    where tenant_id = %(tenant_id)s and started_at >= %(start)s and started_at < %(end)s group by 1
), actual as (
    select {day} as day, {total} as value from {mart}
    where tenant_id = %(tenant_id)s and {day} >= %(first)s and {day} <= %(last)s group by 1
)
select %(tenant_id)s::text as tenant_id, %(check)s::text as check, day::text as day,
    coalesce(expected.value, 0)::bigint as expected, coalesce(actual.value, 0)::bigint as actual
from expected full join actual using (day)
"""
REVENUE = """
with expected as (
    select month_date, currency, sum(signed_amount_minor) as value from marts.fct_payments
    where tenant_id = %(tenant_id)s group by 1, 2
), actual as (
    select month_date, currency, sum(net_minor) as value from marts.monthly_revenue
    where tenant_id = %(tenant_id)s group by 1, 2
)
select %(tenant_id)s::text as tenant_id, 'monthly_revenue against fct_payments' as check,
    month_date::text || ' ' || currency as day,
    coalesce(expected.value, 0)::bigint as expected, coalesce(actual.value, 0)::bigint as actual
from expected full join actual using (month_date, currency)
"""
_STARTED = "(started_at at time zone 'UTC')::date"
# check, origin, mart, the mart's day, the mart's total
DAILY = (
    ("fct_plays against raw", ("raw", "plays"), "fct_plays", _STARTED, "count(*)"),
    ("daily_listening against fct_plays", ("marts", "fct_plays"), "daily_listening",
     "listening_date", "sum(plays)"),
    ("daily_track_listening against fct_plays", ("marts", "fct_plays"), "daily_track_listening",
     "listening_date", "sum(plays)"),
    ("daily_artist_listening against fct_plays", ("marts", "fct_plays"), "daily_artist_listening",
     "listening_date", "sum(plays)"),
)  # fmt: skip


def profile(settings: Settings, tenant_id: str, interval: Interval, mart: Mart) -> pl.DataFrame:
    """One row per UTC day of the mart, or one row in all; none for an empty mart."""
    from expectations.marts import required_of

    measures = sql.SQL("").join(
        [
            *(
                sql.SQL(", count(*) filter (where {} is null) as {}").format(
                    sql.Identifier(c), sql.Identifier(f"{c}_missing")
                )
                for c in required_of(mart)
            ),
            *(
                sql.SQL(", min({})::bigint as {}").format(
                    sql.Identifier(c), sql.Identifier(f"{c}_least")
                )
                for c in mart.not_negative
            ),
        ]
    )
    key = sql.SQL(", ").join([sql.Identifier(c) for c in mart.grain])
    query = PROFILE.format(
        day=_day(mart.time),
        key=sql.SQL("({})").format(key) if len(mart.grain) > 1 else key,
        measures=measures,
        relation=sql.Identifier("marts", mart.name),
        window=_window(mart.time),
    )
    return read(settings, query.as_string(None), _parameters(tenant_id, interval))


def totals(settings: Settings, tenant_id: str, interval: Interval) -> pl.DataFrame:
    """What two relations say about the same days: check, day, expected, actual."""
    parameters = _parameters(tenant_id, interval)
    frames = [read(settings, REVENUE, parameters)]
    for check, origin, mart, day, total in DAILY:
        query = sql.SQL(TOTALS).format(
            origin=sql.Identifier(*origin),
            mart=sql.Identifier("marts", mart),
            day=sql.SQL(day),
            total=sql.SQL(total),
        )
        frames.append(read(settings, query.as_string(None), {**parameters, "check": check}))
    return pl.concat(frames, how="vertical_relaxed")


def _day(time: str | None) -> sql.Composable:
    if time is None:
        return sql.SQL("null::text")
    if time.endswith("_date"):
        return sql.SQL("{}::text").format(sql.Identifier(time))
    return sql.SQL("({} at time zone 'UTC')::date::text").format(sql.Identifier(time))


def _window(time: str | None) -> sql.Composable:
    if time is None:
        return sql.SQL("true")
    if time.endswith("_date"):
        return sql.SQL("{0} >= %(first)s and {0} <= %(last)s").format(sql.Identifier(time))
    return sql.SQL("{0} >= %(start)s and {0} < %(end)s").format(sql.Identifier(time))


def _parameters(tenant_id: str, interval: Interval) -> dict[str, object]:
    days = interval.days()  # whole days: a day cut in half would never reconcile
    return {
        "tenant_id": tenant_id,
        "start": Interval.day(days[0]).start,
        "end": Interval.day(days[-1]).end,
        "first": days[0],
        "last": days[-1],
    }
