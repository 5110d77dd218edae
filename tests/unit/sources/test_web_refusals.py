"""Web services that misbehave, and entries that are wrong: said in words, and never with a key."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import httpx
import pytest
import yaml

from analytics.errors import SettingsError, SourceError
from analytics.settings import Settings
from analytics.sources import http_client
from analytics.sources.faults import checked_tenants
from tests.unit.sources.web import (
    BOTH,
    NOON,
    a_tenant,
    assert_whole,
    calls,
    fetch,
    with_key,
)
from tests.web_service import KEY, Fault, Heard, WebService, running


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return with_key(settings)


@pytest.fixture
def service() -> Iterator[WebService]:
    with running(WebService({"rob": []})) as known:
        yield known


# ---- a service that misbehaves

FATAL = {
    "unknown user": (Fault(), "nobody", "Correct the name"),
    "a wrong key": (Fault(403, body=b'{"error": 10, "message": "Invalid API key"}'), "rob", "key"),
    "401": (Fault(401, body=b'{"error": 4, "code": 401}'), "rob", "valid"),
    "always 429": (Fault(429, (("Retry-After", "5"),), b'{"error": 29}'), "rob", "6 times"),
    "always 503": (Fault(503, body=b"maintenance"), "rob", "maintenance.* 6 times"),
    "never JSON": (Fault(200, body=b"<html>"), "rob", "gave no JSON object.* 6 times"),
    "always cut": (Fault(cut=True), "rob", "did not answer whole.* 6 times"),
    "always broken": (Fault(reset=True), "rob", "did not answer whole.* 6 times"),
    "too long a wait": (Fault(429, (("Retry-After", "7200"),)), "rob", "alone for 7200 s"),
    "elsewhere": (Fault(301, (("Location", "http://127.0.0.1:9/"),)), "rob", "said 301"),
    "other JSON": (Fault(200, body=b'{"payload": {"listens": [1]}}'), "rob", "gave no"),
    "a key echoed": (Fault(400, body=f"no {KEY} {quote(KEY, safe='')}".encode()), "rob", r"\*\*\*"),
    "a key cut": (Fault(418, body=b"x" * (http_client.SAID - 9) + KEY.encode()), "rob", "said 418"),
    "a key escaped": (
        Fault(418, body=json.dumps({"no": KEY}).replace("/", "\\/").encode()),
        "rob",
        "said 418",
    ),
}


@BOTH
@pytest.mark.parametrize("name", FATAL)
def test_a_refusal_names_who_what_whom_to_ask_and_never_the_key(
    keyed, service, format_, name, caplog
):
    fault, user, words = FATAL[name]
    service.always = fault
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SourceError, match=words) as error:
        fetch(keyed, a_tenant(service, format_, user))
    message = str(error.value)
    assert message.startswith(f"t1: source listens: user {user}: 127.0.0.1 ")
    assert message.endswith("ask its owner (Ada)")
    assert len(service.asked) == (6 if "6 times" in words else 1)
    for said in (message, caplog.text):
        assert KEY[:9] not in said
    sent = service.headers[0].get("authorization") == f"Token {KEY}"
    assert sent or calls(service)[0]["api_key"] == KEY


@BOTH
def test_the_log_shows_calls_without_their_key(keyed, service, format_, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # Airflow, once imported, silences it
    fetch(keyed, a_tenant(service, format_))
    assert "HTTP Request: GET http://127.0.0.1" in caplog.text
    assert KEY not in caplog.text
    assert quote(KEY, safe="") not in caplog.text


def test_a_service_that_cannot_be_reached_is_named(keyed, service):
    service.url = "http://127.0.0.1:9"
    with pytest.raises(SourceError, match=r"user rob: 127.0.0.1 did not answer whole .*refused"):
        fetch(keyed, a_tenant(service, "lastfm_api"))


@BOTH
def test_slow_and_endless_answers_are_cut_off(keyed, service, format_, monkeypatch):
    service.faults[0] = Fault(seconds=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(http_client, "TIMEOUT", httpx.Timeout(0.1))
        fetch(keyed, a_tenant(service, format_))
    assert len(service.asked) == 2
    monkeypatch.setattr(http_client, "MOST_BYTES", 1 << 20)
    service.always = Fault(body=b" " * (3 << 20))
    with pytest.raises(SourceError, match="more than 1 MB at once"):
        fetch(keyed, a_tenant(service, format_))
    monkeypatch.setattr(http_client, "MOST_BYTES", 8 << 20)
    monkeypatch.setattr(http_client, "LONGEST_ANSWER", -1)
    with pytest.raises(SourceError, match="6 times in a row"):
        fetch(keyed, a_tenant(service, format_))


@pytest.mark.parametrize(
    ("headers", "at_least"),
    [
        ((("Retry-After", "40"),), 40),
        ((("X-RateLimit-Reset-In", "30"), ("X-RateLimit-Remaining", "0")), 30),
        ((("Retry-After", "soon"), ("X-RateLimit-Reset-In", "-1")), 1),
        ((("Retry-After", "nan"),), 1),
    ],
)
def test_it_waits_as_long_as_it_is_asked_to(keyed, service, headers, at_least):
    slept: list[float] = []
    service.faults[0] = Fault(429, headers)
    fetch(keyed, a_tenant(service, "listenbrainz_api"), sleep=slept.append)
    assert at_least <= slept[0] <= at_least + 2


def test_a_date_to_wait_for_is_held_against_the_clock_of_the_service():
    ours_is_wrong = datetime(1999, 1, 1, tzinfo=UTC)
    headers = httpx.Headers(
        {
            "Date": format_datetime(ours_is_wrong),
            "Retry-After": format_datetime(ours_is_wrong + timedelta(seconds=90)),
        }
    )
    assert http_client._asked_wait(headers) == 90


def test_it_rests_before_the_calls_run_out_and_waits_longer_each_time_they_fail(keyed, service):
    slept: list[float] = []
    service.histories["rob"] = [Heard(NOON + n, f"s{n}") for n in range(350)]
    service.faults[0] = Fault(
        headers=(("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-In", "8"))
    )
    fetch(keyed, a_tenant(service, "listenbrainz_api"), sleep=slept.append)
    assert slept[0] == 8
    assert set(slept[1:]) == {1}, "one call a second is what the service asks for"
    slept.clear()
    service.always = Fault(500)
    with pytest.raises(SourceError):
        fetch(keyed, a_tenant(service, "listenbrainz_api"), sleep=slept.append)
    assert len(slept) == http_client.TRIES - 1
    assert slept == sorted(slept)
    assert slept[-1] > 10 * slept[0] / 2


def test_it_says_who_calls_and_whom_to_ask(keyed, service):
    fetch(keyed, a_tenant(service, "listenbrainz_api", owner="Zoë\r\nX-Evil: 1"))
    agent = service.headers[0]["user-agent"]
    assert agent.startswith("tenant-analytics/")
    assert agent.endswith(" ( Zo? X-Evil: 1 )")
    assert "x-evil" not in service.headers[0]


# ---- declared


@pytest.mark.parametrize("content", [None, b"", b"two words", b"a\nb", b"\xff\xfe", "schlüssel"])
def test_a_key_that_is_none_is_refused_unseen(settings, service, content):
    settings.secrets.mkdir(parents=True)
    if content is not None:
        text = content.encode() if isinstance(content, str) else content
        (settings.secrets / "web_key").write_bytes(text)
    with pytest.raises(SourceError, match=r"t1: source listens: .*web_key .*Ada") as error:
        fetch(settings, a_tenant(service, "lastfm_api"))
    assert "two words" not in str(error.value)
    assert not service.asked


def test_listenbrainz_needs_no_token(settings, service):
    service.histories["rob"] = [Heard(NOON)]
    tenant = a_tenant(service, "listenbrainz_api", key_secret=None)
    assert_whole(service, "listenbrainz_api", fetch(settings, tenant))
    assert "authorization" not in service.headers[0]


WRONG = [
    ({"format": "lastfm_api", "key_secret": "k"}, "users: format lastfm_api needs it"),
    ({"format": "lastfm_api", "users": ["a"]}, "key_secret: format lastfm_api needs it"),
    ({"format": "listenbrainz_api"}, "users: format listenbrainz_api needs it"),
    ({"format": "listenbrainz_api", "users": ["a"], "path": "x"}, "path: .* does not read it"),
    ({"format": "listenbrainz_api", "users": ["a"], "table": "plays"}, "table: .* not read it"),
    ({"format": "listenbrainz_api", "users": ["Rob", "b", "rob"]}, "'rob' is named 2 times"),
    ({"format": "listenbrainz_api", "users": ["a", " "]}, "users: one has no name"),
    ({"format": "listenbrainz_api", "users": "rob"}, "users: Input should be"),
    ({"format": "listenbrainz_api", "users": ["a"], "url": "ftp://x"}, "url: String should"),
    ({"format": "listenbrainz_api", "users": ["a"], "url": f"https://a:{KEY}@x"}, "url: String"),
    ({"format": "listenbrainz_api", "users": ["a"], "url": f"https://x/?key={KEY}"}, "url: Str"),
    ({"format": "listenbrainz_api", "users": ["a"], "key_secret": "../k"}, "key_secret: String"),
    ({"format": "eventsim", "path": "x", "users": ["a"]}, "users: .* does not read it"),
    ({"format": "eventsim", "path": "x", "url": "https://x"}, "url: .* does not read it"),
]


@pytest.mark.parametrize(("entry", "words"), WRONG)
def test_the_check_names_every_fault_of_an_entry(tmp_path, entry, words):
    file = tmp_path / "tenants.yaml"
    tenants = [{"id": t, "name": t, "sources": [{"name": "web", **entry}]} for t in ("t1", "t2")]
    file.write_text(yaml.safe_dump({"tenants": tenants}))
    with pytest.raises(SettingsError) as error:
        checked_tenants(file)
    for tenant in ("t1", "t2"):
        assert any(
            f"tenant {tenant}: source web: " in line and re.search(words, line)
            for line in str(error.value).splitlines()
        )
    assert KEY not in str(error.value)
