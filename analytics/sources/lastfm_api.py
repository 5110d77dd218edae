"""Scrobbles of Last.fm users, asked of its API (user.getRecentTracks).

Grain      one row per scrobble the service gives.
Feeds      what an export of scrobbles feeds, with the same ids.
Paging     by number, latest first. A scrobble that comes or goes meanwhile moves all others, so
           every page must tell the same total and all together must hold it; else it is read
           anew. Where two readings in a row lack the same number, the service has no more.
Surprises  what is heard right now is on every page, without a time: no play. An error may come
           with any status, 200 as well. One scrobble comes as an object, more as a list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import duckdb
import polars as pl

from analytics.settings import Settings
from analytics.sources import delimited, files, json_lines, scrobbles
from analytics.sources.base import Batch, Unit, rejects
from analytics.sources.fetched import Cursor, Listens, Span
from analytics.sources.http_client import Refusal, Service
from analytics.sources.lastfm_scrobbles import FIELDS, LastfmScrobbles
from analytics.sources.typed import typed_batch
from analytics.sources.web_listens import Access, StartOver, WebListens, user_of
from analytics.tenants import Source, Tenant

log = logging.getLogger(__name__)

LIMIT = 200  # scrobbles a page; the most that the service documents
PASSING = {8, 11, 16, 29}  # failed in the back, offline, unavailable, too many calls
OF_THE_KEY = {4, 9, 10, 13, 14, 26}
NO_SUCH_USER, PRIVATE = 6, 17
# Ours: theirs, of one scrobble.
PATHS = {
    "artist": '$.artist."#text"', "artist_mbid": "$.artist.mbid", "album": '$.album."#text"',
    "album_mbid": "$.album.mbid", "track": "$.name", "track_mbid": "$.mbid", "at": "$.date.uts",
}  # fmt: skip


class LastfmApi(WebListens):
    format = "lastfm_api"
    example = "- {name: scrobbles, format: lastfm_api, users: [rj], key_secret: lastfm_key}"
    access: ClassVar[Access] = Access(
        url="https://ws.audioscrobbler.com",
        pause=0.25,
        needs_key=True,
        key="the API key of an application (last.fm/api/account/create)",
    )

    of_files = LastfmScrobbles()

    def begin(self, span: Span) -> Cursor:
        return {"page": 1}

    def page(
        self, service: Service, user: str, span: Span, cursor: Cursor
    ) -> tuple[Listens, Cursor | None]:
        number = cursor["page"]
        # Whether the ends are in or out is not documented: ask for a second more on either side.
        answer = service.ask(
            user,
            "/2.0/",
            {"method": "user.getrecenttracks", "user": user, "from": max(span.first - 1, 1),
             "to": span.end, "page": number, "limit": LIMIT, "format": "json"},
            _refusal,
        )  # fmt: skip
        try:
            heard, total, pages = _scrobbles(answer["recenttracks"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise service.refused(user, f"gave no scrobbles ({service.quoted(answer)})") from None
        if cursor.get("total", total) != total:
            raise StartOver({"page": 1})
        read = cursor.get("read", 0) + len(heard)
        if number < pages:
            return heard, {**cursor, "page": number + 1, "total": total, "read": read}
        if read != total and cursor.get("short") != [read, total]:
            raise StartOver({"page": 1, "short": [read, total]})
        if read != total:
            log.warning("user %s: Last.fm counts %d scrobbles and gives %d", user, total, read)
        return heard, None

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        for _, file in files.members(tenant, source, unit):
            for number, lines in json_lines.pieces(file):
                rows, broken = _told(number, lines)
                heard, timeless = scrobbles.placed(rows)
                heard = heard.with_columns(pl.lit(user_of(unit)).alias("listener"))
                batch = typed_batch(tenant, source, "plays", unit, heard, FIELDS)
                bad = rejects(tenant, source, "plays", unit, pl.concat([broken, timeless]))
                yield Batch(batch.rows, pl.concat([batch.rejects, bad]))

    def signed(self, key: str) -> dict[str, Any]:
        return {"params": {"api_key": key}}


def _told(number: int, lines: list[bytes]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What stands at PATHS of each line + `_row`, empty texts as null; and the broken lines.

    By DuckDB: the text that Polars makes of a nested object is no JSON where a name holds a
    backslash.
    """
    numbers = pl.int_range(number, number + len(lines), dtype=pl.Int64, eager=True)
    frame = pl.DataFrame({"_row": numbers, "line": delimited.decoded(lines)})
    columns = ", ".join(
        f"nullif(json_extract_string(line, '{path}'), '') as {ours}" for ours, path in PATHS.items()
    )
    with duckdb.connect() as connection:
        connection.register("lines", frame.to_arrow())
        connection.execute(
            "create temp table objects as select * from lines "
            "where case when json_valid(line) then json_type(line) = 'OBJECT' end"
        )
        found = connection.sql(f"select {columns}, _row from objects order by _row")  # noqa: S608
        rows = pl.DataFrame(pl.from_arrow(found.to_arrow_table()))
    rows = rows.cast({**dict.fromkeys(PATHS, pl.String), "_row": pl.Int64})
    broken = numbers.filter(~numbers.is_in(rows["_row"].implode())).to_list()
    return rows, delimited.set_aside(number, lines, broken)


def _scrobbles(recent: Any) -> tuple[Listens, int, int]:
    """(scrobbles with their second, how many there are in all, on how many pages)."""
    tracks = recent["track"]
    found = [
        (int(track["date"]["uts"]), track)
        for track in (tracks if isinstance(tracks, list) else [tracks])
        if track.get("@attr", {}).get("nowplaying") != "true"
    ]
    return found, int(recent["@attr"]["total"]), int(recent["@attr"]["totalPages"])


def _refusal(status: int, document: Any) -> Refusal | None:
    code = document.get("error") if isinstance(document, dict) else None
    if type(code) is not int:
        return None
    said, words = f"error {code} with status {status}", document.get("message")
    if code == NO_SUCH_USER:
        return Refusal(said, words, "Correct the name, or take it out of `users`")
    if code == PRIVATE:
        return Refusal(said, words, "Ask the user to show recent listening, or take it out")
    if code in OF_THE_KEY:
        return Refusal(said, words, "Put a valid key into the file that `key_secret` names")
    return Refusal(said, words, is_passing=code in PASSING or status == 429 or status >= 500)
