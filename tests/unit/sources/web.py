"""A tenant of a web service on loopback, and what its day files hold beside its history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources.base import Unit
from analytics.sources.lastfm_api import LastfmApi
from analytics.sources.listenbrainz_api import ListenBrainzApi
from analytics.sources.web_listens import WebListens
from analytics.tenants import Tenant
from tests.web_service import KEY, WebService

READERS: dict[str, Callable[..., WebListens]] = {
    "listenbrainz_api": ListenBrainzApi,
    "lastfm_api": LastfmApi,
}
MIDNIGHT = int(datetime(2025, 1, 6, tzinfo=UTC).timestamp())
DAY, NOON = 86_400, MIDNIGHT + 43_200
TWO_DAYS = Interval.of("2025-01-06", "2025-01-08")
BOTH = pytest.mark.parametrize("format_", READERS)


def a_tenant(known: WebService, format_: str, *users: str, tenant_id: str = "t1", **more: Any):
    entry = {"name": "listens", "format": format_, "users": users or ["rob"], "url": known.url,
             "key_secret": "web_key", "owner": "Ada", **more}  # fmt: skip
    return Tenant(id=tenant_id, name=tenant_id, sources=(entry,))


def no_sleep(seconds: float) -> None:
    """Tests do not wait."""


def with_key(settings: Settings, key: str = KEY) -> Settings:
    settings.secrets.mkdir(parents=True, exist_ok=True)
    (settings.secrets / "web_key").write_text(f"{key}\n")
    return settings


def fetch(
    settings: Settings,
    tenant: Tenant,
    interval: Interval = TWO_DAYS,
    sleep: Callable[[float], None] = no_sleep,
) -> dict[str, Unit]:
    source = tenant.sources[0]
    units = READERS[source.format](sleep=sleep).units(settings, tenant, source, interval)
    assert not units.missing_days
    return {unit.name: unit for unit in units.found}


def given_by(unit: Unit) -> list[dict[str, Any]]:
    assert unit.location
    return [json.loads(line) for line in Path(unit.location).read_text().splitlines()]


def expected(known: WebService, format_: str, user: str, day: str) -> Counter[str]:
    """What the service holds of a day, straight from the history."""
    first = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    return Counter(
        json.dumps(
            heard.of_lastfm() if format_ == "lastfm_api" else heard.of_listenbrainz(user),
            sort_keys=True,
        )
        for heard in known.histories[user]
        if first <= heard.second < first + DAY
    )


def assert_whole(known: WebService, format_: str, units: dict[str, Unit]) -> None:
    for name, unit in units.items():
        user, _, day = name.rpartition("@")
        listens = given_by(unit)
        found = Counter(json.dumps(listen, sort_keys=True) for listen in listens)
        assert found == expected(known, format_, user, day)
        seconds = [int(one.get("listened_at") or one["date"]["uts"]) for one in listens]
        assert seconds == sorted(seconds)
        assert unit.arrived_on == date.fromisoformat(day)


def calls(known: WebService) -> list[dict[str, str]]:
    return [{k: v[-1] for k, v in parse_qs(urlsplit(path).query).items()} for path in known.asked]
