"""The time split never lets a label of the future into the past."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ml.split import split_by_time

MONDAY = date(2025, 1, 6)


def mondays(count: int) -> list[date]:
    return [MONDAY + timedelta(weeks=n) for n in range(count)]


@pytest.mark.parametrize("count", range(6, 60))
def test_every_label_learnt_from_was_known_on_the_first_holdout_day(count):
    split = split_by_time(mondays(count), horizon_days=28)
    learnt = {*split.train, *split.validation, *split.calibration}
    assert max(learnt) + timedelta(days=28) <= min(split.holdout)


@pytest.mark.parametrize("count", range(7, 60))
def test_parts_follow_each_other_and_use_every_date_once(count):
    split = split_by_time(mondays(count), horizon_days=28)
    parts = [*split.train, *split.validation, *split.calibration, *split.embargo, *split.holdout]
    assert parts == mondays(count)
    assert split.train
    assert split.validation
    assert split.calibration


def test_with_six_weeks_the_second_both_validates_and_calibrates():
    split = split_by_time(mondays(6), horizon_days=28)
    assert split.train == (MONDAY,)
    assert split.validation == split.calibration == (MONDAY + timedelta(weeks=1),)
    assert split.holdout == (MONDAY + timedelta(weeks=5),)


@pytest.mark.parametrize("count", range(6))
def test_too_short_a_history_gives_no_split(count):
    assert split_by_time(mondays(count), horizon_days=28) is None


def test_a_short_history_gives_up_holdout_dates_before_learning_dates():
    assert len(split_by_time(mondays(10), horizon_days=28).holdout) == 2
    assert len(split_by_time(mondays(7), horizon_days=28).holdout) == 1
