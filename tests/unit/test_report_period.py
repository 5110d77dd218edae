"""Periods that no data can fill are refused, from Python as from the command line."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from analytics.errors import AnalyticsError
from analytics.report.engine import AnalyticsEngine


@pytest.mark.parametrize(
    ("days", "until", "words"),
    [
        (0, None, "days must be 1 to 3660, not 0"),
        (3661, date(2025, 1, 1), "days must be 1 to 3660, not 3661"),
        (10**12, None, "days must be 1 to 3660"),
        (28, date(1, 1, 5), "until 0001-01-05: no data is older than 2000-01-01"),
    ],
)
def test_a_period_that_cannot_be_is_refused(make_settings, days, until, words):
    engine = AnalyticsEngine("t1", make_settings())
    with pytest.raises(AnalyticsError, match=words):
        asyncio.run(engine.generate_report(days=days, until=until))
