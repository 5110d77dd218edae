"""A day's rows spelt out: codes become words, positions ids, milliseconds instants.

The columns are the service's own full records, still without any system's
names; `drops` and `operational` make frames of those they hand over, under
names of their own. `eventsim` writes lines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import polars as pl

from analytics.simulate.lifecycle import EXPERIMENTS
from analytics.simulate.profiles import Profile
from analytics.simulate.rows import Rows
from analytics.simulate.spelling import instants, numbers, words
from analytics.simulate.words import (
    ACQUISITION,
    ARTICLES,
    CAMPAIGNS,
    CHANNELS,
    CLIENTS,
    ENDPOINTS,
    FAR_FUTURE,
    GENDERS,
    GENRES,
    KINDS,
    NEGATIVE,
    NO_LISTENER,
    ORDER_STATUSES,
    PAGES,
    PAID,
    PLANS,
    PLATFORMS,
    PURPOSES,
    REASONS,
    REVIEW_BODIES,
    REVIEW_TEXTS,
    SOURCES,
    TICKET_BODIES,
    TICKET_CATEGORIES,
    TICKET_TEXTS,
)  # fmt: skip
from analytics.simulate.world import Day, World

YEAR_2099_MS = 4_071_000_000_000
EXPERIMENT_NAMES = tuple(name for name, _, _ in EXPERIMENTS)
VARIANTS = ("control", "treatment")
PROPERTIES = ("{}", '{"reason": "payment_failed"}')
DIRECTIONS = ("charge", "refund")
Columns = dict[str, pl.Series]
Spelt = dict[str, Columns]


def spelt(arriving: Day, world: World, tables: Collection[str]) -> Spelt:
    """These tables of the day, each with `arrived`; ids are whole numbers."""
    full = {}
    for table in tables:
        rows = arriving[table]
        full[table] = {"arrived": instants(rows["arrived"]), **SPELL[table](rows, world)}
    return full


def countries(profile: Profile) -> tuple[str, ...]:
    return tuple(m.country for m in profile.markets)


def _plays(rows: Rows, world: World) -> Columns:
    damage, listened = rows["damage"], rows["listened_ms"]
    market = world.people.market[rows["listener"]]
    return {
        "play_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1, damage == NO_LISTENER),
        "track_id": numbers(rows["track"] + 1),
        "started_at": instants(np.where(damage == FAR_FUTURE, YEAR_2099_MS, rows["at"])),
        "listened_ms": numbers(np.where(damage == NEGATIVE, -listened, listened)),
        "source_of_play": words(rows["source"], SOURCES),
        "platform": words(rows["platform"], PLATFORMS),
        "country": words(market, countries(world.profile)),
        "is_skipped": pl.Series(rows["skipped"]),
        "is_shuffle": pl.Series(rows["shuffle"]),
        "is_offline": pl.Series(rows["offline"]),
        "reason_end": words(rows["reason"], REASONS),
        "track_ms": numbers(rows["track_ms"]),
    }


def _app_events(rows: Rows, world: World) -> Columns:
    return {
        "event_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "session_id": numbers(rows["session"]),
        "occurred_at": instants(rows["at"]),
        "page": words(rows["page"], PAGES),
        "properties": words(rows["refused"], PROPERTIES),
    }


def _listeners(rows: Rows, world: World) -> Columns:
    who, people = rows["listener"], world.people
    born = people.birth_year[who]
    return {
        "listener_id": numbers(who + 1),
        "signed_up_at": instants(people.signed_up_ms[who]),
        "country": words(people.market[who], countries(world.profile)),
        "gender": words(people.gender[who], GENDERS),
        "birth_year": numbers(born, born == 0),
        "acquisition_channel": words(people.acquisition[who], ACQUISITION),
        "updated_at": instants(rows["at"]),
    }


def _tracks(rows: Rows, world: World) -> Columns:
    track, catalogue = rows["track"], world.catalogue
    artist = catalogue.artist[track]
    names = [catalogue.artist_name(a) for a in artist]
    albums = [f"{name} {1 + place % 3}" for place, name in enumerate(names)]
    released = np.datetime64(world.config.start) + catalogue.released[track]
    return {
        "track_id": numbers(track + 1),
        "title": pl.Series([catalogue.title[t] for t in track], dtype=pl.String),
        "artist_id": numbers(artist + 1),
        "artist_name": pl.Series(names, dtype=pl.String),
        "album": pl.Series(albums, dtype=pl.String),
        "genre": words(catalogue.genre[track], GENRES),
        "duration_ms": numbers(catalogue.duration_ms[track]),
        "released_on": pl.Series(released),
        "updated_at": instants(rows["arrived"]),
    }


def _subscription_events(rows: Rows, world: World) -> Columns:
    return {
        "event_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "occurred_at": instants(rows["at"]),
        "kind": words(rows["kind"], KINDS),
        "plan_from": words(rows["plan_from"], PLANS),
        "plan_to": words(rows["plan_to"], PLANS),
    }


def _payments(rows: Rows, world: World) -> Columns:
    return {
        "payment_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "paid_at": instants(rows["at"]),
        "amount_minor": numbers(rows["amount_minor"]),
        "currency": words(np.zeros(len(rows)), (world.profile.currency,)),
        "kind": words(rows["refund"], DIRECTIONS),
        "plan": words(rows["plan"], PLANS),
    }


def _touchpoints(rows: Rows, world: World) -> Columns:
    return {
        "touchpoint_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "occurred_at": instants(rows["at"]),
        "channel": words(rows["channel"], CHANNELS),
        "campaign": words(rows["campaign"], CAMPAIGNS),
        "cost_micros": numbers(rows["cost_micros"]),
    }


def _exposures(rows: Rows, world: World) -> Columns:
    return {
        "exposure_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "exposed_at": instants(rows["at"]),
        "experiment": words(rows["experiment"], EXPERIMENT_NAMES),
        "variant": words(rows["variant"], VARIANTS),
    }


def _tickets(rows: Rows, world: World) -> Columns:
    category, is_open = rows["category"], ~rows["resolved"]
    return {
        "ticket_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "opened_at": instants(rows["at"]),
        "category": words(category, TICKET_CATEGORIES),
        "resolved_at": instants(rows["resolved_at"], is_open),
        "satisfaction": numbers(rows["satisfaction"], is_open),
        "body": words(category * TICKET_TEXTS + rows["text"], TICKET_BODIES),
    }


def _reviews(rows: Rows, world: World) -> Columns:
    return {
        "review_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "track_id": numbers(rows["track"] + 1),
        "reviewed_at": instants(rows["at"]),
        "stars": numbers(rows["stars"]),
        "body": words((rows["stars"] - 1) * REVIEW_TEXTS + rows["text"], REVIEW_BODIES),
    }


def _orders(rows: Rows, world: World) -> Columns:
    return {
        "order_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "ordered_at": instants(rows["at"]),
        "amount_minor": numbers(rows["amount_minor"]),
        "currency": words(np.zeros(len(rows)), (world.profile.currency,)),
        "status": words(np.where(rows["resolved"], rows["fate"], PAID), ORDER_STATUSES),
    }


def _order_lines(rows: Rows, world: World) -> Columns:
    return {
        "line_id": numbers(rows["number"]),
        "order_id": numbers(rows["order"]),
        "ordered_at": instants(rows["at"]),
        "product_id": words(rows["article"], ARTICLES),
        "quantity": numbers(rows["quantity"]),
        "amount_minor": numbers(rows["amount_minor"]),
        "currency": words(np.zeros(len(rows)), (world.profile.currency,)),
    }


def _api_usage(rows: Rows, world: World) -> Columns:
    return {
        "usage_id": numbers(rows["number"]),
        "client_id": words(rows["client"], CLIENTS),
        "endpoint": words(rows["endpoint"], ENDPOINTS),
        "occurred_at": instants(rows["at"]),
        "calls": numbers(rows["calls"]),
        "errors": numbers(rows["errors"]),
    }


def _consents(rows: Rows, world: World) -> Columns:
    return {
        "consent_id": numbers(rows["number"]),
        "listener_id": numbers(rows["listener"] + 1),
        "occurred_at": instants(rows["at"]),
        "purpose": words(rows["purpose"], PURPOSES),
        "is_given": pl.Series(rows["given"]),
    }


SPELL: dict[str, Callable[[Rows, World], Columns]] = {
    "plays": _plays,
    "app_events": _app_events,
    "listeners": _listeners,
    "tracks": _tracks,
    "subscription_events": _subscription_events,
    "payments": _payments,
    "touchpoints": _touchpoints,
    "exposures": _exposures,
    "tickets": _tickets,
    "reviews": _reviews,
    "orders": _orders,
    "order_lines": _order_lines,
    "api_usage": _api_usage,
    "consents": _consents,
}
