"""The metrics a report can hold: each reads `serve` as the tenant and returns a section.

A metric takes a `Reader` (SQL in, Polars out, already under the tenant's role)
and a `Period`; it never sees another tenant's rows because the role cannot.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from analytics.report.model import Figure, Point, Section

Reader = Callable[..., pl.DataFrame]


@dataclass(frozen=True)
class Period:
    """[start, end) in UTC days, and the period of the same length before it."""

    start: date
    end: date

    @property
    def previous(self) -> Period:
        return Period(self.start - (self.end - self.start), self.start)

    @classmethod
    def ending(cls, end: date, days: int) -> Period:
        return cls(end - timedelta(days=days), end)


def engagement(read: Reader, period: Period) -> Section:
    """How much is listened, by how many."""
    figure = _figures(_listening, read, period)
    daily = read(
        "select listening_date as day, listeners, plays from serve.daily_listening "
        "where listening_date >= %(start)s and listening_date < %(end)s order by 1",
        {"start": period.previous.start, "end": period.end},
    )

    return Section(
        metric="engagement",
        title="Engagement",
        figures=(
            figure("active_listeners", "listeners with at least one play", "count"),
            figure("daily_listeners", "listeners on an average day", "count"),
            figure("stickiness", "average day's listeners of all active ones", "share"),
            figure("plays", "plays started", "count"),
            figure("listened_hours", "time listened", "hours"),
            figure("plays_per_listener", "plays of an active listener", "per listener"),
            figure("skip_share", "plays skipped", "share", "down"),
        ),
        series={
            "listeners": _points(daily, "listeners"),
            "plays": _points(daily, "plays"),
        },
    )


def _listening(read: Reader, period: Period) -> dict[str, float | None]:
    bounds = {"start": period.start, "end": period.end}
    days = (period.end - period.start).days
    totals = read(
        "select coalesce(sum(plays), 0)::float8 plays, coalesce(sum(skips), 0)::float8 skips,"
        " coalesce(sum(listened_seconds), 0)::float8 / 3600 listened_hours,"
        " coalesce(sum(listeners), 0)::float8 listener_days"
        " from serve.daily_listening"
        " where listening_date >= %(start)s and listening_date < %(end)s",
        bounds,
    ).row(0, named=True)
    active = read(  # not by sessions: one that crosses midnight belongs to its first day alone
        "select count(distinct listener_id)::float8 n from serve.fct_plays"
        " where started_at >= %(start)s::timestamp at time zone 'UTC'"
        " and started_at < %(end)s::timestamp at time zone 'UTC'",
        bounds,
    ).item()
    daily = totals["listener_days"] / days
    return {
        "active_listeners": active,
        "daily_listeners": daily,
        "stickiness": _ratio(daily, active),
        "plays": totals["plays"],
        "listened_hours": totals["listened_hours"],
        "plays_per_listener": _ratio(totals["plays"], active),
        "skip_share": _ratio(totals["skips"], totals["plays"]),
    }


def conversion(read: Reader, period: Period) -> Section:
    """How many free listeners became paying ones.

    A plan held just before an instant counts as held then, so that whoever
    begins to pay as the period opens was free in it. Spans inferred from their
    own end are left out: they are known only of those who left the plan.
    """
    figure = _figures(_conversion, read, period)
    free, converted = (
        figure("free_listeners", "on the free plan at some time", "count", "neither"),
        figure("converted", "of those, began to pay", "count"),
    )
    return Section(
        metric="conversion",
        title="Conversion",
        figures=(
            free,
            converted,
            figure("conversion_rate", "converted of free listeners", "share"),
            figure("paying_listeners", "paying at the end", "count"),
        ),
        bars={
            "From free to paid": {
                "free listeners": free.value or 0,
                "converted": converted.value or 0,
            }
        },
    )


def _conversion(read: Reader, period: Period) -> dict[str, float | None]:
    row = read(
        """
        with free as (
            select distinct listener_id from serve.fct_subscriptions
            where not is_paid and not is_inferred
              and valid_from < %(end)s::timestamp at time zone 'UTC'
              and coalesce(valid_to, 'infinity') >= %(start)s::timestamp at time zone 'UTC'
        ), began as (
            select distinct paid.listener_id
            from serve.fct_subscriptions as paid
            inner join serve.fct_subscriptions as before
                on paid.tenant_id = before.tenant_id
                and paid.listener_id = before.listener_id
                and paid.valid_from = before.valid_to
                and not before.is_paid
                and not before.is_inferred
            where paid.is_paid
              and paid.valid_from >= %(start)s::timestamp at time zone 'UTC'
              and paid.valid_from < %(end)s::timestamp at time zone 'UTC'
        )
        select
            (select count(*) from free)::float8 as free_listeners,
            (select count(*) from began)::float8 as converted,
            (
                select count(distinct listener_id) from serve.fct_subscriptions
                where is_paid and not is_inferred
                  and valid_from < %(end)s::timestamp at time zone 'UTC'
                  and coalesce(valid_to, 'infinity') >= %(end)s::timestamp at time zone 'UTC'
            )::float8 as paying_listeners
        """,
        {"start": period.start, "end": period.end},
    ).row(0, named=True)
    return {**row, "conversion_rate": _ratio(row["converted"], row["free_listeners"])}


def churn_risk(read: Reader, period: Period) -> Section:
    """How many paying listeners the champion expects to leave within its horizon."""
    now, before = (_predictions(read, p.end) for p in (period, period.previous))
    count, expected, mean = _risk(now)
    count_before, expected_before, mean_before = _risk(before)
    return Section(
        metric="churn_risk",
        title="Churn risk",
        figures=(
            Figure(name="scored_listeners", meaning="paying listeners with a score", unit="count",
                   value=count, previous=count_before, good="neither"),
            Figure(name="expected_churners", meaning="sum of their probabilities", unit="count",
                   value=expected, previous=expected_before, good="down"),
            Figure(name="mean_risk", meaning="mean probability", unit="share",
                   value=mean, previous=mean_before, good="down"),
        ),
        bars={"Listeners by risk": _histogram(now)} if now.height else {},
    )  # fmt: skip


def _predictions(read: Reader, until: date) -> pl.DataFrame:
    """The latest scores not after `until`, riskiest first; empty when nothing was scored yet."""
    if not _exists(read, "churn_predictions"):
        return pl.DataFrame(schema={"churn_probability": pl.Float64, "reasons": pl.String})
    return read(
        "select churn_probability, reasons::text as reasons from serve.churn_predictions"
        " where as_of_date = (select max(as_of_date) from serve.churn_predictions"
        " where as_of_date <= %(until)s)"
        " order by churn_probability desc, listener_id",
        {"until": until},
    )


def _risk(scores: pl.DataFrame) -> tuple[float | None, float | None, float | None]:
    if scores.is_empty():
        return None, None, None
    risk = scores["churn_probability"]
    return float(scores.height), float(risk.sum()), float(risk.mean())  # type: ignore[arg-type]


def _histogram(scores: pl.DataFrame) -> dict[str, float]:
    edges = [0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0001]
    risk = scores["churn_probability"]
    return {
        f"{low:.0%} to {min(high, 1):.0%}": float(((risk >= low) & (risk < high)).sum())
        for low, high in itertools.pairwise(edges)
    }


def top_reasons(read: Reader, until: date, most: int = 6) -> dict[str, int]:
    """The plain-language reasons given most often for the riskiest tenth."""
    scores = _predictions(read, until)
    if scores.is_empty():
        return {}
    found: Counter[str] = Counter()
    for reasons in scores.head(max(1, scores.height // 10))["reasons"]:
        found.update(json.loads(reasons or "[]"))
    return dict(sorted(found.items(), key=lambda it: (-it[1], it[0]))[:most])


METRICS: dict[str, Callable[[Reader, Period], Section]] = {
    "engagement": engagement,
    "conversion": conversion,
    "churn_risk": churn_risk,
}


def _figures(
    compute: Callable[[Reader, Period], dict[str, float | None]], read: Reader, period: Period
) -> Callable[..., Figure]:
    """Makes figures by name from what was computed of the period and of the one before."""
    now, before = compute(read, period), compute(read, period.previous)

    def figure(name: str, meaning: str, unit: Any, good: Any = "up") -> Figure:
        return Figure(
            name=name, meaning=meaning, unit=unit, value=now[name], previous=before[name], good=good
        )

    return figure


def _points(frame: pl.DataFrame, column: str) -> tuple[Point, ...]:
    return tuple(Point(day=r["day"], value=float(r[column])) for r in frame.iter_rows(named=True))


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _exists(read: Reader, relation: str) -> bool:
    return bool(
        read("select to_regclass(%(name)s) is not null", {"name": f"serve.{relation}"}).item()
    )
