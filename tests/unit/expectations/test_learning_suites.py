"""Each rule at the doors of learning catches its own corruption, and a clean table passes."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from analytics.gates import engine, split
from analytics.gates.judge import judge
from spark_jobs.churn_columns import FEATURES, WITHIN, polars_schema
from spark_jobs.profile import rows_by_date, values_by_date

MONDAY, TUESDAY = date(2025, 1, 6), date(2025, 1, 7)


def suites(door: str):
    engine.context()
    from expectations import features, predictions

    return {"features": features, "predictions": predictions}[door]


def a_feature_row(tenant_id: str, listener_id: str, day: date = MONDAY, **changes) -> dict:
    row = {
        name: ("premium" if kind == pl.String else 0 if kind == pl.Int64 else 0.5)
        for name, kind in polars_schema().items()
    }
    return row | {"tenant_id": tenant_id, "listener_id": listener_id, "as_of_date": day} | changes


def feature_rows(*more: dict) -> pl.DataFrame:
    """Clean rows of two tenants that share ids, on two days, and some more."""
    clean = [
        a_feature_row(tenant_id, f"l{n}", day)
        for tenant_id in ("t1", "t2")
        for day in (MONDAY, TUESDAY)
        for n in range(3)
    ]
    return pl.DataFrame([*clean, *more], schema=polars_schema())


def broken_features(*more: dict) -> dict[str, tuple[str, ...]]:
    """By rule that stops, its examples."""
    frame = feature_rows(*more)
    module = suites("features")
    judged = [
        judge(module.rows_suite("churn_features"), rows_by_date(frame)),
        judge(module.values_suite("churn_features"), values_by_date(frame)),
    ]
    return {
        r.rule: r.examples for j in judged for r in j.stops if r.rule != "bad_rows_within_budget"
    }


def test_clean_features_pass_with_shares_of_nothing_unknown():
    unknown = {f.name: None for f in FEATURES if f.nullable}
    assert unknown
    assert broken_features(a_feature_row("t1", "l9", **unknown)) == {}


@pytest.mark.parametrize(
    ("changes", "rule", "example"),
    [
        ({"listener_id": "l0"}, "grain_is_unique", "keys=3, rows=4"),
        ({"plays_90d": None}, "features_are_given", "feature=plays_90d, as_of_date=2025-01-06"),
        ({"plan": None}, "features_are_given", "feature=plan, as_of_date=2025-01-06"),
        ({"skip_share_7d": float("nan")}, "features_are_given", "feature=skip_share_7d"),
        ({"refunds_90d": -1}, "features_not_below_bounds", "feature=refunds_90d"),
        ({"plays_trend_28d": -1.5}, "features_not_below_bounds", "feature=plays_trend_28d"),
        ({"skip_share_7d": 50.0}, "features_not_above_bounds", "feature=skip_share_7d"),
        ({"days_since_last_play": 92}, "features_not_above_bounds", "feature=days_since_last_play"),
        ({"tickets_28d": 1}, "features_not_below_bounds", "feature=tickets_90d - tickets_28d"),
    ],
)
def test_each_corruption_of_features_is_caught_by_its_own_rule_and_named(changes, rule, example):
    found = broken_features(a_feature_row(**{"tenant_id": "t1", "listener_id": "l9"} | changes))
    assert [*found] == [rule]
    assert found[rule][0].startswith(example)


@pytest.mark.parametrize(
    "feature", [f for f in FEATURES if f.lower is not None], ids=lambda f: f.name
)
def test_every_bound_that_is_declared_is_judged(feature):
    below = feature.lower - 1
    assert "features_not_below_bounds" in broken_features(
        a_feature_row("t1", "l9", **{feature.name: below})
    )


@pytest.mark.parametrize(("part", "whole"), WITHIN)
def test_a_part_is_never_more_than_the_whole(part, whole):
    examples = broken_features(a_feature_row("t1", "l9", **{part: 1}))["features_not_below_bounds"]
    assert any(f"feature={whole} - {part}," in it for it in examples)


def test_a_tenant_without_paying_listeners_only_warns():
    rows = rows_by_date(feature_rows()).clear()
    judgement = judge(suites("features").rows_suite("churn_features"), rows)
    assert judgement.stops == []
    assert [r.rule for r in judgement.results if not r.passed] == ["has_rows"]


def some_scores(listeners: int = 40, **changes) -> pl.DataFrame:
    rows = [
        {
            "tenant_id": "t1", "listener_id": f"l{n}", "as_of_date": MONDAY,
            "churn_probability": n / 100, "model_version": "3", "reasons": '["fewer plays"]',
            "run_id": "r1",
        }
        for n in range(listeners)
    ]  # fmt: skip
    rows[-1] |= changes
    schema = {"as_of_date": pl.Date, "churn_probability": pl.Float64}
    return pl.DataFrame(rows, schema_overrides=schema)


def broken_scores(frame: pl.DataFrame) -> list[str]:
    judgement = judge(suites("predictions").suite("churn_predictions", frame.height), frame)
    return [r.rule for r in judgement.stops if r.rule != "bad_rows_within_budget"]


def test_sound_scores_pass_no_reasons_included():
    assert broken_scores(some_scores(reasons="[]")) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"churn_probability": None}, "churn_probability_is_given"),
        ({"churn_probability": float("nan")}, "churn_probability_is_a_share"),
        ({"churn_probability": -2.5}, "churn_probability_is_a_share"),
        ({"churn_probability": 1.5}, "churn_probability_is_a_share"),
        ({"listener_id": "l0"}, "grain_is_unique"),
        ({"listener_id": None}, "listener_id_is_given"),
        ({"as_of_date": None}, "as_of_date_is_given"),
        ({"model_version": None}, "model_version_is_given"),
        ({"reasons": "fewer plays"}, "reasons_are_a_list"),
    ],
)
def test_each_corruption_of_scores_is_caught_by_its_own_rule(changes, rule):
    assert broken_scores(some_scores(**changes)) == [rule]


def test_one_probability_for_many_listeners_stops_and_for_few_does_not():
    same = pl.lit(0.2).alias("churn_probability")
    assert broken_scores(some_scores().with_columns(same)) == ["probabilities_differ"]
    assert broken_scores(some_scores(5).with_columns(same)) == []


def test_a_column_too_few_stops():
    assert broken_scores(some_scores().drop("reasons")) == ["columns_match"]


def test_every_row_rule_of_both_doors_has_its_vectorised_form():
    module = suites("features")
    for suite in (
        module.rows_suite("f"), module.values_suite("f"), suites("predictions").suite("p", 99),
    ):  # fmt: skip
        rules = [split.predicate(e).rule for e in suite.expectations if split.is_row_rule(e)]
        assert rules
