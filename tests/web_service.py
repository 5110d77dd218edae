"""A real web server on loopback that speaks like ListenBrainz and like Last.fm, and misbehaves.

Both interfaces give one small history in memory, by the rules of the services: ListenBrainz by
`max_ts` and `min_ts`, which leave their own second out, Last.fm by page within `from` and `to`.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "s3cretKey/0123456789abcdef"  # with a character that an address writes differently
MOST = 1000  # listens that ListenBrainz gives at once


@dataclass(frozen=True, order=True)
class Heard:
    """One listen of a history."""

    second: int
    track: str = "Song"
    artist: str = "Artist"
    album: str = "Album"
    info: tuple[tuple[str, Any], ...] = ()  # of ListenBrainz's additional_info

    def of_listenbrainz(self, user: str) -> dict[str, Any]:
        return {
            "inserted_at": self.second + 60,
            "listened_at": self.second,
            "recording_msid": f"msid-{self.artist}-{self.track}",
            "track_metadata": {
                "additional_info": dict(self.info),
                "artist_name": self.artist,
                "release_name": self.album,
                "track_name": self.track,
            },
            "user_name": user,
        }

    def of_lastfm(self) -> dict[str, Any]:
        stamp = time.strftime("%d %b %Y, %H:%M", time.gmtime(self.second))
        return {
            "artist": {"mbid": "", "#text": self.artist},
            "streamable": "0",
            "image": [{"size": "small", "#text": "https://images.test/s.png"}],
            "mbid": "",
            "album": {"mbid": "", "#text": self.album},
            "name": self.track,
            "url": f"https://www.last.fm/music/{self.artist}/_/{self.track}",
            "date": {"uts": str(self.second), "#text": stamp},
        }


@dataclass(frozen=True)
class Fault:
    """What happens instead of an answer, or to one."""

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    cut: bool = False  # the answer ends before its length
    reset: bool = False  # the connection breaks without a word
    seconds: float = 0  # until the answer comes


@dataclass
class WebService:
    """What the server knows, and what it was asked."""

    histories: dict[str, list[Heard]] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)  # by number of the call, from 0
    always: Fault | None = None  # to every call without a fault of its own
    keys: frozenset[str] = frozenset({KEY})
    now_playing: bool = False
    total: Callable[[int], int] = lambda total: total  # what Last.fm says there are
    before: Callable[[int], None] = lambda number: None  # is run before a call is answered
    asked: list[str] = field(default_factory=list)  # path and query of every call
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def listenbrainz(self, user: str, query: dict[str, str]) -> tuple[int, Any]:
        if user not in self.histories:
            return 404, {"code": 404, "error": f"Cannot find user: {user}"}
        count = min(int(query.get("count", 25)), MOST)
        after, before = int(query.get("min_ts", -1)), int(query.get("max_ts", 1 << 40))
        inside = [h for h in self.histories[user] if after < h.second < before]
        random.Random(len(self.asked)).shuffle(inside)  # a second has no order of its own
        inside.sort(key=lambda h: h.second, reverse="min_ts" not in query)
        found = sorted(inside[:count], key=lambda h: -h.second)
        listens = [heard.of_listenbrainz(user) for heard in found]
        return 200, {"payload": {"count": len(listens), "listens": listens, "user_id": user}}

    def lastfm(self, query: dict[str, str]) -> tuple[int, Any]:
        if query.get("api_key") not in self.keys:
            message = "Invalid API key - You must be granted a valid key by last.fm"
            return 403, {"error": 10, "message": message}
        if query["user"] not in self.histories:
            return 404, {"error": 6, "message": "User not found"}
        limit, page = int(query.get("limit", 50)), int(query.get("page", 1))
        first, last = int(query.get("from", 0)), int(query.get("to", 1 << 40))
        inside = [h for h in self.histories[query["user"]] if first <= h.second <= last]
        inside.sort(key=lambda h: -h.second)
        tracks = [h.of_lastfm() for h in inside[(page - 1) * limit : page * limit]]
        if self.now_playing:
            heard = Heard(0, "Heard now").of_lastfm()
            del heard["date"]
            tracks.insert(0, {**heard, "@attr": {"nowplaying": "true"}})
        total = self.total(len(inside))
        attributes = {
            "user": query["user"], "page": str(page), "perPage": str(limit),
            "total": str(total), "totalPages": str(-(-len(inside) // limit)),
        }  # fmt: skip
        alone = tracks[0] if len(tracks) == 1 else tracks
        return 200, {"recenttracks": {"track": alone, "@attr": attributes}}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    known: ClassVar[WebService]
    lock: ClassVar[threading.Lock]

    def do_GET(self) -> None:
        with self.lock:
            number = len(self.known.asked)
            self.known.asked.append(self.path)
            self.known.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.known.before(number)
            status, document = self._answer()
        fault = self.known.faults.get(number, self.known.always) or Fault()
        if fault.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        time.sleep(fault.seconds)
        body = json.dumps(document).encode() if fault.body is None else fault.body
        self.send_response(fault.status or status)
        for name, value in fault.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault.cut:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _answer(self) -> tuple[int, Any]:
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        match address.path.split("/"):
            case ["", "1", "user", user, "listens"]:
                return self.known.listenbrainz(unquote(user), query)
            case ["", "2.0", ""]:
                return self.known.lastfm(query)
        return 404, {"code": 404, "error": "Not found"}

    def log_message(self, format: str, *args: object) -> None:
        """The tests look at `asked` instead."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def running(known: WebService) -> Iterator[WebService]:
    """The service on a free port of loopback, until the block ends."""
    answers = type("Answers", (_Answers,), {"known": known, "lock": threading.Lock()})
    server = _Server(("127.0.0.1", 0), answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
