"""A small whole file of every format: what the tests of hostile input damage."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from analytics.errors import SourceError
from analytics.settings import Settings
from analytics.sources import formats, reader
from analytics.sources.base import Batch, Unit
from analytics.sources.files import FileReader
from analytics.tenants import Source, Tenant
from tests.landing import a_line

PAYMENTS = {
    "payment_id": "invoice", "listener_id": "user", "paid_at": "at", "amount_minor": "amount",
    "currency": "currency", "kind": "type",
}  # fmt: skip
PAID = [
    {"invoice": "1", "user": "1", "at": "2025-01-06T12:00:00Z", "amount": 999, "currency": "EUR",
     "type": "charge"},
    {"invoice": "2", "user": "1", "at": "2025-01-06T13:00:00Z", "amount": 1999, "currency": "EUR",
     "type": "refund"},
]  # fmt: skip
DECLARED = {"table": "payments", "columns": PAYMENTS}
HISTORY = [
    {"ts": f"2025-01-06T12:0{n}:00Z", "ms_played": 60_000, "username": "u",
     "spotify_track_uri": f"spotify:track:{n}", "shuffle": False, "platform": "ios"}
    for n in range(3)
]  # fmt: skip
ACCOUNT = [
    {"endTime": "2025-01-06 08:15", "artistName": "Can", "trackName": "Halleluhwah",
     "msPlayed": 90_500},
    {"endTime": "2025-01-06 09:00", "podcastName": "In Our Time", "episodeName": "Plankton",
     "msPlayed": 60_000},
]  # fmt: skip
SCROBBLES = """artist,artist_mbid,album,album_mbid,track,track_mbid,timestamp,datetime
Can,,Tago Mago,,Halleluhwah,,1736164800,2025-01-06 12:00:00
"Earth, Wind & Fire",,,,Fantasy,,1736165100,2025-01-06 12:05:00
"""
LASTFM_1K = """user_000001\t2025-01-06T12:00:00Z\t\tCan\t\tHalleluhwah
user_000002\t2025-01-06T12:00:00Z\t\t"Weird Al" Yankovic\t\tEat It
"""
LISTEN = {
    "user_name": "rob", "timestamp": 1_736_164_800,
    "track_metadata": {"artist_name": "Can", "track_name": "Halleluhwah", "additional_info": {}},
}  # fmt: skip

COUNTS = "userID\tartistID\tweight\n2\t51\t13883\n3\t51\t1\n"
TAGGED = "userID\tartistID\ttagID\tday\tmonth\tyear\n2\t52\t13\t1\t4\t2009\n"
ALIASES = "1027859\t1252408\n1018110\t1018110\n"
SESSIONS = "UserId\tSessionId\tItemId\tTime\tArtistId\n2\t7\t13\t1397982525\t5\n"
PLAYED = (
    'event.play\t0\t1397982525\t{"playtime":176}\t'
    '{"subjects":[{"type":"user","id":2}],"objects":[{"type":"track","id":13}]}\n'
)
LISTS = "0 374 320 546\n1 925\n2\n"
MEASURED = (
    "danceability,energy,key,loudness,mode,speechiness,acousticness,instrumentalness,liveness,"
    "valence,tempo"
)
FEATURES = (
    f"track_id,track_name,track_artist,{MEASURED},duration_ms\n"
    '6f80,"Love, Love",Can,0.748,0.916,6,-2.634,1,0.0583,0.102,0,0.0653,0.518,122.036,194754\n'
)
TAGS = (
    "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\r\n"
    "track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\tgenre---rock\tmood---sad\r\n"
)


@dataclass(frozen=True)
class Sample:
    """One whole file of one format."""

    format: str
    name: str
    content: bytes
    rows: int  # source rows in it, every one of them good
    fields: dict[str, Any] = field(default_factory=dict)  # of the source's entry


def _lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    kept = io.BytesIO()
    pl.DataFrame(rows).write_parquet(kept)
    return kept.getvalue()


SAMPLES = (
    Sample("eventsim", "2025-01-06.jsonl", _lines(a_line(), a_line(itemInSession=1)), 2),
    Sample("msd_songs", "TRA.json", _lines({"artist_name": "A", "title": "S", "duration": 1.5}), 1),
    Sample("spotify_extended", "endsong_0.json", json.dumps(HISTORY).encode(), 3),
    Sample("spotify_account", "StreamingHistory0.json", json.dumps(ACCOUNT).encode(), 2),
    Sample("lastfm_scrobbles", "scrobbles.csv", SCROBBLES.encode(), 2),
    Sample("lastfm_1k", "userid-timestamp-artid-artname-traid-traname.tsv", LASTFM_1K.encode(), 2),
    Sample("listenbrainz_dump", "2025-01.listens", _lines(LISTEN), 1),
    Sample("hetrec_lastfm", "user_artists.dat", COUNTS.encode(), 2),
    Sample("hetrec_lastfm", "user_taggedartists.dat", TAGGED.encode(), 1),
    Sample("audioscrobbler", "user_artist_data.txt", b"1000002 1 55\n1000002 1000006 33\n", 2),
    Sample("audioscrobbler", "artist_alias.txt", ALIASES.encode(), 2),
    Sample("thirty_music", "30music_test.0.txt", SESSIONS.encode(), 1),
    Sample("thirty_music", "events.idomaar", PLAYED.encode(), 1),
    Sample("movielens", "u.data", b"196\t242\t3\t881250949\n186\t302\t4\t891717742\n", 2),
    Sample(
        "movielens",
        "ml.inter",
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t9\t3.5\t978300019\n",
        1,
    ),
    Sample("recsys_lists", "train.txt", LISTS.encode(), 3),
    Sample("recsys_lists", "item_map.txt", b"51 0\n52 1\n", 2),
    Sample("audio_features", "songs.csv", FEATURES.encode(), 1),
    Sample("jamendo_tags", "autotagging.tsv", TAGS.encode(), 1),
    Sample("csv", "payments.csv", pl.DataFrame(PAID).write_csv().encode(), 2, DECLARED),
    Sample("jsonl", "payments.jsonl", _lines(*PAID), 2, DECLARED),
    Sample("parquet", "payments.parquet", _parquet(PAID), 2, DECLARED),
)


def formats_of_files() -> set[str]:
    return {name for name in formats() if isinstance(reader(name), FileReader)}


def declared(sample: Sample, tenant_id: str, folder: Path) -> tuple[Tenant, Source]:
    entry = {
        "name": "theirs", "format": sample.format, "path": str(folder / sample.name),
        "owner": "data team", **sample.fields,
    }  # fmt: skip
    tenant = Tenant.model_validate({"id": tenant_id, "name": tenant_id, "sources": [entry]})
    return tenant, tenant.sources[0]


def taken(
    settings: Settings, sample: Sample, content: bytes, folder: Path, tenant_id: str = "t1"
) -> list[Batch] | SourceError:
    """What the reader makes of the content under the sample's name: all of it, or its refusal."""
    tenant, source = declared(sample, tenant_id, folder)
    path = folder / sample.name
    path.write_bytes(content)
    unit = Unit(sample.name, "0" * 64, None, str(path))
    handler = reader(sample.format)
    try:
        with handler.session(settings, tenant, source) as read:
            batches = list(read(unit))
    except SourceError as error:
        return error
    for _ in conformed(tenant, source, batches):
        pass
    return batches


def conformed(
    tenant: Tenant, source: Source, batches: list[Batch]
) -> Iterator[tuple[str, pl.DataFrame]]:
    for batch in batches:
        yield from reader(source.format).conform(tenant, source, batch.rows).items()
