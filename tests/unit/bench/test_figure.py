"""Figures: how a number reads, and what a ratio means."""

from __future__ import annotations

import pytest

from analytics.errors import AnalyticsError
from bench.__main__ import chosen
from bench.figure import rate, seconds, shown
from bench.measures import MEASURES


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2_345_678, "plays", "2.35 M plays"),
        (45_678, "rows/s", "45.7 k rows/s"),
        (1234, "rows/s", "1,234 rows/s"),
        (0.4567, "s", "0.457 s"),
        (0.812, "", "0.812"),
        ("yes", "", "yes"),
    ],
)
def test_a_value_reads_as_people_say_it(value, unit, text):
    assert shown(value, unit) == text


def test_a_ratio_below_one_means_slower_than_the_bare_engine():
    slower = rate("x", "x", 100, ours=2.0, bare_seconds=1.0, how="", aim_ratio=0.8)
    faster = rate("x", "x", 100, ours=1.0, bare_seconds=1.0, how="", aim_ratio=0.8)
    assert (slower.value, slower.ratio, slower.met) == (50, 0.5, False)
    assert (faster.value, faster.ratio, faster.met) == (100, 1.0, True)


def test_preparing_a_repetition_is_not_counted():
    steps: list[str] = []
    taken = seconds(lambda: steps.append("step"), 3, before=lambda: steps.append("before"))
    assert steps == ["before", "step"] * 3
    assert taken < 1


def test_an_unknown_measure_is_refused_with_those_there_are():
    with pytest.raises(AnalyticsError, match=f"no measure nonsense; .*{next(iter(MEASURES))}"):
        chosen(["nonsense"])
    assert chosen(["dbt", "gate"]) == ["gate", "dbt"]
