"""Which dates a touched interval makes worth computing again."""

from __future__ import annotations

from datetime import date

from analytics.interval import Interval
from spark_jobs.build import as_of_dates
from spark_jobs.churn_columns import COLUMNS, FEATURES


def test_a_history_gives_its_mondays_and_its_last_day():
    assert as_of_dates(Interval.of("2025-01-01", "2025-01-16")) == [
        date(2025, 1, 6),
        date(2025, 1, 13),
        date(2025, 1, 16),
    ]


def test_a_monday_that_opens_the_interval_knows_nothing_of_it():
    assert as_of_dates(Interval.of("2025-01-06", "2025-01-07")) == [date(2025, 1, 7)]


def test_a_monday_that_ends_the_interval_comes_once():
    assert as_of_dates(Interval.of("2025-01-05", "2025-01-06")) == [date(2025, 1, 6)]


def test_late_data_reaches_every_later_date_built_before():
    built = [date(2025, 1, 2), date(2025, 1, 3), date(2025, 1, 4), date(2025, 2, 3)]
    assert as_of_dates(Interval.of("2025-01-03", "2025-01-04"), built) == [
        date(2025, 1, 4),
        date(2025, 2, 3),
    ]


def test_every_column_is_declared_once_and_says_what_it_means():
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert names[0] == "tenant_id"
    assert all(column.meaning.endswith(".") for column in COLUMNS)
    assert {feature.type for feature in FEATURES} == {"bigint", "double"}
