"""Ask a web service for JSON, patiently and politely: a whole object comes back, or SourceError.

Patience  what passes (429, 5xx, a broken connection, half an answer) is tried again, later and
          later; where the service says how long to wait, that long. Never more than TRIES times.
Manners   one call at a time, `pause` seconds between two, none while the service says that
          none is left, and a user agent that names whom to call.
Secrecy   a key is in no error and in no log, and is never sent on to where a service redirects.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from analytics.errors import SourceError
from analytics.tenants import Source, Tenant

TRIES = 6
PATIENCE = 300  # seconds a service may make us wait; one that asks for more is left alone
MOST_BYTES = 32 << 20  # of one answer, unpacked: three times what either service can send
LONGEST_ANSWER = 300  # seconds: a service that drips never trips the timeout of a single read
TIMEOUT = httpx.Timeout(60, connect=10)
SAID = 200  # characters of a service's own words that are shown
MOST_WORDS = 64 << 10  # bytes of an answer that are looked at for them
PASSING = frozenset({408, 425, 429})  # and every 5xx

Sleep = Callable[[float], None]
KEY_IN_ADDRESS = re.compile(r"((?:api_key|token)=)[^&\s\"]+", re.IGNORECASE)


class _WithoutKeys(logging.Filter):
    """The library logs whole addresses, and Last.fm takes its key in the address."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = KEY_IN_ADDRESS.sub(r"\1***", record.getMessage()), ()
        return True


logging.getLogger("httpx").addFilter(_WithoutKeys())


@dataclass(frozen=True)
class Refusal:
    """A service said no."""

    said: str
    words: object = None  # its own, where it gave any
    advice: str | None = None  # what to do about it
    is_passing: bool = False  # worth another try


# What a status and the JSON that came with it (None: no JSON) mean; None is an answer.
Judge = Callable[[int, Any], Refusal | None]
_backoff = wait_exponential_jitter(initial=1, max=60)


class _Passing(Exception):
    def __init__(self, said: str, seconds: float | None = None) -> None:
        super().__init__(said)
        self.seconds = seconds


class Service:
    """One source's web service; a context manager that holds its connection."""

    def __init__(
        self,
        tenant: Tenant,
        source: Source,
        url: str,
        *,
        secret: str | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,  # of every call
        pause: float = 0,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._tenant, self._source, self._secret = tenant, source, secret
        self._url, self._pause, self._sleep = url, pause, sleep
        self._rest: float | None = None  # seconds before the next call; None before the first
        agent = {"User-Agent": user_agent(source.owner), "Accept": "application/json"}
        self._client = httpx.Client(
            timeout=TIMEOUT,
            headers={**agent, **(headers or {})},
            params=params,
            verify=_authorities(),
        )

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.__exit__(kind, error, trace)

    def ask(self, user: str, path: str, params: dict[str, str | int], judge: Judge) -> Any:
        """The JSON at a path below the service's address, asked for on behalf of one user."""
        if self._rest is not None:
            self._wait(user, max(self._pause, self._rest))
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            retry=retry_if_exception_type(_Passing),
            wait=_seconds_to_wait,
            sleep=lambda seconds: self._wait(user, seconds),
            reraise=True,
        )
        try:
            return retrying(self._once, user, path, params, judge)
        except _Passing as error:
            raise self.refused(
                user,
                f"{error}, {TRIES} times in a row",
                "Run the same interval again later: what has come is kept and not asked again",
            ) from None

    def refused(self, user: str, what: str, advice: str | None = None) -> SourceError:
        """The error to raise: who, what the service did, what to do and whom to ask."""
        host = httpx.URL(self._url).host
        text = (
            f"{self._tenant.id}: source {self._source.name}: user {user}: {host} {what}. "
            f"{advice or 'Correct the entry in the tenants file'}, or ask its owner "
            f"({self._source.owner})"
        )
        return SourceError(self._hidden(text))

    def quoted(self, words: object) -> str:
        """A service's own words as one short line."""
        line = " ".join("".join(c if c.isprintable() else " " for c in str(words)).split())
        return f'"{self._hidden(line)[:SAID]}"'

    def _once(self, user: str, path: str, params: dict[str, str | int], judge: Judge) -> Any:
        self._rest = 0
        try:
            with self._client.stream("GET", self._url + path, params=params) as response:
                self._rest = _rest(response.headers)
                body = self._body(user, response)
        except httpx.RequestError as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _Passing(self._hidden(f"did not answer whole ({reason})")) from None
        document = _parsed(body)
        refusal = judge(response.status_code, document) or _refusal(response, document, body)
        if refusal is None:
            return document
        said = f"said {refusal.said}"
        if refusal.words:
            said += f" ({self.quoted(refusal.words)})"
        if refusal.is_passing:
            raise _Passing(said, _asked_wait(response.headers))
        raise self.refused(user, said, refusal.advice)

    def _body(self, user: str, response: httpx.Response) -> bytes:
        body, began = bytearray(), time.monotonic()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                raise self.refused(
                    user, f"sent more than {MOST_BYTES >> 20} MB at once, which is no answer"
                )
            if time.monotonic() - began > LONGEST_ANSWER:
                raise _Passing(f"sent an answer for more than {LONGEST_ANSWER} s")
        return bytes(body)

    def _wait(self, user: str, seconds: float) -> None:
        if seconds > PATIENCE:
            raise self.refused(
                user,
                f"asks to be left alone for {math.ceil(seconds)} s",
                "Run the same interval again after that: what has come is kept",
            )
        if seconds > 0:
            self._sleep(seconds)

    def _hidden(self, text: str) -> str:
        for form in {self._secret, quote(self._secret, safe="")} if self._secret else ():
            text = text.replace(form, "***")
        return KEY_IN_ADDRESS.sub(r"\1***", text)


@cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are believed; reading them takes a tenth of a second."""
    return httpx.create_ssl_context()


def user_agent(contact: str) -> str:
    """What services ask for: who calls, in which version, and whom to ask about it."""
    version = importlib.metadata.version("tenant-analytics")
    words = " ".join(contact.split()).encode("ascii", "replace").decode()
    return f"tenant-analytics/{version} ( {words} )"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _refusal(response: httpx.Response, document: Any, body: bytes) -> Refusal | None:
    """What any service means by a status, and by an answer that is no JSON."""
    status = response.status_code
    if status == 200 and isinstance(document, dict):
        return None
    said = f"{status} {response.reason_phrase}".strip()
    words = body[:MOST_WORDS].decode(errors="replace") if document is None else document
    if status == 200:
        return Refusal(f"{said} and gave no JSON object", words, is_passing=True)
    return Refusal(said, words, is_passing=status in PASSING or status >= 500)


def _seconds_to_wait(state: RetryCallState) -> float:
    """Longer after every try, and never shorter than what the service asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, _Passing) else None
    return max(asked or 0, _backoff(state))


def _asked_wait(headers: httpx.Headers) -> float | None:
    """Seconds a service asks to wait. A date is held against its own clock, not ours."""
    for name in ("Retry-After", "X-RateLimit-Reset-In"):
        if (seconds := _number(headers.get(name))) is not None:
            return seconds
    try:
        until = parsedate_to_datetime(headers["Retry-After"])
        return max(0.0, (until - parsedate_to_datetime(headers["Date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def _rest(headers: httpx.Headers) -> float:
    """Seconds until the service has calls left for us."""
    if _number(headers.get("X-RateLimit-Remaining")) == 0:
        return _number(headers.get("X-RateLimit-Reset-In")) or 0
    return 0


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
