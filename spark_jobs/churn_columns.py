"""The columns of the churn feature table: name, type, meaning. Declared once, here.

Free of Spark, so that learning and the warehouse read it without loading an
engine. The order is the table's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

WINDOWS = (7, 28, 90)  # days before as_of
LOOKBACK_DAYS = max(WINDOWS)
NEVER = LOOKBACK_DAYS + 1  # "days since" where nothing happened within the look-back
PAID_PLANS = ("premium", "family")


@dataclass(frozen=True)
class Feature:
    """One number a model may read. All are known strictly before `as_of_date`, 00:00 UTC."""

    name: str
    type: Literal["bigint", "double"]
    meaning: str
    nullable: bool = False  # null: not defined, e.g. a share of no plays
    lower: float | None = 0  # the least and the largest value it can have
    upper: float | None = None


@dataclass(frozen=True)
class Column:
    """A column that says whose and when, and is no model input."""

    name: str
    type: Literal["string", "date"]
    meaning: str


GRAIN = (
    Column("tenant_id", "string", "Whose listener; ids repeat across tenants."),
    Column("listener_id", "string", "The listener, unique within the tenant."),
    Column("as_of_date", "date", "The instant looked back from: 00:00 UTC of this day."),
)
CONTEXT = (Column("plan", "string", "Paid plan held at as_of: premium or family."),)


def _count(name: str, meaning: str, upper: int | None = None) -> Feature:
    return Feature(name, "bigint", meaning, upper=upper)


def _share(name: str, meaning: str, lower: int = 0) -> Feature:
    return Feature(name, "double", meaning, nullable=True, lower=lower, upper=1)


def _window(days: int) -> tuple[Feature, ...]:
    last = f"in the {days} days before"
    return (
        _count(f"plays_{days}d", f"Plays {last}."),
        _count(f"listened_seconds_{days}d", f"Whole seconds listened {last}."),
        _count(f"active_days_{days}d", f"UTC days with a play {last}.", upper=days),
        _count(f"sessions_{days}d", f"Sessions begun {last}; 30 minutes of silence end one."),
        _count(f"tracks_{days}d", f"Different tracks played {last}."),
        _count(f"artists_{days}d", f"Different artists played {last}, by the catalogue."),
        _share(f"skip_share_{days}d", f"Share of plays skipped {last}; null without plays."),
        _share(f"shuffle_share_{days}d", f"Share of plays on shuffle {last}; null without plays."),
        _share(f"offline_share_{days}d", f"Share of plays offline {last}; null without plays."),
    )


FEATURES: tuple[Feature, ...] = (
    # one day, so that a change of a single day shows
    _count("plays_1d", "Plays on the day before."),
    _share("skip_share_1d", "Share of plays skipped on the day before; null without plays."),
    *(feature for days in WINDOWS for feature in _window(days)),
    _count(
        "days_since_last_play",
        f"Days since the last day with a play; {NEVER} for longer ago.",
        upper=NEVER,
    ),
    _share(
        "plays_trend_28d",
        "(a - b) / (a + b), a: plays in the last 28 days, b: in the 28 before; null without plays.",
        lower=-1,
    ),
    _share(
        "listened_trend_28d", "The same of milliseconds listened; null without listening.", lower=-1
    ),
    _count("tenure_days", "Days since sign-up (or the first subscription event, if earlier)."),
    _count("is_family_plan", "1 on the family plan, 0 on premium.", upper=1),
    _count("days_on_plan", "Days since the last subscription event."),
    _count("upgrades", "Upgrades ever before."),
    _count("downgrades", "Downgrades ever before."),
    _count("cancellations", "Cancellations ever before; the listener came back since."),
    _count("charges_90d", "Charges in the 90 days before."),
    _count("refunds_90d", "Refunds in the 90 days before."),
    Feature(
        "paid_minor_90d",
        "bigint",
        "Charged less refunded in the 90 days before, minor units.",
        lower=None,  # a refund may come long after its charge
    ),
    _count(
        "days_since_last_charge",
        f"Days since the last charge; {NEVER} for longer ago.",
        upper=NEVER,
    ),
    _count("tickets_28d", "Support tickets opened in the 28 days before."),
    _count("tickets_90d", "Support tickets opened in the 90 days before."),
    _count("open_tickets", "Of those of 90 days, the ones not yet resolved at as_of."),
    _count("unhappy_tickets_90d", "Of those of 90 days, resolved before as_of and rated 1 or 2."),
)

_STEMS = ("plays", "listened_seconds", "active_days", "sessions", "tracks", "artists")
# What is never more than what: a shorter window than the longer one, what is counted among what.
WITHIN: tuple[tuple[str, str], ...] = (
    ("plays_1d", "plays_7d"),
    *((f"{stem}_7d", f"{stem}_28d") for stem in _STEMS),
    *((f"{stem}_28d", f"{stem}_90d") for stem in _STEMS),
    *((f"{stem}_{d}d", f"plays_{d}d") for d in WINDOWS for stem in _STEMS[2:]),
    ("tickets_28d", "tickets_90d"),
    ("open_tickets", "tickets_90d"),
    ("unhappy_tickets_90d", "tickets_90d"),
)

COLUMNS: tuple[Column | Feature, ...] = (*GRAIN, *CONTEXT, *FEATURES)

_POLARS: dict[str, type[pl.DataType]] = {
    "string": pl.String,
    "date": pl.Date,
    "bigint": pl.Int64,
    "double": pl.Float64,
}


def feature_names() -> list[str]:
    """What a model reads, in order."""
    return [feature.name for feature in FEATURES]


def polars_schema() -> dict[str, type[pl.DataType]]:
    """The table's schema for Polars and, through it, Arrow."""
    return {column.name: _POLARS[column.type] for column in COLUMNS}
