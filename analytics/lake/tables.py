"""The canonical tables: columns, types, keys. Sources map to these and nothing else.

`tenant_id` comes first everywhere and ids are the tenant's own: they repeat
across tenants. Instants are UTC microseconds, durations milliseconds, money
integer minor units of the row's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

INSTANT = pl.Datetime("us", "UTC")
# No streaming service is older: an instant before is an empty clock or epoch zero.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

# One more column of every stored table: what a source declares under `extras`, as a JSON object
# of texts; null where none of it was given.
EXTRAS = "extras"

# Columns that say which run wrote a row. Content hashes leave out just these.
RUN_STAMPS = frozenset({"ingest_run", "loaded_at", "published_at", "scored_at", "run_id"})


@dataclass(frozen=True)
class Table:
    """One canonical table of the silver layer."""

    name: str
    columns: dict[str, pl.DataType | type[pl.DataType]]
    key: str  # unique within a tenant
    time: str  # the column that places a row in an interval
    required: tuple[str, ...]  # may never be null
    knowable: tuple[str, ...]  # may be null only where the source lacks it (SourceReader.lacks)
    is_event: bool = True  # events are facts in time; the others are the latest state by key

    @property
    def stored(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The columns that lake and warehouse keep: those a source can map to, and its extras."""
        return {**self.columns, EXTRAS: pl.String}

    @property
    def identity(self) -> tuple[str, str]:
        return ("tenant_id", self.key)


