"""The verdict: budgets to the row, good and bad apart, agreement with Great Expectations."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest

from analytics.errors import AnalyticsError
from analytics.gates import engine, split
from analytics.gates.judge import allowed_rows, judge
from analytics.interval import Interval
from tests.builders import a_frame, a_play

DAY = Interval.of("2025-01-06", "2025-01-07")
YEAR_2099 = datetime(2099, 1, 1, tzinfo=UTC)


def plays_suite():
    engine.context()
    from expectations import bronze

    return bronze.suite("plays", DAY)


def plays(good: int, bad: int = 0, **changes: object) -> pl.DataFrame:
    """Clean plays of two tenants that share ids, then broken ones (negative unless you say)."""
    broken = changes or {"listened_ms": -1}
    return a_frame(
        "plays",
        *[a_play(f"t{1 + n % 2}", play_id=f"p{n // 2}") for n in range(good)],
        *[a_play("t1", play_id=f"b{n}", **broken) for n in range(bad)],
    )


@pytest.mark.parametrize(
    ("budget", "rows", "allowed"),
    [(0.01, 100, 1), (0.01, 99, 0), (0.01, 250, 2), (0.07, 100, 7), (0.29, 100, 29), (0, 9, 0),
     (1, 9, 9)],
)  # fmt: skip
def test_a_budget_is_counted_in_whole_rows(budget: float, rows: int, allowed: int) -> None:
    assert allowed_rows(budget, rows) == allowed


@pytest.mark.parametrize("bad", [1, 7, 29])
def test_exactly_the_budget_goes_on_and_one_row_more_stops(bad: int) -> None:
    budget = bad / 100

    at = judge(plays_suite(), plays(100 - bad, bad), budget)
    above = judge(plays_suite(), plays(100 - bad - 1, bad + 1), budget)

    assert at.stops == []
    assert (at.good.height, at.bad.height) == (100 - bad, bad)
    assert {r.rule for r in above.stops} == {"listened_ms_is_plausible", "bad_rows_within_budget"}


def test_rows_that_break_different_rules_share_one_budget() -> None:
    frame = pl.concat(
        [plays(98), plays(0, 1), plays(0, 1, started_at=YEAR_2099)]
    )  # each rule alone stays within one per cent

    (stop,) = judge(plays_suite(), frame, 0.01).stops

    assert stop.rule == "bad_rows_within_budget"
    assert stop.unexpected == 2
    assert judge(plays_suite(), frame, 0.02).stops == []


def test_a_row_that_breaks_two_rules_counts_once_and_is_explained_twice() -> None:
    judgement = judge(plays_suite(), plays(99, 1, listened_ms=-1, started_at=YEAR_2099), 0.01)

    assert judgement.stops == []
    assert judgement.bad.height == 1
    assert judgement.broken.select("_rule", "_column", "_value").rows() == [
        ("started_at_not_after_interval", "started_at", "2099-01-01 00:00:00.000000+00:00"),
        ("listened_ms_is_plausible", "listened_ms", "-1"),
    ]


def test_unreadable_rows_eat_from_the_same_budget() -> None:
    assert judge(plays_suite(), plays(98, 1), 0.02, unreadable=1).stops == []

    (stop,) = judge(plays_suite(), plays(98, 1), 0.01, unreadable=1).stops

    assert (stop.rule, stop.unexpected, stop.considered) == ("bad_rows_within_budget", 2, 100)
    assert stop.examples[0] == "unreadable (1)"


def test_the_budget_is_a_share_of_all_rows_also_where_a_column_is_mostly_null() -> None:
    frame = pl.concat(
        [plays(99).with_columns(track_ms=pl.lit(None, pl.Int64)), plays(0, 1, track_ms=0)]
    )

    assert judge(plays_suite(), frame, 0.01).stops == []
    assert "track_ms_is_positive" in {r.rule for r in judge(plays_suite(), frame, 0.009).stops}


def test_a_warning_neither_stops_nor_splits_but_is_told() -> None:
    judgement = judge(plays_suite(), plays(0, 10, country="Germany"), 0.0)

    assert judgement.stops == []
    assert judgement.good.height == 10
    (warned,) = [r for r in judgement.results if not r.passed]
    assert (warned.rule, warned.severity, warned.unexpected) == ("country_is_a_code", "warning", 10)
    assert warned.examples == ("Germany",)


def test_lineage_stays_with_the_rows_and_out_of_the_rules() -> None:
    frame = plays(99, 1).with_columns(_file=pl.lit("plays.csv"), _row=pl.int_range(pl.len()))

    judgement = judge(plays_suite(), frame, 0.01)

    assert judgement.stops == []
    assert judgement.broken["_row"].to_list() == [99]
    assert pl.concat(judgement.good)["_file"].unique().to_list() == ["plays.csv"]


def test_no_row_is_lost_or_doubled() -> None:
    frame = pl.concat([plays(50, 2), plays(40), plays(0, 1, track_id=None)]).with_columns(
        _row=pl.int_range(pl.len())
    )

    judgement = judge(plays_suite(), frame, 0.1)

    together = pl.concat([*judgement.good, *judgement.bad]).sort("_row")
    assert together.equals(frame)


def test_an_empty_frame_passes_with_a_warning() -> None:
    judgement = judge(plays_suite(), plays(0), 0.01)

    assert judgement.stops == []
    assert [r.rule for r in judgement.results if not r.passed] == ["has_rows"]


def test_a_split_that_disagrees_with_great_expectations_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = split.predicate

    def sees_nothing(expectation):
        p = blind(expectation)
        return split.Predicate(p.rule, p.columns, p.considered, pl.lit(False), p.value)

    monkeypatch.setattr(split, "predicate", sees_nothing)

    with pytest.raises(AnalyticsError, match="finds 1 rows against listened_ms_is_plausible"):
        judge(plays_suite(), plays(9, 1), 0.5)


def test_a_row_rule_the_split_was_never_taught_is_refused() -> None:
    suite = plays_suite()
    import great_expectations.expectations as gxe

    suite.expectations = [
        gxe.ExpectColumnValueLengthsToEqual(
            column="country", value=2, meta={"kind": "row", "rule": "country_has_two_letters"}
        )
    ]

    with pytest.raises(TypeError, match=r"teach analytics/gates/split\.py"):
        judge(suite, plays(1))


def test_a_rule_that_cannot_be_evaluated_is_an_error_not_a_pass() -> None:
    frame = plays(3).with_columns(listened_ms=pl.lit("long"))

    with pytest.raises((AnalyticsError, pl.exceptions.PolarsError)):
        judge(plays_suite(), frame)


def test_great_expectations_is_quiet_and_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = engine.context()
    with caplog.at_level(logging.INFO):
        judge(plays_suite(), plays(3))

    assert [r for r in caplog.records if r.name.startswith("great_expectations")] == []
    assert list(context.suites.all()) == []
    assert list(context.validation_definitions.all()) == []
    (frames,) = context.data_sources.all().values()
    with frames.get_engine().connect() as connection:
        shown = connection.exec_driver_sql("select * from duckdb_views() where not internal")
        assert shown.fetchall() == []


def test_importing_the_gates_does_not_import_great_expectations() -> None:
    code = "import sys, analytics.gates; print('great_expectations' in sys.modules)"

    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert seen.stdout.strip() == "False"
