"""Small known rows of two tenants that share every id, published, and reports of them."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from analytics.interval import Interval
from analytics.report.engine import AnalyticsEngine
from analytics.report.model import Report
from analytics.settings import Settings
from analytics.warehouse import connect, publish_rows

DAYS = 7
BEFORE, START, END = date(2025, 5, 1), date(2025, 5, 8), date(2025, 5, 15)
SCHEMAS = {
    "fct_plays": {
        "tenant_id": pl.String, "play_id": pl.String, "listener_id": pl.String,
        "started_at": pl.Datetime("us", "UTC"), "listened_ms": pl.Int64,
        "is_skipped": pl.Boolean,
    },
    "daily_listening": {
        "tenant_id": pl.String, "listening_date": pl.Date, "plays": pl.Int64,
        "skips": pl.Int64, "listeners": pl.Int64, "listened_seconds": pl.Int64,
    },
    "fct_subscriptions": {
        "tenant_id": pl.String, "listener_id": pl.String, "plan": pl.String,
        "is_paid": pl.Boolean, "is_inferred": pl.Boolean,
        "valid_from": pl.Datetime("us", "UTC"), "valid_to": pl.Datetime("us", "UTC"),
    },
    "churn_predictions": {
        "tenant_id": pl.String, "listener_id": pl.String, "as_of_date": pl.Date,
        "churn_probability": pl.Float64, "reasons": pl.String,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Play:
    listener_id: str
    started_at: datetime
    listened_ms: int
    is_skipped: bool

    @property
    def day(self) -> date:
        return self.started_at.date()


@dataclass(frozen=True)
class Span:
    listener_id: str
    plan: str
    valid_from: datetime
    valid_to: datetime | None
    is_inferred: bool = False


@dataclass(frozen=True)
class Score:
    listener_id: str
    as_of_date: date
    churn_probability: float
    reasons: str | None


def at(day: date, **more: float) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(**more)


def plays_of(seed: int) -> list[Play]:
    """Three weeks of listening, with plays just inside and just outside each bound."""
    draw = random.Random(seed)
    found = [
        Play(
            f"l{draw.randrange(12)}",
            at(BEFORE, days=-3, seconds=draw.randrange(20 * 86_400)),
            draw.randrange(240_000),
            draw.random() < 0.3,
        )
        for _ in range(150 + 50 * seed)
    ]
    # Heard once, at a bound: by sessions l20 would belong to the day before.
    found.append(Play("l20", at(START, minutes=-2), 200_000, False))
    found += [
        Play("l20", at(START), 1999, False),
        Play("l21", at(START, microseconds=-1), 1999, True),
        Play("l22", at(END, microseconds=-1), 999, False),
        Play("l23", at(END), 5000, False),
        Play("l24", at(BEFORE), 7000, False),
    ]
    return found


def publish_plays(settings: Settings, tenant_id: str, plays: Sequence[Play]) -> None:
    """Plays and their days as the marts hold them."""
    rows = [
        {"tenant_id": tenant_id, "play_id": f"p{number}", **vars(play)}
        for number, play in enumerate(plays)
    ]
    _publish(settings, tenant_id, "fct_plays", rows)
    by_day = defaultdict(list)
    for play in plays:
        by_day[play.day].append(play)
    days = [
        {
            "tenant_id": tenant_id,
            "listening_date": day,
            "plays": len(heard),
            "skips": sum(play.is_skipped for play in heard),
            "listeners": len({play.listener_id for play in heard}),
            "listened_seconds": sum(play.listened_ms for play in heard) // 1000,
        }
        for day, heard in by_day.items()
    ]
    _publish(settings, tenant_id, "daily_listening", days)


def publish_spans(settings: Settings, tenant_id: str, spans: Sequence[Span]) -> None:
    rows = [
        {"tenant_id": tenant_id, "is_paid": span.plan != "free", **vars(span)} for span in spans
    ]
    _publish(settings, tenant_id, "fct_subscriptions", rows)


def publish_scores(settings: Settings, tenant_id: str, scores: Sequence[Score]) -> None:
    rows = [{"tenant_id": tenant_id, **vars(score)} for score in scores]
    _publish(settings, tenant_id, "churn_predictions", rows)


def _publish(settings: Settings, tenant_id: str, relation: str, rows: list[dict]) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMAS[relation])
    publish_rows(settings, tenant_id, relation, frame, {})


def note_snapshot(
    settings: Settings, tenant_id: str, number: int, first: date | None, end: date | None
) -> None:
    """A publication of these days; of all history without them."""
    window = Interval.of(str(first), str(end)) if end else None
    with connect(settings) as connection:
        connection.execute(
            "insert into serve.snapshots (tenant_id, snapshot_id, run_id, interval_from,"
            " interval_to, relations, lake_versions, gate)"
            " values (%s, %s, 'r', %s, %s, '{}', '{}', '{}')",
            [tenant_id, number, window and window.start, window and window.end],
        )


def report(settings: Settings, tenant_id: str, **asked) -> Report:
    async def made() -> Report:
        engine = AnalyticsEngine(tenant_id, settings)
        await engine.initialize()
        return await engine.generate_report(**{"ml_insights": True, "days": DAYS, **asked})

    return asyncio.run(made())
