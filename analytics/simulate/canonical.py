"""A day's rows spelt out: codes become words, positions ids, milliseconds instants.

The frames hold the service's own full records, still without any system's
column names; `drops` and `operational` rename them, `eventsim` writes lines.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import cache

import numpy as np
import polars as pl

from analytics.simulate.lifecycle import EXPERIMENTS
from analytics.simulate.people import People
from analytics.simulate.profiles import Profile
from analytics.simulate.words import (
    ACQUISITION,
    CAMPAIGNS,
    CHANNELS,
    FAR_FUTURE,
    GENDERS,
    KINDS,
    NEGATIVE,
    NO_LISTENER,
    PAGES,
    PLANS,
    PLATFORMS,
    REASONS,
    SOURCES,
    TICKET_CATEGORIES,
)  # fmt: skip
from analytics.simulate.world import Day

YEAR_2099_MS = 4_071_000_000_000
EXPERIMENT_NAMES = tuple(name for name, _, _ in EXPERIMENTS)
VARIANTS = ("control", "treatment")


@cache
def _named(names: tuple[str, ...]) -> pl.Series:
    return pl.Series([None, *names], dtype=pl.String)


def words(codes: pl.Series | np.ndarray, names: tuple[str, ...]) -> pl.Series:
    """The name of each code; a negative code has none."""
    numbers = codes.to_numpy() if isinstance(codes, pl.Series) else codes
    return _named(names).gather(np.maximum(numbers.astype(np.int64) + 1, 0))


def spelt(
    arriving: Day, people: People, profile: Profile, start: date, tables: Collection[str]
) -> Day:
    """These tables of the day with `arrived` first; ids are whole numbers."""
    full = {name: SPELL[name](arriving[name]) for name in tables if name in SPELL}
    if "plays" in tables:
        full["plays"] = _plays(arriving["plays"], people, profile)
    if "listeners" in tables:
        full["listeners"] = _listeners(arriving["listeners"], people, profile)
    if "tracks" in tables:
        full["tracks"] = _tracks(arriving["tracks"], start)
    if "payments" in tables:
        full["payments"] = full["payments"].with_columns(currency=pl.lit(profile.currency))
    return full


def instant(column: str) -> pl.Expr:
    return pl.from_epoch(column, time_unit="ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def countries(profile: Profile) -> tuple[str, ...]:
    return tuple(m.country for m in profile.markets)


def _plays(rows: pl.DataFrame, people: People, profile: Profile) -> pl.DataFrame:
    market = people.market[rows["listener"].to_numpy()]
    damage = pl.col("damage")
    return rows.select(
        arrived=instant("arrived"),
        play_id="number",
        listener_id=pl.when(damage != NO_LISTENER).then(pl.col("listener") + 1),
        track_id=pl.col("track") + 1,
        started_at=pl.when(damage == FAR_FUTURE).then(YEAR_2099_MS).otherwise(pl.col("at")),
        listened_ms=pl.when(damage == NEGATIVE)
        .then(-pl.col("listened_ms"))
        .otherwise(pl.col("listened_ms")),
        source_of_play=words(rows["source"], SOURCES),
        platform=words(rows["platform"], PLATFORMS),
        country=words(market, countries(profile)),
        is_skipped="skipped",
        is_shuffle="shuffle",
        is_offline="offline",
        reason_end=words(rows["reason"], REASONS),
        track_ms="track_ms",
    ).with_columns(started_at=instant("started_at"))


def _app_events(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        event_id="number",
        listener_id=pl.col("listener") + 1,
        session_id="session",
        occurred_at=instant("at"),
        page=words(rows["page"], PAGES),
        properties=pl.when("refused")
        .then(pl.lit('{"reason": "payment_failed"}'))
        .otherwise(pl.lit("{}")),
    )


def _listeners(rows: pl.DataFrame, people: People, profile: Profile) -> pl.DataFrame:
    who = rows["listener"].to_numpy()
    return pl.DataFrame(
        {
            "arrived": rows["arrived"],
            "listener_id": who + 1,
            "signed_up_at": people.signed_up_ms[who],
            "country": words(people.market[who], countries(profile)),
            "gender": words(people.gender[who], GENDERS),
            "birth_year": pl.Series(people.birth_year[who]).replace(0, None),
            "acquisition_channel": words(people.acquisition[who], ACQUISITION),
            "updated_at": rows["at"],
        }
    ).with_columns(
        arrived=instant("arrived"),
        signed_up_at=instant("signed_up_at"),
        updated_at=instant("updated_at"),
    )


def _tracks(rows: pl.DataFrame, start: date) -> pl.DataFrame:
    released = pl.lit(start) + pl.duration(days=pl.col("released_day"))
    return rows.select(
        arrived=instant("arrived"),
        track_id="track_id",
        title="title",
        artist_id="artist_id",
        artist_name="artist_name",
        album="album",
        genre="genre",
        duration_ms="duration_ms",
        released_on=released.cast(pl.Date),
        updated_at=instant("arrived"),
    )


def _subscription_events(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        event_id="number",
        listener_id=pl.col("listener") + 1,
        occurred_at=instant("at"),
        kind=words(rows["kind"], KINDS),
        plan_from=words(rows["plan_from"], PLANS),
        plan_to=words(rows["plan_to"], PLANS),
    )


def _payments(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        payment_id="number",
        listener_id=pl.col("listener") + 1,
        paid_at=instant("at"),
        amount_minor="amount_minor",
        kind=pl.when("refund").then(pl.lit("refund")).otherwise(pl.lit("charge")),
        plan=words(rows["plan"], PLANS),
    )


def _touchpoints(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        touchpoint_id="number",
        listener_id=pl.col("listener") + 1,
        occurred_at=instant("at"),
        channel=words(rows["channel"], CHANNELS),
        campaign=words(rows["campaign"], CAMPAIGNS),
        cost_micros="cost_micros",
    )


def _exposures(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        exposure_id="number",
        listener_id=pl.col("listener") + 1,
        exposed_at=instant("at"),
        experiment=words(rows["experiment"], EXPERIMENT_NAMES),
        variant=words(rows["variant"], VARIANTS),
    )


def _tickets(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        ticket_id="number",
        listener_id=pl.col("listener") + 1,
        opened_at=instant("at"),
        category=words(rows["category"], TICKET_CATEGORIES),
        resolved_at=pl.when("resolved").then(instant("resolved_at")),
        satisfaction=pl.when("resolved").then(pl.col("satisfaction")),
        body="body",
    )


def _reviews(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        arrived=instant("arrived"),
        review_id="number",
        listener_id=pl.col("listener") + 1,
        track_id=pl.col("track") + 1,
        reviewed_at=instant("at"),
        stars="stars",
        body="body",
    )


SPELL = {
    "app_events": _app_events,
    "subscription_events": _subscription_events,
    "payments": _payments,
    "touchpoints": _touchpoints,
    "exposures": _exposures,
    "tickets": _tickets,
    "reviews": _reviews,
}