def _table(
    name: str,
    /,  # a column may be called name as well
    *,
    key: str,
    time: str,
    required: str = "",
    knowable: str = "",
    state: bool = False,
    **columns,
):
    return Table(
        name=name,
        columns={"tenant_id": pl.String, **columns},
        key=key,
        time=time,
        required=("tenant_id", key, time, *required.split()),
        knowable=tuple(knowable.split()),
        is_event=not state,
    )


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "plays", key="play_id", time="started_at", required="listener_id track_id",
            knowable="listened_ms",  # a scrobble has no length
            play_id=pl.String, listener_id=pl.String, track_id=pl.String, started_at=INSTANT,
            listened_ms=pl.Int64, track_ms=pl.Int64, source_of_play=pl.String, platform=pl.String,
            country=pl.String, is_skipped=pl.Boolean, is_shuffle=pl.Boolean, is_offline=pl.Boolean,
            reason_end=pl.String,
        ),
        _table(
            "app_events", key="event_id", time="occurred_at", required="listener_id page",
            event_id=pl.String, listener_id=pl.String, session_id=pl.String, occurred_at=INSTANT,
            page=pl.String, properties=pl.String,
        ),
        _table(
            "listeners", key="listener_id", time="updated_at", state=True,
            listener_id=pl.String, signed_up_at=INSTANT, country=pl.String, gender=pl.String,
            birth_year=pl.Int32, acquisition_channel=pl.String, updated_at=INSTANT,
        ),
        _table(
            "tracks", key="track_id", time="updated_at", required="title", state=True,
            track_id=pl.String, title=pl.String, artist_id=pl.String, artist_name=pl.String,
            album=pl.String, genre=pl.String, duration_ms=pl.Int64, released_on=pl.Date,
            updated_at=INSTANT,
        ),
        _table(
            "subscription_events", key="event_id", time="occurred_at", required="listener_id kind",
            event_id=pl.String, listener_id=pl.String, occurred_at=INSTANT,
            kind=pl.String,  # sign_up, upgrade, downgrade, cancel
            plan_from=pl.String, plan_to=pl.String,  # free, premium, family; null is no account
        ),
        _table(
            "payments", key="payment_id", time="paid_at",
            required="listener_id amount_minor currency kind",
            payment_id=pl.String, listener_id=pl.String, paid_at=INSTANT, amount_minor=pl.Int64,
            currency=pl.String, kind=pl.String,  # charge, refund (amount_minor stays positive)
            plan=pl.String,
        ),
        _table(
            "touchpoints", key="touchpoint_id", time="occurred_at", required="listener_id channel",
            touchpoint_id=pl.String, listener_id=pl.String, occurred_at=INSTANT,
            channel=pl.String, campaign=pl.String, cost_micros=pl.Int64,
        ),
        _table(
            "exposures", key="exposure_id", time="exposed_at",
            required="listener_id experiment variant",
            exposure_id=pl.String, listener_id=pl.String, exposed_at=INSTANT,
            experiment=pl.String, variant=pl.String,
        ),
        _table(
            "tickets", key="ticket_id", time="opened_at", required="listener_id",
            ticket_id=pl.String, listener_id=pl.String, opened_at=INSTANT, category=pl.String,
            resolved_at=INSTANT, satisfaction=pl.Int32, body=pl.String,
        ),
        _table(
            "reviews", key="review_id", time="reviewed_at", required="listener_id stars",
            review_id=pl.String, listener_id=pl.String, track_id=pl.String, reviewed_at=INSTANT,
            stars=pl.Int32, body=pl.String,
        ),
        _table(
            "artists", key="artist_id", time="updated_at", state=True,
            artist_id=pl.String, name=pl.String, genre=pl.String,
            same_as=pl.String,  # the artist_id that this is another name of
            external_id=pl.String, updated_at=INSTANT,
        ),
        _table(
            "taggings", key="tagging_id", time="updated_at", required="item_kind item_id tag",
            state=True,
            tagging_id=pl.String, item_kind=pl.String,  # artist, track
            item_id=pl.String, tag=pl.String,
            listener_id=pl.String,  # null: an editor's
            updated_at=INSTANT,
        ),
        _table(
            "friendships", key="friendship_id", time="updated_at",
            required="listener_id friend_id", state=True,
            friendship_id=pl.String, listener_id=pl.String, friend_id=pl.String,
            updated_at=INSTANT,
        ),
        _table(
            "listening_counts", key="count_id", time="updated_at",
            required="listener_id item_kind item_id", state=True,
            count_id=pl.String, listener_id=pl.String, item_kind=pl.String,  # artist, track
            item_id=pl.String,
            plays=pl.Int64,  # null: listened to, nobody knows how often
            updated_at=INSTANT,
        ),
        _table(
            "track_features", key="track_id", time="updated_at", state=True,
            track_id=pl.String, danceability=pl.Float64, energy=pl.Float64, loudness=pl.Float64,
            speechiness=pl.Float64, acousticness=pl.Float64, instrumentalness=pl.Float64,
            liveness=pl.Float64, valence=pl.Float64, tempo=pl.Float64,  # 0 to 1, dB, beats a minute
            pitch_class=pl.Int32,  # 0 is C
            is_major=pl.Boolean, time_signature=pl.Int32, updated_at=INSTANT,
        ),
        _table(
            "orders", key="order_id", time="ordered_at",
            required="listener_id amount_minor currency status",
            order_id=pl.String, listener_id=pl.String, ordered_at=INSTANT, amount_minor=pl.Int64,
            currency=pl.String, status=pl.String,  # paid, shipped, cancelled, returned
        ),
        _table(
            "order_lines", key="line_id", time="ordered_at",
            required="order_id product_id quantity amount_minor currency",
            line_id=pl.String, order_id=pl.String, ordered_at=INSTANT, product_id=pl.String,
            quantity=pl.Int64, amount_minor=pl.Int64,  # of the whole line
            currency=pl.String,
        ),
        _table(
            "api_usage", key="usage_id", time="occurred_at",
            required="client_id endpoint calls errors",
            usage_id=pl.String, client_id=pl.String, endpoint=pl.String, occurred_at=INSTANT,
            calls=pl.Int64, errors=pl.Int64,
        ),
        _table(
            "consents", key="consent_id", time="occurred_at",
            required="listener_id purpose is_given",
            consent_id=pl.String, listener_id=pl.String, occurred_at=INSTANT,
            purpose=pl.String,  # marketing, personalisation
            is_given=pl.Boolean,
        ),
    )
}  # fmt: skip
