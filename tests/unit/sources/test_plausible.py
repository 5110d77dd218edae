"""What span of time a handful of broken clocks may not stretch."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.interval import Interval
from analytics.sources.plausible import FAR, plausible_span
from analytics.sources.sniff import extent
from analytics.tenants import get_tenant

EPOCH, YEAR_2099 = datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
FIRST = datetime(2019, 3, 1, 8, tzinfo=UTC)


def instants(*values: datetime | None) -> pl.Series:
    return pl.Series(values, dtype=pl.Datetime("us", "UTC"))


def hourly(n: int) -> list[datetime]:
    return [FIRST + timedelta(hours=h) for h in range(n)]


@pytest.mark.parametrize("n", [3, 20, 5000])
@pytest.mark.parametrize("broken", [[], [EPOCH], [YEAR_2099], [EPOCH, YEAR_2099]])
def test_a_broken_clock_does_not_stretch_it(n, broken):
    plays = hourly(n)
    assert plausible_span(instants(*broken, *plays, None)) == (plays[0], plays[-1])


def test_of_a_large_source_one_in_a_thousand_is_few():
    plays = hourly(5000)
    assert plausible_span(instants(*plays, *[YEAR_2099] * 5)) == (plays[0], plays[-1])
    assert plausible_span(instants(*plays, *[YEAR_2099] * 6)) == (plays[0], YEAR_2099)


def test_two_instants_far_apart_are_both_believed():
    assert plausible_span(instants(FIRST, YEAR_2099)) == (FIRST, YEAR_2099)


def test_a_pause_of_years_is_no_fault():
    plays = [FIRST, *(FIRST + timedelta(days=4 * 365 + h) for h in range(30))]
    assert plausible_span(instants(*plays)) == (plays[0], plays[-1])


@pytest.mark.parametrize("none", [instants(), instants(None, None)])
def test_without_an_instant_there_is_no_span(none):
    assert plausible_span(none) is None


def test_a_broken_clock_does_not_stretch_what_an_undated_export_covers(make_settings):
    history = {"name": "history", "format": "spotify_extended"}
    settings = make_settings(
        [
            {"id": t, "name": t, "sources": [{**history, "path": f"{{landing}}/{t}/*.json"}]}
            for t in ("t1", "t2")
        ]
    )
    for tenant_id, broken in (("t1", ["1970-01-01T00:10:00Z", "2099-01-01T00:00:00Z"]), ("t2", [])):
        path = settings.landing / tenant_id / "endsong_0.json"
        path.parent.mkdir(parents=True)
        plays = [
            {"ts": ts, "ms_played": n, "username": "u", "spotify_track_uri": f"spotify:track:{n}"}
            for n, ts in enumerate([*(f"2025-01-0{d}T12:00:00Z" for d in range(5, 9)), *broken])
        ]
        path.write_text(json.dumps(plays))
        days = Interval.of("2025-01-05", "2025-01-09")
        assert extent(settings, get_tenant(settings, tenant_id)) == days


@given(st.lists(st.integers(0, 40 * 365), min_size=1, max_size=60))
def test_what_is_left_out_is_few_and_far(days):
    known = sorted(EPOCH + timedelta(days=d) for d in days)
    first, last = plausible_span(instants(*known))
    inside = [t for t in known if first <= t <= last]
    before, after = [t for t in known if t < first], [t for t in known if t > last]
    assert inside
    for left_out in (before, after):
        assert len(left_out) <= 3
        assert len(left_out) < len(known) / 2
    assert not before or first - before[-1] > FAR
    assert not after or after[0] - last > FAR
