"""Each bronze rule catches its own corruption and lets a clean frame pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from analytics.gates import engine, split
from analytics.gates.judge import judge
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from tests.builders import NOON, a_frame, a_row

DAY = Interval.of("2025-01-06", "2025-01-07")
YEAR_2099 = datetime(2099, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What breaks each rule of one table alone, beside those that every table has.
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "plays": {
        "listened_ms_is_plausible": {"listened_ms": -1},
        "track_ms_is_positive": {"track_ms": 0},
        "country_is_a_code": {"country": "Germany"},
    },
    "app_events": {},
    "listeners": {
        "birth_year_is_plausible": {"birth_year": 1066},
        "updated_at_not_before_signed_up_at": {"signed_up_at": datetime(2024, 7, 1, tzinfo=UTC)},
        "country_is_a_code": {"country": "de"},
    },
    "tracks": {"duration_ms_is_positive": {"duration_ms": -5}},
    "subscription_events": {
        "kind_is_known": {"kind": "canceled"},
        "plan_from_is_known": {"plan_from": "gold"},
        "plan_to_is_known": {"plan_to": "gold"},
    },
    "payments": {
        "amount_minor_is_positive": {"amount_minor": 0},
        "currency_is_a_code": {"currency": "EURO"},
        "kind_is_known": {"kind": "chargeback"},
        "plan_is_known": {"plan": "gold"},
    },
    "touchpoints": {"cost_micros_not_negative": {"cost_micros": -1}},
    "exposures": {},
    "tickets": {
        "resolved_at_not_before_opened_at": {"resolved_at": NOON - timedelta(seconds=1)},
        "satisfaction_is_one_to_five": {"satisfaction": 6},
    },
    "reviews": {"stars_are_one_to_five": {"stars": 0}},
    "artists": {"artist_is_not_its_own_alias": {"same_as": "a1"}},
    "taggings": {"item_kind_is_known": {"item_kind": "album"}, "tag_is_not_empty": {"tag": " \t"}},
    "friendships": {"friend_is_another_listener": {"friend_id": "l1"}},
    "listening_counts": {
        "item_kind_is_known": {"item_kind": "album"},
        "plays_are_one_or_more": {"plays": 0},
    },
    "track_features": {
        "danceability_is_a_share": {"danceability": 1.5},
        "energy_is_a_share": {"energy": -0.1},
        "speechiness_is_a_share": {"speechiness": 5.0},
        "acousticness_is_a_share": {"acousticness": 20.0},
        "instrumentalness_is_a_share": {"instrumentalness": -1.0},
        "liveness_is_a_share": {"liveness": 1.01},
        "valence_is_a_share": {"valence": 50.0},
        "loudness_is_plausible": {"loudness": 90.0},
        "tempo_is_plausible": {"tempo": 120_000.0},
        "pitch_class_is_known": {"pitch_class": 12},
        "time_signature_is_plausible": {"time_signature": 44},
    },
    "orders": {
        "amount_minor_is_positive": {"amount_minor": -4500},
        "currency_is_a_code": {"currency": "euro"},
        "status_is_known": {"status": "lost"},
    },
    "order_lines": {
        "amount_minor_is_positive": {"amount_minor": 0},
        "currency_is_a_code": {"currency": "\u20ac"},
        "quantity_is_one_or_more": {"quantity": 0},
    },
    "api_usage": {
        "errors_not_negative": {"errors": -1},
        "errors_within_calls": {"errors": 121},
    },
    "consents": {"purpose_is_known": {"purpose": "everything"}},
}


def suite(table: str):
    engine.context()
    from expectations import bronze

    return bronze.suite(table, DAY)


def corruptions(table: str) -> dict[str, dict[str, Any]]:
    """By row rule, the change of a clean row that breaks this rule and no other."""
    declared = TABLES[table]
    never_null = (*declared.required, *declared.knowable)
    everywhere: dict[str, dict[str, Any]] = {f"{c}_is_given": {c: None} for c in never_null}
    everywhere[f"{declared.time}_not_after_interval"] = {declared.time: YEAR_2099}
    everywhere[f"{declared.time}_not_before_2000"] = {declared.time: EPOCH}
    if table == "listeners":  # nobody changes an account before opening it
        everywhere["updated_at_not_before_2000"]["signed_up_at"] = EPOCH
    return everywhere | OWN[table]


def clean(table: str) -> list[dict[str, Any]]:
    """Two tenants that share every id."""
    return [a_row(table, "t1"), a_row(table, "t2")]


@pytest.mark.parametrize("table", TABLES)
def test_a_clean_frame_passes_every_rule(table: str) -> None:
    judgement = judge(suite(table), a_frame(table, *clean(table)))

    assert [r.rule for r in judgement.results if not r.passed] == []
    assert judgement.good.height == 2


@pytest.mark.parametrize("table", TABLES)
def test_every_row_rule_has_a_corruption_here(table: str) -> None:
    declared = {split.rule_of(e) for e in suite(table).expectations if split.is_row_rule(e)}

    assert declared == set(corruptions(table))


@pytest.mark.parametrize("table", TABLES)
def test_each_corruption_is_caught_by_its_own_rule_and_by_no_other(table: str) -> None:
    rows, expected = clean(table), {}
    for rule, changes in corruptions(table).items():
        expected[rule] = [len(rows)]
        rows += [a_row(table, **{"tenant_id": "t1", **changes}), a_row(table, "t2")]
    frame = a_frame(table, *rows).with_columns(_row=pl.int_range(pl.len()))

    judgement = judge(suite(table), frame)

    failed = {r.rule: r for r in judgement.results if r.kind == "row" and not r.passed}
    assert set(failed) == set(expected)
    assert {r.unexpected for r in failed.values()} == {1}
    critical = {rule for rule, r in failed.items() if r.severity == "critical"}
    assert {r.rule for r in judgement.stops} == critical | {"bad_rows_within_budget"}
    caught = {row["_rule"]: [row["_row"]] for row in judgement.broken.iter_rows(named=True)}
    assert caught == {rule: expected[rule] for rule in critical}


@pytest.mark.parametrize("table", TABLES)
def test_the_split_finds_the_rows_great_expectations_finds(table: str) -> None:
    rows = [
        row for changes in corruptions(table).values()
        for row in (a_row(table, **{"tenant_id": "t1", **changes}), a_row(table, "t2"))
    ]  # fmt: skip
    frame = a_frame(table, *rows)
    row_rules = [e for e in suite(table).expectations if split.is_row_rule(e)]

    found = {
        p.rule: frame.select(p.broken.alias("broken"))["broken"].arg_true().to_list()
        for p in map(split.predicate, row_rules)
    }

    assert found == engine.unexpected_rows(row_rules, frame)
    assert all(found.values())


@pytest.mark.parametrize("table", ["plays", "payments"])
def test_a_missing_column_stops_whatever_the_budget(table: str) -> None:
    column = TABLES[table].required[-1]
    frame = a_frame(table, *clean(table)).drop(column)

    judgement = judge(suite(table), frame, budget=1.0)

    (stop,) = judgement.stops
    assert stop.rule == "columns_match"
    assert column in stop.observed


def test_an_extra_column_stops() -> None:
    frame = a_frame("plays", *clean("plays")).with_columns(mood=pl.lit("blue"))

    (stop,) = judge(suite("plays"), frame).stops

    assert stop.rule == "columns_match"
    assert "mood" in stop.observed


@pytest.mark.parametrize("table", ["plays", "tickets"])
def test_an_empty_table_warns_and_does_not_stop(table: str) -> None:
    judgement = judge(suite(table), a_frame(table))

    assert [r.rule for r in judgement.results if not r.passed] == ["has_rows"]
    assert judgement.stops == []
    assert judgement.good.height == 0


@pytest.mark.parametrize("table", ["plays", "listeners"])
def test_a_repeated_key_warns_and_does_not_stop(table: str) -> None:
    judgement = judge(suite(table), a_frame(table, *clean(table), a_row(table, "t1")))

    assert [r.rule for r in judgement.results if not r.passed] == ["keys_are_unique"]
    assert judgement.stops == []


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_says_why_it_is_one(table: str) -> None:
    for expectation in suite(table).expectations:
        rule = split.rule_of(expectation)
        assert (expectation.description or "").startswith(f"{rule}: ")
        assert len(expectation.description or "") > len(rule) + 20


def test_one_microsecond_after_the_interval_is_after_it() -> None:
    moments = [DAY.start, DAY.end - timedelta(microseconds=1), DAY.end]
    inside = a_frame("plays", *[a_row("plays", play_id=str(m), started_at=m) for m in moments])
    after = a_frame("plays", a_row("plays", started_at=DAY.end + timedelta(microseconds=1)))

    assert judge(suite("plays"), inside).stops == []
    stops = [r.rule for r in judge(suite("plays"), after).stops]
    assert "started_at_not_after_interval" in stops
