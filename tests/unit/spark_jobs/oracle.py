"""The churn features counted the long way: one point at a time, from plain rows.

Shares no code with spark_jobs; slow and easy to check by eye.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

Row = dict[str, Any]
DAY = timedelta(days=1)


def features_of(tables: dict[str, list[Row]], as_of_dates: list[date]) -> list[Row]:
    people = sorted({(e["tenant_id"], e["listener_id"]) for e in tables["subscription_events"]})
    found = []
    for tenant_id, listener_id in people:
        own = {
            table: [r for r in rows if r["tenant_id"] == tenant_id]
            for table, rows in tables.items()
        }
        mine = {
            table: [r for r in rows if r.get("listener_id", listener_id) == listener_id]
            for table, rows in own.items()
        }
        for day in sorted(as_of_dates):
            row = _point(mine, datetime(day.year, day.month, day.day, tzinfo=UTC))
            if row:
                key = {"tenant_id": tenant_id, "listener_id": listener_id, "as_of_date": day}
                found.append(key | row)
    return found


def _point(mine: dict[str, list[Row]], as_of: datetime) -> Row | None:
    events = [e for e in mine["subscription_events"] if e["occurred_at"] < as_of]
    events.sort(key=lambda e: (e["occurred_at"], e["event_id"]))
    last = events[-1] if events else None
    if last is None or last["kind"] == "cancel" or last["plan_to"] not in ("premium", "family"):
        return None
    starts = [events[0]["occurred_at"].date()]
    starts += [row["signed_up_at"].date() for row in mine["listeners"] if row["signed_up_at"]]
    row = {
        "plan": last["plan_to"],
        "is_family_plan": int(last["plan_to"] == "family"),
        "tenure_days": (as_of.date() - min(starts)).days,
        "days_on_plan": (as_of.date() - last["occurred_at"].date()).days,
        "upgrades": sum(e["kind"] == "upgrade" for e in events),
        "downgrades": sum(e["kind"] == "downgrade" for e in events),
        "cancellations": sum(e["kind"] == "cancel" for e in events),
    }
    return row | _listening(mine, as_of) | _money(mine, as_of) | _care(mine, as_of)


def _between(rows: list[Row], time: str, as_of: datetime, days: int) -> list[Row]:
    return [r for r in rows if as_of - days * DAY <= r[time] < as_of]


def _listening(mine: dict[str, list[Row]], as_of: datetime) -> Row:
    every = sorted(mine["plays"], key=lambda p: (p["started_at"], p["play_id"]))
    begins = set()
    for before, play in zip([None, *every], every, strict=False):
        if before is None or (play["started_at"] - before["started_at"]) > timedelta(
            milliseconds=before["listened_ms"] or 0
        ) + timedelta(minutes=30):
            begins.add(play["play_id"])
    artist = {t["track_id"]: t["artist_id"] for t in mine["tracks"] if t["artist_id"]}
    row: Row = {}
    for days in (1, 7, 28, 90):
        plays = _between(every, "started_at", as_of, days)
        row |= {
            f"plays_{days}d": len(plays),
            f"listened_seconds_{days}d": sum(p["listened_ms"] or 0 for p in plays) // 1000,
            f"active_days_{days}d": len({p["started_at"].date() for p in plays}),
            f"sessions_{days}d": sum(p["play_id"] in begins for p in plays),
            f"tracks_{days}d": len({p["track_id"] for p in plays}),
            f"artists_{days}d": len(
                {artist[p["track_id"]] for p in plays if p["track_id"] in artist}
            ),
            f"skip_share_{days}d": _ratio(sum(bool(p["is_skipped"]) for p in plays), len(plays)),
            f"shuffle_share_{days}d": _ratio(sum(bool(p["is_shuffle"]) for p in plays), len(plays)),
            f"offline_share_{days}d": _ratio(sum(bool(p["is_offline"]) for p in plays), len(plays)),
        }
    seen = _between(every, "started_at", as_of, 90)
    recent = _between(every, "started_at", as_of, 28)
    before_that = _between(every, "started_at", as_of - 28 * DAY, 28)
    listened = [sum(p["listened_ms"] or 0 for p in some) for some in (recent, before_that)]
    return row | {
        "days_since_last_play": (
            (as_of.date() - seen[-1]["started_at"].date()).days if seen else 91
        ),
        "plays_trend_28d": _ratio(len(recent) - len(before_that), len(recent) + len(before_that)),
        "listened_trend_28d": _ratio(listened[0] - listened[1], listened[0] + listened[1]),
    }


def _money(mine: dict[str, list[Row]], as_of: datetime) -> Row:
    payments = _between(mine["payments"], "paid_at", as_of, 90)
    charges = [p for p in payments if p["kind"] == "charge"]
    refunds = [p for p in payments if p["kind"] == "refund"]
    return {
        "charges_90d": len(charges),
        "refunds_90d": len(refunds),
        "paid_minor_90d": sum(p["amount_minor"] for p in charges)
        - sum(p["amount_minor"] for p in refunds),
        "days_since_last_charge": min(
            ((as_of.date() - p["paid_at"].date()).days for p in charges), default=91
        ),
    }


def _care(mine: dict[str, list[Row]], as_of: datetime) -> Row:
    tickets = _between(mine["tickets"], "opened_at", as_of, 90)
    resolved = [t for t in tickets if t["resolved_at"] and t["resolved_at"] < as_of]
    return {
        "tickets_28d": len(_between(mine["tickets"], "opened_at", as_of, 28)),
        "tickets_90d": len(tickets),
        "open_tickets": len(tickets) - len(resolved),
        "unhappy_tickets_90d": sum(t["satisfaction"] in (1, 2) for t in resolved),
    }


def _ratio(part: int, whole: int) -> float | None:
    """Six digits, halves up."""
    if whole == 0:
        return None
    millionths = Decimal(part) * 1_000_000 / Decimal(whole) + Decimal("0.5")
    return float(millionths.to_integral_value(rounding=ROUND_FLOOR) / 1_000_000)
