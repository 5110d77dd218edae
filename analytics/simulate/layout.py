"""What each sample system calls its tables and columns: canonical name, then theirs.

`tenants.yaml` declares the same for the readers; a test holds the two together.
The order is the order on disk. Units other than the canonical ones are in UNITS.
"""

from __future__ import annotations

Layout = dict[str, dict[str, str]]

# Files beside the eventsim log: comma-separated, instants ISO 8601 in UTC.
CSV: Layout = {
    "tracks": {
        "track_id": "track", "title": "title", "artist_id": "artist", "artist_name": "artist_name",
        "album": "album", "genre": "genre", "duration_ms": "duration_ms",
        "released_on": "release_date", "updated_at": "updated",
    },
    "payments": {
        "payment_id": "invoice_no", "listener_id": "user", "paid_at": "booked_at",
        "amount_minor": "amount_cents", "currency": "currency", "kind": "type", "plan": "product",
    },
    "touchpoints": {
        "touchpoint_id": "touch", "listener_id": "user", "occurred_at": "at", "channel": "medium",
        "campaign": "campaign", "cost_micros": "cost_micros",
    },
    "exposures": {
        "exposure_id": "exposure", "listener_id": "user", "exposed_at": "at",
        "experiment": "experiment", "variant": "arm",
    },
    "tickets": {
        "ticket_id": "case_no", "listener_id": "user", "opened_at": "opened", "category": "topic",
        "resolved_at": "solved", "satisfaction": "csat", "body": "message",
    },
    "reviews": {
        "review_id": "review", "listener_id": "user", "track_id": "track", "reviewed_at": "at",
        "stars": "rating", "body": "text",
    },
}  # fmt: skip

# Parquet drops of a radio: seconds instead of milliseconds, epoch for plays.
PARQUET: Layout = {
    "plays": {
        "play_id": "spin_no", "listener_id": "member_no", "track_id": "song_no",
        "started_at": "played_at", "listened_ms": "seconds_played", "track_ms": "song_seconds",
        "source_of_play": "origin", "platform": "device", "country": "country_code",
        "is_skipped": "skipped", "is_shuffle": "shuffled", "is_offline": "was_offline",
        "reason_end": "end_reason",
    },
    "app_events": {
        "event_id": "event_no", "listener_id": "member_no", "session_id": "visit_no",
        "occurred_at": "happened_at", "page": "screen", "properties": "details",
    },
    "listeners": {
        "listener_id": "member_no", "signed_up_at": "joined_at", "country": "country_code",
        "gender": "gender", "birth_year": "born", "acquisition_channel": "came_by",
        "updated_at": "changed_at",
    },
    "tracks": {
        "track_id": "song_no", "title": "song", "artist_id": "artist_no", "artist_name": "artist",
        "album": "record", "genre": "style", "duration_ms": "song_seconds",
        "released_on": "released", "updated_at": "changed_at",
    },
    "subscription_events": {
        "event_id": "change_no", "listener_id": "member_no", "occurred_at": "happened_at",
        "kind": "change", "plan_from": "old_plan", "plan_to": "new_plan",
    },
    "payments": {
        "payment_id": "payment_no", "listener_id": "member_no", "paid_at": "paid_at",
        "amount_minor": "cents", "currency": "currency", "kind": "direction", "plan": "plan",
    },
    "touchpoints": {
        "touchpoint_id": "touch_no", "listener_id": "member_no", "occurred_at": "happened_at",
        "channel": "medium", "campaign": "campaign", "cost_micros": "micros",
    },
    "exposures": {
        "exposure_id": "exposure_no", "listener_id": "member_no", "exposed_at": "seen_at",
        "experiment": "test", "variant": "arm",
    },
    "tickets": {
        "ticket_id": "ticket_no", "listener_id": "member_no", "opened_at": "opened_at",
        "category": "topic", "resolved_at": "closed_at", "satisfaction": "smiley", "body": "text",
    },
    "reviews": {
        "review_id": "review_no", "listener_id": "member_no", "track_id": "song_no",
        "reviewed_at": "written_at", "stars": "stars", "body": "text",
    },
}  # fmt: skip

