"""Small rows for tests: name what matters, the rest is plausible.

Defaults make a clean row of tenant `t1`; tests add a second tenant with the
same ids, because ids repeat across tenants.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from analytics.lake.tables import TABLES

NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)  # a Monday

_ROWS: dict[str, dict[str, Any]] = {
    "plays": {
        "play_id": "p1",
        "listener_id": "l1",
        "track_id": "s1",
        "started_at": NOON,
        "listened_ms": 180_000,
        "track_ms": 200_000,
        "source_of_play": "playlist",
        "platform": "ios",
        "country": "DE",
        "is_skipped": False,
        "is_shuffle": False,
        "is_offline": False,
        "reason_end": "trackdone",
    },
    "app_events": {
        "event_id": "e1",
        "listener_id": "l1",
        "session_id": "1",
        "occurred_at": NOON,
        "page": "Home",
        "properties": "{}",
    },
    "listeners": {
        "listener_id": "l1",
        "signed_up_at": datetime(2024, 6, 1, tzinfo=UTC),
        "country": "DE",
        "gender": "F",
        "birth_year": 1990,
        "acquisition_channel": "search",
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "tracks": {
        "track_id": "s1",
        "title": "Song",
        "artist_id": "a1",
        "artist_name": "Artist",
        "album": "Album",
        "genre": "pop",
        "duration_ms": 200_000,
        "released_on": date(2020, 1, 1),
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "subscription_events": {
        "event_id": "e1",
        "listener_id": "l1",
        "occurred_at": NOON,
        "kind": "upgrade",
        "plan_from": "free",
        "plan_to": "premium",
    },
    "payments": {
        "payment_id": "x1",
        "listener_id": "l1",
        "paid_at": NOON,
        "amount_minor": 999,
        "currency": "EUR",
        "kind": "charge",
        "plan": "premium",
    },
    "touchpoints": {
        "touchpoint_id": "c1",
        "listener_id": "l1",
        "occurred_at": NOON,
        "channel": "search",
        "campaign": "spring",
        "cost_micros": 120_000,
    },
    "exposures": {
        "exposure_id": "x1",
        "listener_id": "l1",
        "exposed_at": NOON,
        "experiment": "paywall",
        "variant": "control",
    },
    "tickets": {
        "ticket_id": "k1",
        "listener_id": "l1",
        "opened_at": NOON,
        "category": "billing",
        "resolved_at": None,
        "satisfaction": None,
        "body": "Charged twice",
    },
    "reviews": {
        "review_id": "r1",
        "listener_id": "l1",
        "track_id": "s1",
        "reviewed_at": NOON,
        "stars": 4,
        "body": "Fine",
    },
    "artists": {
        "artist_id": "a1",
        "name": "Artist",
        "genre": "pop",
        "same_as": None,
        "external_id": None,
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "taggings": {
        "tagging_id": "g1",
        "item_kind": "artist",
        "item_id": "a1",
        "tag": "seen live",
        "listener_id": "l1",
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "friendships": {
        "friendship_id": "f1",
        "listener_id": "l1",
        "friend_id": "l2",
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "listening_counts": {
        "count_id": "n1",
        "listener_id": "l1",
        "item_kind": "artist",
        "item_id": "a1",
        "plays": 12,
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "track_features": {
        "track_id": "s1",
        "danceability": 0.7,
        "energy": 0.6,
        "loudness": -7.5,
        "speechiness": 0.05,
        "acousticness": 0.2,
        "instrumentalness": 0.0,
        "liveness": 0.1,
        "valence": 0.5,
        "tempo": 120.0,
        "pitch_class": 0,
        "is_major": True,
        "time_signature": 4,
        "updated_at": datetime(2024, 6, 1, tzinfo=UTC),
    },
    "orders": {
        "order_id": "o1",
        "listener_id": "l1",
        "ordered_at": NOON,
        "amount_minor": 4500,
        "currency": "EUR",
        "status": "paid",
    },
    "order_lines": {
        "line_id": "o1-1",
        "order_id": "o1",
        "ordered_at": NOON,
        "product_id": "shirt",
        "quantity": 2,
        "amount_minor": 4500,
        "currency": "EUR",
    },
    "api_usage": {
        "usage_id": "u1",
        "client_id": "car",
        "endpoint": "/search",
        "occurred_at": NOON,
        "calls": 120,
        "errors": 3,
    },
    "consents": {
        "consent_id": "n1",
        "listener_id": "l1",
        "occurred_at": NOON,
        "purpose": "marketing",
        "is_given": True,
    },
}


def a_row(table: str, tenant_id: str = "t1", **changes: Any) -> dict[str, Any]:
    """A clean row of one canonical table, with what you name changed."""
    unknown = set(changes) - set(TABLES[table].stored)
    assert not unknown, f"{table} has no {unknown}"
    return {"tenant_id": tenant_id, **_ROWS[table], **changes}


def a_play(tenant_id: str = "t1", **changes: Any) -> dict[str, Any]:
    return a_row("plays", tenant_id, **changes)


def a_frame(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """The rows typed as the canonical table, extras and all."""
    return pl.DataFrame(list(rows), schema=TABLES[table].stored, orient="row")
