"""Listens of ListenBrainz: one JSON object a line, of the public dump or of a user's export.

Feeds    plays, tracks, artists, listeners (see `scrobbles.py`).
Identity of a play: listener, second, and the MSID, which ListenBrainz gives to every spelling of
         artist, track and release; where it is missing, these three as written. So the dump
         and the export of one listen are one play.
Surprises `timestamp` is `listened_at`; the second is when a listen began. `duration_played` is in
         seconds and seldom there: where it is not, nobody knows how long was listened.
         A length of 0 is none. The listener is `user_name`, which every dump has, else
         `user_id`; an export names nobody in its listens, so there it is the `username` of the
         `user.json` in the same zip, else `owner`.
         Unpack a `.tar.zst` dump first; its `.listens` files may stay packed one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import polars as pl

from analytics.errors import SchemaError
from analytics.lake.tables import INSTANT
from analytics.settings import Settings
from analytics.sources import delimited, files, packed, scrobbles
from analytics.sources.base import HEAD, Batch, Look, Recognised, Unit, rejects
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "user_name": pl.String, "user_id": pl.String, "at": INSTANT, "artist": pl.String,
    "track": pl.String, "album": pl.String, "recording_msid": pl.String,
    "track_mbid": pl.String, "artist_mbid": pl.String, "duration_ms": pl.Int64,
    "duration": pl.Int32, "duration_played": pl.Int32,
}  # fmt: skip
_TOLD, _MORE = "$.track_metadata", "$.track_metadata.additional_info"
# Where each may stand; the first that is given counts.
PATHS = {
    "user_name": ("$.user_name",),
    "user_id": ("$.user_id",),
    "at": ("$.listened_at", "$.timestamp"),
    "artist": (f"{_TOLD}.artist_name",),
    "track": (f"{_TOLD}.track_name",),
    "album": (f"{_TOLD}.release_name",),
    "recording_msid": (
        "$.recording_msid", f"{_TOLD}.recording_msid", f"{_MORE}.recording_msid",
    ),
    "track_mbid": (f"{_MORE}.recording_mbid", f"{_TOLD}.mbid_mapping.recording_mbid"),
    "artist_mbid": (f"{_MORE}.artist_mbids[0]", f"{_TOLD}.mbid_mapping.artist_mbids[0]"),
    "duration_ms": (f"{_MORE}.duration_ms",),
    "duration": (f"{_MORE}.duration",),
    "duration_played": (f"{_MORE}.duration_played",),
}  # fmt: skip
COAUTHORS = (f"{_MORE}.artist_mbids[1]", f"{_TOLD}.mbid_mapping.artist_mbids[1]")
EVERY_PATH = [*(path for paths in PATHS.values() for path in paths), *COAUTHORS]
NAMES = [*PATHS["artist"], *PATHS["track"]]
USER = "user.json"  # of an export: whose it is
NO_LISTENS = (USER, "feedback.jsonl", "pinned_recording.jsonl")
SUFFIXES = (".listens", ".jsonl", ".json")


class ListenbrainzDump(files.FileReader):
    format = "listenbrainz_dump"
    example = (
        '- {name: listens, format: listenbrainz_dump, path: "/data/my_tenant/listens/*/*.listens"}'
    )

    def recognise(self, look: Look) -> Recognised | None:
        listen = look.first_object
        if not isinstance(listen.get("track_metadata"), dict):
            return None
        if not {"listened_at", "timestamp"} & set(listen):
            return None
        family = "**/*.listens*" if look.suffix == ".listens" else None
        if look.suffix == ".jsonl" and "listens/" in look.name:
            family = "**/listens/**/*.jsonl*"
        return Recognised("listens", family=family)

    def feeds(self, source: Source) -> tuple[str, ...]:
        return scrobbles.TABLES

    def lacks(self, source: Source) -> frozenset[str]:
        return frozenset({"listened_ms"})

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        user = _user(tenant, source, unit)
        first = 0
        for name, file in scrobbles.members(tenant, source, unit, _is_of_listens):
            for number, lines in delimited.pieces(file, first):
                first = number + len(lines)
                rows, broken = parsed(number, lines)
                if number == 0 and rows.height and rows["track"].count() == 0:
                    raise SchemaError(
                        f"{tenant.id}: source {source.name}: {name} of {unit.name} names no "
                        "track in `track_metadata.track_name`; is it a dump of listens? "
                        f"owner: {source.owner}"
                    )
                timed, strange = scrobbles.placed(rows)
                timed = timed.with_columns(pl.col("user_name").fill_null(pl.lit(user, pl.String)))
                batch = typed_batch(tenant, source, "plays", unit, timed, FIELDS)
                bad = rejects(tenant, source, "plays", unit, pl.concat([broken, strange]))
                yield Batch(batch.rows, pl.concat([batch.rejects, bad]))

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        length = pl.coalesce("duration_ms", _ms("duration"))
        heard = bronze.with_columns(
            pl.coalesce("user_name", "user_id", pl.lit(scrobbles.OWNER)).alias("listener"),
            pl.when(length != 0).then(length).alias("track_ms"),
            _ms("duration_played").alias("listened_ms"),
        )
        is_spelt = pl.col("recording_msid").is_null()
        spelling = [pl.when(is_spelt).then(c) for c in ("artist", "track", "album")]
        play = [pl.col("listener"), pl.col("at").dt.epoch("us"), pl.col("recording_msid")]
        return scrobbles.conform(tenant, source, heard, [*play, *spelling])


def _ms(seconds: str) -> pl.Expr:
    return pl.col(seconds).cast(pl.Int64) * 1000


def parsed(number: int, lines: list[bytes]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The fields as text + `_row`, and the lines that hold no listen. Blank ones are nobody's."""
    text = pl.col("line")
    numbers = pl.int_range(number, number + len(lines), dtype=pl.Int64, eager=True)
    frame = pl.DataFrame({"_row": numbers, "line": delimited.decoded(lines)})
    frame = frame.filter((text.str.strip_chars() != "").fill_null(True))
    told = _told(frame)
    is_listen = told["told"].is_not_null()
    fields = told.filter(is_listen).select("_row", *_columns())
    broken = told["_row"].filter(~is_listen).to_list()
    return fields, delimited.set_aside(number, lines, broken)