# Tables of an operational PostgreSQL, schema `app`; `recorded_at` says when a row arrived.
POSTGRES: Layout = {
    "plays": {
        "play_id": "id", "listener_id": "account_id", "track_id": "song_id",
        "started_at": "started_at", "listened_ms": "listened_ms", "track_ms": "song_ms",
        "source_of_play": "source", "platform": "client", "country": "country",
        "is_skipped": "skipped", "is_shuffle": "shuffle", "is_offline": "offline",
        "reason_end": "end_reason",
    },
    "app_events": {
        "event_id": "id", "listener_id": "account_id", "session_id": "session_id",
        "occurred_at": "occurred_at", "page": "page", "properties": "properties",
    },
    "listeners": {
        "listener_id": "id", "signed_up_at": "created_at", "country": "country",
        "gender": "gender", "birth_year": "birth_year", "acquisition_channel": "channel",
        "updated_at": "updated_at",
    },
    "tracks": {
        "track_id": "id", "title": "title", "artist_id": "artist_id", "artist_name": "artist",
        "album": "album", "genre": "genre", "duration_ms": "duration_ms",
        "released_on": "released_on", "updated_at": "updated_at",
    },
    "subscription_events": {
        "event_id": "id", "listener_id": "account_id", "occurred_at": "occurred_at",
        "kind": "kind", "plan_from": "plan_before", "plan_to": "plan_after",
    },
    "payments": {
        "payment_id": "id", "listener_id": "account_id", "paid_at": "paid_at",
        "amount_minor": "amount_ore", "currency": "currency", "kind": "kind", "plan": "plan",
    },
    "touchpoints": {
        "touchpoint_id": "id", "listener_id": "account_id", "occurred_at": "occurred_at",
        "channel": "channel", "campaign": "campaign", "cost_micros": "cost_micros",
    },
    "exposures": {
        "exposure_id": "id", "listener_id": "account_id", "exposed_at": "exposed_at",
        "experiment": "experiment", "variant": "variant",
    },
    "tickets": {
        "ticket_id": "id", "listener_id": "account_id", "opened_at": "opened_at",
        "category": "category", "resolved_at": "resolved_at", "satisfaction": "score",
        "body": "body",
    },
    "reviews": {
        "review_id": "id", "listener_id": "account_id", "track_id": "song_id",
        "reviewed_at": "reviewed_at", "stars": "stars", "body": "body",
    },
    "orders": {
        "order_id": "id", "listener_id": "account_id", "ordered_at": "ordered_at",
        "amount_minor": "amount_ore", "currency": "currency", "status": "status",
    },
    "order_lines": {
        "line_id": "id", "order_id": "order_id", "ordered_at": "ordered_at",
        "product_id": "article", "quantity": "quantity", "amount_minor": "amount_ore",
        "currency": "currency",
    },
    "api_usage": {
        "usage_id": "id", "client_id": "client", "endpoint": "route", "occurred_at": "hour_at",
        "calls": "calls", "errors": "errors",
    },
    "consents": {
        "consent_id": "id", "listener_id": "account_id", "occurred_at": "answered_at",
        "purpose": "purpose", "is_given": "given",
    },
}  # fmt: skip

RELATIONS = {
    "listeners": "accounts", "tracks": "songs", "exposures": "experiment_exposures",
    "api_usage": "api_calls",
}  # fmt: skip
CURSOR = "recorded_at"

# Units that are not the canonical ones, by layout and table.
PARQUET_UNITS = {
    "plays": {"started_at": "epoch_ms", "listened_ms": "seconds", "track_ms": "seconds"},
    "tracks": {"duration_ms": "seconds"},
}


def relation(table: str) -> str:
    """The operational table, with its schema."""
    return f"app.{RELATIONS.get(table, table)}"
