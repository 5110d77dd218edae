"""Event logs of the eventsim kind: one JSON object a line, one line a page.

Feeds    plays (page NextSong), app_events (every other page of a known listener),
         listeners (their fields as they change), subscription_events (Submit
         Registration, Submit Upgrade, Submit Downgrade, Cancellation Confirmation)
         and, for plays without a track id, tracks.
Identity eventId where there is one, else (userId, sessionId, itemInSession, ts, page).
Surprises a log without listenedMs knows only the song's length: a play then counts
         as heard to its end. Pages seen while logged out name nobody and stay in
         bronze. A level that changes without a Submit page is no subscription event.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from analytics.errors import SchemaError
from analytics.lake.tables import EARLIEST
from analytics.settings import Settings
from analytics.sources import files
from analytics.sources.base import Batch, Look, Recognised, Unit, rejects
from analytics.sources.json_lines import parsed, pieces
from analytics.sources.shape import EVER, canonical, epoch, identified, song_key
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "ts": pl.Int64, "userId": pl.String, "sessionId": pl.String, "itemInSession": pl.Int64,
    "page": pl.String, "auth": pl.String, "method": pl.String, "status": pl.Int64,
    "level": pl.String, "location": pl.String, "userAgent": pl.String, "firstName": pl.String,
    "lastName": pl.String, "gender": pl.String, "registration": pl.Int64, "artist": pl.String,
    "song": pl.String, "length": pl.Float64,
    # what richer logs add
    "eventId": pl.String, "trackId": pl.String, "listenedMs": pl.Int64, "skipped": pl.Boolean,
    "shuffle": pl.Boolean, "offline": pl.Boolean, "source": pl.String, "platform": pl.String,
    "country": pl.String, "reasonEnd": pl.String, "birthYear": pl.Int32,
    "acquisitionChannel": pl.String, "planFrom": pl.String, "planTo": pl.String,
    "reason": pl.String,
}  # fmt: skip
NEEDED = ("ts", "page")
KINDS = {
    "Submit Registration": "sign_up",
    "Submit Upgrade": "upgrade",
    "Submit Downgrade": "downgrade",
    "Cancellation Confirmation": "cancel",
}
# Where the log names no plans: (from, to) by kind; the level tells what was cancelled.
PLANS = {
    "sign_up": (None, "free"),
    "upgrade": ("free", "premium"),
    "downgrade": ("premium", "free"),
}


def instant(column: str) -> pl.Expr:
    return epoch(pl.col(column), 1000)


class Eventsim(files.FileReader):
    format = "eventsim"
    example = '- {name: events, format: eventsim, path: "{landing}/my_tenant/events/{date}.jsonl"}'

    def recognise(self, look: Look) -> Recognised | None:
        is_log = look.suffix in (".json", ".jsonl") and {"page", "ts"} <= look.first_object.keys()
        return Recognised("events") if is_log else None

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("plays", "app_events", "listeners", "subscription_events", "tracks")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        first = 0
        for _, file in files.members(tenant, source, unit):
            for number, lines in pieces(file, first):
                frame, broken = parsed(number, lines, FIELDS)
                for column in NEEDED:
                    if frame.height and frame[column].null_count() == frame.height:
                        raise SchemaError(
                            f"{tenant.id}: source {source.name}: {unit.name} has no field "
                            f"{column!r}, without which a line is no event; "
                            f"owner: {source.owner}"
                        )
                nobody = frame.filter(pl.col("page").is_null())
                batch = typed_batch(
                    tenant,
                    source,
                    "plays",
                    unit,
                    frame.filter(pl.col("page").is_not_null()),
                    FIELDS,
                )
                incomplete = nobody.select(
                    pl.col("_row").alias("row"),
                    pl.lit("page_not_null").alias("rule"),
                    pl.lit("page").alias("column"),
                    pl.lit(None, pl.String).alias("value"),
                    pl.struct(pl.all().exclude("_row")).struct.json_encode().alias("raw"),
                )
                bad = rejects(tenant, source, "plays", unit, pl.concat([broken, incomplete]))
                yield Batch(batch.rows, pl.concat([batch.rejects, bad]))
                first = number + len(lines)

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        clean = bronze.with_columns(
            pl.col("userId").replace("", None), (pl.col("length") * 1000).round().cast(pl.Int64)
        )
        is_play = pl.col("page") == "NextSong"
        plays = clean.filter(is_play)
        known = clean.filter(pl.col("userId").is_not_null())
        unnamed = pl.col("trackId").is_null() & pl.col("song").is_not_null()
        plays = identified(
            plays, "_song", song_key(pl.col("artist"), pl.col("song"), pl.col("length"))
        ).with_columns(
            pl.when(unnamed).then(pl.col("_song")).otherwise(pl.col("trackId")).alias("_track")
        )
        return {
            "plays": _plays(tenant, source, plays),
            "app_events": _app_events(tenant, source, known.filter(~is_play)),
            "listeners": _listeners(tenant, source, known),
            "subscription_events": _subscription_events(tenant, source, known),
            "tracks": _tracks(tenant, source, plays.filter(unnamed)),
        }


def _with_id(frame: pl.DataFrame) -> pl.DataFrame:
    parts = [pl.col(c) for c in ("userId", "sessionId", "itemInSession", "ts", "page")]
    return identified(frame, "_id", parts).with_columns(pl.coalesce("eventId", "_id").alias("_id"))


def _plays(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    return canonical(
        "plays", tenant, source, _with_id(plays),
        {
            "play_id": pl.col("_id"),
            "listener_id": pl.col("userId"),
            "track_id": pl.col("_track"),
            "started_at": instant("ts"),
            "listened_ms": pl.coalesce("listenedMs", "length"),
            "track_ms": pl.col("length"),
            "source_of_play": pl.col("source"),
            "platform": pl.col("platform"),
            "country": pl.col("country"),
            "is_skipped": pl.col("skipped"),
            "is_shuffle": pl.col("shuffle"),
            "is_offline": pl.col("offline"),
            "reason_end": pl.col("reasonEnd"),
        },
    )  # fmt: skip


def _app_events(tenant: Tenant, source: Source, pages: pl.DataFrame) -> pl.DataFrame:
    detail = pl.struct("auth", "level", "method", "status", "reason").struct.json_encode()
    return canonical(
        "app_events", tenant, source, _with_id(pages),
        {
            "event_id": pl.col("_id"),
            "listener_id": pl.col("userId"),
            "session_id": pl.col("sessionId"),
            "occurred_at": instant("ts"),
            "page": pl.col("page"),
            "properties": detail,
        },
    )  # fmt: skip


def _listeners(tenant: Tenant, source: Source, known: pl.DataFrame) -> pl.DataFrame:
    """One row per change of a listener's fields, at the first event that shows it.

    Events before any service began tell a broken clock, and must not date a state.
    """
    about = ["registration", "country", "gender", "birthYear", "acquisitionChannel"]
    states = (
        known.filter(instant("ts") >= EARLIEST)
        .select("userId", "ts", *about, "_file", "_file_hash", "_row", "_arrived_on")
        .sort("userId", "ts", "_row")
        .with_columns(pl.col(c).forward_fill().over("userId") for c in about)
    )
    same_listener = pl.col("userId") == pl.col("userId").shift(1)
    same_fields = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in about)
    changed = states.filter(~(same_listener & same_fields).fill_null(False))
    return canonical(
        "listeners", tenant, source, changed,
        {
            "listener_id": pl.col("userId"),
            "signed_up_at": instant("registration"),
            "country": pl.col("country"),
            "gender": pl.col("gender"),
            "birth_year": pl.col("birthYear"),
            "acquisition_channel": pl.col("acquisitionChannel"),
            "updated_at": instant("ts"),
        },
    )  # fmt: skip


def _subscription_events(tenant: Tenant, source: Source, known: pl.DataFrame) -> pl.DataFrame:
    kind = pl.col("page").replace_strict(KINDS, default=None, return_dtype=pl.String)
    submitted = known.filter(pl.col("page").is_in(list(KINDS))).with_columns(kind.alias("_kind"))
    named = pl.any_horizontal(pl.col("planFrom", "planTo").is_not_null())
    level = pl.when(pl.col("level") == "paid").then(pl.lit("premium")).otherwise(pl.lit("free"))

    def plan(side: int, given: str) -> pl.Expr:
        usual = pl.col("_kind").replace_strict(
            {k: v[side] for k, v in PLANS.items()}, default=None, return_dtype=pl.String
        )
        if side == 0:
            usual = pl.when(pl.col("_kind") == "cancel").then(level).otherwise(usual)
        return pl.when(named).then(pl.col(given)).otherwise(usual)

    return canonical(
        "subscription_events", tenant, source, _with_id(submitted),
        {
            "event_id": pl.col("_id"),
            "listener_id": pl.col("userId"),
            "occurred_at": instant("ts"),
            "kind": pl.col("_kind"),
            "plan_from": plan(0, "planFrom"),
            "plan_to": plan(1, "planTo"),
        },
    )  # fmt: skip


def _tracks(tenant: Tenant, source: Source, plays: pl.DataFrame) -> pl.DataFrame:
    """Songs that only the log names; a catalogue that knows more completes them."""
    songs = plays.sort("_track", "_file", "_row").unique(
        "_track", keep="first", maintain_order=True
    )
    return canonical(
        "tracks", tenant, source, songs,
        {
            "track_id": pl.col("_track"),
            "title": pl.col("song"),
            "artist_name": pl.col("artist"),
            "duration_ms": pl.col("length"),
            "updated_at": EVER,
        },
    )  # fmt: skip