def _told(frame: pl.DataFrame) -> pl.DataFrame:
    """`_row` and what stands at EVERY_PATH of its line; null where the line is no listen.

    By DuckDB, which reads any JSON whatever its shape; Polars wants one shape for all lines.
    """
    query = """
        select _row, case when json_valid(line) then
            case when json_type(line) = 'OBJECT'
                and not list_has_any(json_type(line, $names), ['ARRAY', 'OBJECT'])
            then json_extract_string(line, $paths) end
        end as told
        from lines
        order by _row
    """
    with duckdb.connect() as connection:
        connection.register("lines", frame.to_arrow())
        found = connection.sql(query, params={"paths": EVERY_PATH, "names": NAMES})
        told = pl.DataFrame(pl.from_arrow(found.to_arrow_table()))
    return told.cast({"told": pl.List(pl.String)})


def _columns() -> list[pl.Expr]:
    """Each field: the first of its paths that holds more than spaces."""

    def at(path: str) -> pl.Expr:
        text = pl.col("told").list.get(EVERY_PATH.index(path), null_on_oob=True)
        return pl.when(text.str.strip_chars() != "").then(text)

    fields = {name: pl.coalesce(*map(at, paths)) for name, paths in PATHS.items()}
    is_of_one = pl.coalesce(*map(at, COAUTHORS)).is_null()
    fields["artist_mbid"] = pl.when(is_of_one).then(fields["artist_mbid"])
    return [field.alias(name) for name, field in fields.items()]


def _is_of_listens(name: str) -> bool:
    base = name.lower().rsplit("/", 1)[-1]
    return base.endswith(SUFFIXES) and base not in NO_LISTENS


def _user(tenant: Tenant, source: Source, unit: Unit) -> str | None:
    """Whose export the zip is, where it says so."""
    if unit.location is None or not packed.is_zip(unit.location):
        return None
    for _, file in files.members(tenant, source, unit, lambda n: n.rsplit("/", 1)[-1] == USER):
        try:
            told = json.loads(file.read(HEAD))
        except ValueError:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("username"), str):
            raise files.damaged(tenant, source, unit, f"{USER} names no `username`")
        return str(told["username"])
    return None
