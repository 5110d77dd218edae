"""Each rule of a mart's profile catches its own corruption."""

from __future__ import annotations

import polars as pl
import pytest

from analytics.gates import engine, split
from analytics.gates.judge import judge

RELATIONS = [
    "fct_plays", "fct_sessions", "daily_listening", "daily_track_listening",
    "daily_artist_listening", "dim_tracks", "dim_listeners", "fct_subscriptions", "fct_payments",
    "monthly_revenue", "churn_labels", "churn_features",
]  # fmt: skip


def suites():
    engine.context()
    from expectations import marts

    return marts


def a_profile(relation: str, day: str = "2025-01-06", **changes: int) -> pl.DataFrame:
    """The profile of a clean day."""
    marts = suites()
    mart = marts.MARTS[relation]
    row = {
        "tenant_id": "t1",
        "day": day,
        "rows": 5,
        "keys": 5,
        **{f"{column}_missing": 0 for column in marts.required_of(mart)},
        **{f"{column}_least": 0 for column in mart.not_negative},
    }
    return pl.DataFrame([row | changes])


def test_every_published_mart_has_a_suite() -> None:
    assert set(suites().MARTS) == set(RELATIONS)


@pytest.mark.parametrize("relation", RELATIONS)
def test_each_corruption_of_a_mart_is_caught_by_its_own_rule(relation: str) -> None:
    suite = suites().suite(relation)
    clean = a_profile(relation)
    corruptions = {}
    for expectation in filter(split.is_row_rule, suite.expectations):
        column = split.columns_of(expectation)[0]
        bad = {"keys": 4}.get(column, -1 if column.endswith("_least") else 1)
        corruptions[split.rule_of(expectation)] = a_profile(relation, **{column: bad})

    judgement = judge(suite, pl.concat([clean, *corruptions.values()]))

    failed = {r.rule: r.unexpected for r in judgement.results if r.kind == "row" and not r.passed}
    assert failed == dict.fromkeys(corruptions, 1)
    assert pl.concat(judgement.good).equals(clean)


def test_a_clean_profile_passes_and_an_empty_mart_warns() -> None:
    suite = suites().suite("daily_listening")

    full = judge(suite, a_profile("daily_listening"))
    empty = judge(suite, a_profile("daily_listening").clear())

    assert [r.rule for r in full.results if not r.passed] == []
    assert [(r.rule, r.severity) for r in empty.results if not r.passed] == [
        ("has_rows", "warning")
    ]


def test_totals_that_differ_by_one_play_stop() -> None:
    frame = pl.DataFrame(
        {"tenant_id": "t1", "check": ["a", "a"], "day": ["2025-01-06", "2025-01-07"],
         "expected": [10, 10], "actual": [10, 9]}
    )  # fmt: skip

    stops = judge(suites().reconciliation_suite(), frame).stops

    assert stops[0].rule == "totals_reconcile"
    assert stops[0].examples == ("actual=9, expected=10",)
