"""Listens of ListenBrainz users, asked of its API.

Grain      one row per listen the service gives, as in its dumps.
Feeds      what a dump feeds, with the same ids.
Paging     backwards in time by `max_ts`, which leaves that second itself out: the last second of
           a page may be cut, so it is dropped and asked for again as the first of the next.
Surprises  the service gives at most MOST listens at once and knows no finer place than a second,
           so more than that in one second cannot be had; it asks for one call a second at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote

import polars as pl

from analytics.settings import Settings
from analytics.sources.base import Batch, Unit
from analytics.sources.fetched import Cursor, Listens, Span
from analytics.sources.http_client import Refusal, Service
from analytics.sources.listenbrainz_dump import ListenbrainzDump
from analytics.sources.web_listens import Access, WebListens, user_of
from analytics.tenants import Source, Tenant

MOST = 1000  # listens the service gives at once, whatever is asked
A_DAY = 100  # listens asked for at once, for each day of the interval


class ListenBrainzApi(WebListens):
    format = "listenbrainz_api"
    example = "- {name: listens, format: listenbrainz_api, users: [rob, mayhem]}"
    access: ClassVar[Access] = Access(
        url="https://api.listenbrainz.org",
        pause=1,
        needs_key=False,
        key="the user token of any account (listenbrainz.org/settings)",
    )

    of_files = ListenbrainzDump()

    def begin(self, span: Span) -> Cursor:
        return {"max_ts": span.end}

    def page(
        self, service: Service, user: str, span: Span, cursor: Cursor
    ) -> tuple[Listens, Cursor | None]:
        before = cursor["max_ts"]
        for count in sorted({min(A_DAY * len(span.days), MOST), MOST}):
            listens = self._ask(service, user, before, count)
            lowest = min((second for second, _ in listens), default=-1)
            if lowest < span.first:
                return listens, None
            if lowest < before - 1:
                return [one for one in listens if one[0] > lowest], {"max_ts": lowest + 1}
            if len(listens) < count:  # one second, and all of it
                return listens, {"max_ts": lowest}
        raise service.refused(
            user,
            f"has {MOST:,} listens or more in one second ({lowest}) and gives no more at once",
            "Take the user out of `users` and load the history from a dump",
        )

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        listener = pl.col("user_name").fill_null(pl.lit(user_of(unit)))
        for batch in self.of_files.read(settings, tenant, source, unit):
            yield Batch(batch.rows.with_columns(listener), batch.rejects)

    def signed(self, key: str) -> dict[str, Any]:
        return {"headers": {"Authorization": f"Token {key}"}}

    def _ask(self, service: Service, user: str, before: int, count: int) -> Listens:
        """Up to `count` listens before a second, the latest of them."""
        answer = service.ask(
            user,
            f"/1/user/{quote(user, safe='')}/listens",
            {"max_ts": before, "count": count},
            _refusal,
        )
        try:
            found = [
                (_second(listen["listened_at"]), listen)
                for listen in answer["payload"]["listens"]
                if not listen.get("playing_now")  # heard right now: no listen yet
            ]
        except (KeyError, TypeError, AttributeError, ValueError):
            raise service.refused(user, f"gave no listens ({service.quoted(answer)})") from None
        if any(second >= before for second, _ in found):
            raise service.refused(user, f"gave listens that are not before {before}, as asked")
        return found


def _second(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(value)
    return value


def _refusal(status: int, document: Any) -> Refusal | None:
    if not (isinstance(document, dict) and "error" in document):
        return None
    words = document["error"]
    if status == 404:
        return Refusal("404", words, "Correct the name, or take it out of `users`")
    if status in (401, 403):
        return Refusal(str(status), words, "Put a valid token into the file `key_secret` names")
    return None
