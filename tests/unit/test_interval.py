from __future__ import annotations

from datetime import UTC, date, datetime

import pendulum
import pytest

from analytics.errors import AnalyticsError
from analytics.interval import Interval


def test_days_mean_midnight_utc_and_the_end_is_not_part_of_it():
    interval = Interval.of("2025-01-01", "2025-01-03")
    assert interval.start == datetime(2025, 1, 1, tzinfo=UTC)
    assert interval.days() == [date(2025, 1, 1), date(2025, 1, 2)]


def test_an_instant_in_another_zone_becomes_utc():
    assert Interval.of("2025-01-01T01:00:00+01:00", "2025-01-02").start.hour == 0


def test_an_instant_of_airflows_own_class_becomes_a_plain_one():
    interval = Interval.of(pendulum.datetime(2025, 1, 1), pendulum.datetime(2025, 1, 2))
    assert interval == Interval.of("2025-01-01", "2025-01-02")
    assert type(interval.start) is type(interval.end) is datetime


def test_extra_round_trips():
    interval = Interval.of("2025-01-01T12:30:00Z", "2025-01-02")
    extra = interval.as_extra()
    assert Interval.of(extra["from"], extra["to"]) == interval


def test_the_smallest_interval_that_covers_others():
    a, b = Interval.day(date(2025, 1, 1)), Interval.day(date(2025, 1, 5))
    assert Interval.covering([b, a]) == Interval.of("2025-01-01", "2025-01-06")


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        ("2025-01-02", "2025-01-01", "must be later"),
        ("2025-01-01", "2025-01-01", "must be later"),
        ("yesterday", "2025-01-01", "'from' is not a date: 'yesterday'"),
        ("2025-01-01", "2025-13-01", "'to' is not a date"),
    ],
)
def test_a_bad_interval_says_which_end_is_wrong(start, end, complaint):
    with pytest.raises(AnalyticsError, match=complaint):
        Interval.of(start, end)


def test_an_instant_without_zone_is_refused():
    with pytest.raises(AnalyticsError, match="no time zone"):
        Interval(datetime(2025, 1, 1), datetime(2025, 1, 2))  # noqa: DTZ001  the very fault
