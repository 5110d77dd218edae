"""Refuse a trigger form whose 'to' is not after its 'from', before a run exists.

Airflow checks each field of the form against its schema; no schema can compare
two fields, so the api-server asks this middleware first.
"""

from __future__ import annotations

import json
import re

from airflow.plugins_manager import AirflowPlugin
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analytics.errors import AnalyticsError
from analytics.interval import Interval

TRIGGER = re.compile(r"/api/v2/dags/(?!~)[^/]+/dagRuns/?$")


def complaint(body: bytes) -> str | None:
    """What is wrong with the interval of this trigger request, or None."""
    try:
        conf = json.loads(body).get("conf") or {}
        start, end = conf.get("from"), conf.get("to")
    except (ValueError, AttributeError):
        return None  # not ours to judge: the api-server answers
    if not start and not end:
        return None
    if not (start and end):
        return "give both 'from' and 'to', or neither"
    try:
        Interval.of(start, end)
    except (AnalyticsError, TypeError) as error:
        return str(error)
    return None


class RefuseBadIntervals:
    """ASGI middleware: answers 422 to a trigger whose interval is no interval."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == "http" and scope["method"] == "POST"
        if not (asks and TRIGGER.search(scope["path"])):
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
        wrong = complaint(b"".join(m.get("body", b"") for m in messages))
        if wrong:
            await JSONResponse({"detail": wrong}, status_code=422)(scope, receive, send)
            return
        replay = iter(messages)

        async def replayed():
            return next(replay, None) or await receive()

        await self._app(scope, replayed, send)


class TriggerFormPlugin(AirflowPlugin):
    """Hangs the middleware in front of the api-server."""

    name = "trigger_form"
    fastapi_root_middlewares = [  # noqa: RUF012  the attribute Airflow reads
        {"middleware": RefuseBadIntervals, "args": [], "kwargs": {}, "name": "refuse bad intervals"}
    ]
