"""Every number of a report is the one counted by hand over the rows that were published."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta

import pytest
import yaml

from analytics.errors import AnalyticsError
from analytics.report.metrics import METRICS, conversion
from analytics.report.model import Section
from analytics.settings import PROJECT, Settings
from tests.integration.warehouse.published import (
    BEFORE,
    DAYS,
    END,
    SCHEMAS,
    START,
    Play,
    Score,
    Span,
    at,
    note_snapshot,
    plays_of,
    publish_plays,
    publish_scores,
    publish_spans,
    report,
)

pytestmark = pytest.mark.integration

TENANTS = ("t1", "t2")
LONG_AGO, SOON = at(BEFORE, days=-100), at(END, days=2)
EARLIER, NOW, LATER = at(BEFORE, days=3), at(START, days=2), at(START, days=4)
FREE, CONVERTED, PAYING = range(3)

PLAYS = {tenant_id: plays_of(number) for number, tenant_id in enumerate(TENANTS)}


def spans(*changes) -> list[tuple]:
    """(plan, from, to) of a listener, given as plan, instant, plan, instant … plan."""
    plans, instants = changes[::2], [*changes[1::2], None]
    begins = [LONG_AGO, *changes[1::2]]
    return [it for it in zip(plans, begins, instants, strict=True) if it[0]]


# Spans, then whether free, converted and paying: in the week, and in the week before.
CASES = {
    "stays free": (spans("free"), (1, 0, 0), (1, 0, 0)),
    "stays premium": (spans("premium"), (0, 0, 1), (0, 0, 1)),
    "begins to pay": (spans("free", NOW, "premium"), (1, 1, 1), (1, 0, 0)),
    "began to pay": (spans("free", EARLIER, "family"), (0, 0, 1), (1, 1, 1)),
    "as it opens": (spans("free", at(START), "premium"), (1, 1, 1), (1, 0, 0)),
    "as it ends": (spans("free", at(END), "premium"), (1, 0, 0), (1, 0, 0)),
    "begins after": (spans("free", SOON, "premium"), (1, 0, 0), (1, 0, 0)),
    "pays at once": (spans(None, NOW, "premium"), (0, 0, 1), (0, 0, 0)),
    "pays more": (spans("premium", NOW, "family"), (0, 0, 1), (0, 0, 1)),
    "falls back": (spans("premium", NOW, "free"), (1, 0, 0), (0, 0, 1)),
    "leaves as it ends": (spans("premium", at(END), None), (0, 0, 1), (0, 0, 1)),
    "left": (spans("premium", EARLIER, None), (0, 0, 0), (0, 0, 0)),
    "away between": (spans("free", NOW, None, LATER, "premium"), (1, 0, 1), (1, 0, 0)),
    "twice": (
        spans("free", EARLIER, "premium", NOW, "free", LATER, "premium"), (1, 1, 1), (1, 1, 1),
    ),
}  # fmt: skip
ONLY = {"t1": set(CASES), "t2": {"began to pay", "as it opens", "falls back"}}


def scores_of(tenant_id: str) -> list[Score]:
    """25 listeners on each of three days; the riskiest tenth is two of three that tie."""
    shift = 0.004 * TENANTS.index(tenant_id)
    found = []
    for day, factor in ((START, 0.5), (END, 1.0), (END + timedelta(days=1), 0.1)):
        for number in reversed(range(25)):
            risk = 0.9 if number < 3 else number / 40
            reasons = json.dumps([f"reason {number % 2}", f"{tenant_id} {number}"])
            found.append(
                Score(f"l{number:02}", day, factor * (risk + shift), reasons if number else None)
            )
    return found


def publish_all(settings: Settings) -> Settings:
    for tenant_id in TENANTS:
        publish_plays(settings, tenant_id, PLAYS[tenant_id])
        known = [
            Span(name, *span) for name in CASES if name in ONLY[tenant_id]
            for span in CASES[name][0]
        ]  # fmt: skip
        inferred = [
            Span("inferred", "free", LONG_AGO, NOW, True), Span("inferred", "premium", NOW, SOON),
            Span("paid once", "premium", LONG_AGO, SOON, True),
        ]  # fmt: skip
        publish_spans(settings, tenant_id, known + inferred)
        publish_scores(settings, tenant_id, scores_of(tenant_id))
        note_snapshot(settings, tenant_id, 1, BEFORE, END)
    return settings


@pytest.fixture(scope="module")
def published(module_warehouse: Settings) -> Settings:
    return publish_all(module_warehouse)


def numbers(section: Section) -> dict[str, tuple]:
    return {f.name: (f.value, f.previous) for f in section.figures}


def heard(plays: list[Play], first: date) -> dict[str, float | None]:
    """The figures of the week that begins on this day, one play after the other."""
    week = [first + timedelta(days=n) for n in range(DAYS)]
    mine = [play for play in plays if play.day in week]
    listeners = {play.listener_id for play in mine}
    seconds = sum(sum(p.listened_ms for p in mine if p.day == day) // 1000 for day in week)
    daily = sum(len({p.listener_id for p in mine if p.day == day}) for day in week) / DAYS
    return {
        "active_listeners": len(listeners),
        "daily_listeners": daily,
        "stickiness": daily / len(listeners) if listeners else None,
        "plays": len(mine),
        "listened_hours": seconds / 3600,
        "plays_per_listener": len(mine) / len(listeners) if listeners else None,
        "skip_share": sum(p.is_skipped for p in mine) / len(mine) if mine else None,
    }


def test_a_publication_while_the_report_is_made_shows_in_none_of_it(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = report(publish_all(warehouse), "t1")

    def conversion_while_something_is_published(read, period):
        publish_plays(warehouse, "t1", PLAYS["t1"][:5])
        publish_spans(warehouse, "t1", [])
        note_snapshot(warehouse, "t1", 2, BEFORE, END + timedelta(days=9))
        return conversion(read, period)

    monkeypatch.setitem(METRICS, "conversion", conversion_while_something_is_published)
    assert report(warehouse, "t1") == quiet
    monkeypatch.undo()
    assert report(warehouse, "t1") != quiet


@pytest.mark.parametrize("tenant_id", TENANTS)
def test_engagement_is_what_the_plays_say(published: Settings, tenant_id: str) -> None:
    section = report(published, tenant_id)["engagement"]
    now, before = (heard(PLAYS[tenant_id], first) for first in (START, BEFORE))
    assert numbers(section) == {name: pytest.approx((now[name], before[name])) for name in now}
    for figure in section.figures:
        assert figure.delta == pytest.approx(now[figure.name] / before[figure.name] - 1)
    days = Counter(play.day for play in PLAYS[tenant_id] if BEFORE <= play.day < END)
    assert {p.day: p.value for p in section.series["plays"]} == days
    assert [p.day for p in section.series["listeners"]] == sorted(days)


@pytest.mark.parametrize("tenant_id", TENANTS)
def test_conversion_is_what_each_listeners_history_says(
    published: Settings, tenant_id: str
) -> None:
    section = report(published, tenant_id)["conversion"]
    mine = [case for name, case in CASES.items() if name in ONLY[tenant_id]]
    now, before = ([sum(case[week][n] for case in mine) for n in range(3)] for week in (1, 2))
    paid_unseen = 1  # "inferred" pays from NOW on; its plan before is known by hindsight only
    assert numbers(section) == {
        "free_listeners": (now[FREE], before[FREE]),
        "converted": (now[CONVERTED], before[CONVERTED]),
        "conversion_rate": pytest.approx(
            (now[CONVERTED] / now[FREE], before[CONVERTED] / before[FREE])
        ),
        "paying_listeners": (now[PAYING] + paid_unseen, before[PAYING]),
    }
    assert section["conversion_rate"].delta == pytest.approx(
        now[CONVERTED] / now[FREE] / (before[CONVERTED] / before[FREE]) - 1
    )
    assert section.bars == {
        "From free to paid": {"free listeners": now[FREE], "converted": now[CONVERTED]}
    }


@pytest.mark.parametrize("tenant_id", TENANTS)
def test_churn_risk_is_that_of_the_last_scoring_of_each_period(
    published: Settings, tenant_id: str
) -> None:
    made = report(published, tenant_id)
    section, scores = made["churn_risk"], scores_of(tenant_id)
    now, before = (
        [s.churn_probability for s in scores if s.as_of_date == day] for day in (END, START)
    )
    assert numbers(section) == {
        "scored_listeners": (25, 25),
        "expected_churners": pytest.approx((sum(now), sum(before))),
        "mean_risk": pytest.approx((sum(now) / 25, sum(before) / 25)),
    }
    assert section["mean_risk"].delta == pytest.approx(1)
    edges = {"0% to 5%": 0.05, "5% to 10%": 0.1, "10% to 20%": 0.2, "20% to 30%": 0.3,
             "30% to 50%": 0.5, "50% to 100%": 1}  # fmt: skip
    below = [sum(risk < edge for risk in now) for edge in edges.values()]
    steps = [high - low for low, high in zip([0, *below], below, strict=False)]
    assert section.bars == {"Listeners by risk": dict(zip(edges, steps, strict=True))}
    assert made.insights is not None
    assert made.insights.top_reasons == {"reason 1": 1, f"{tenant_id} 1": 1}


def test_reasons_are_counted_over_the_riskiest_tenth(warehouse: Settings) -> None:
    words = ("plays less", "skips more", "pays late", "is new")
    scores = [
        Score(f"l{n:02}", END, n / 100, json.dumps([words[n % 2], words[n % 3]]))
        for n in range(95)
    ]  # fmt: skip
    for tenant_id in TENANTS:
        note_snapshot(warehouse, tenant_id, 1, BEFORE, END)
        publish_scores(warehouse, tenant_id, scores if tenant_id == "t1" else [])
    risky = sorted(scores, key=lambda score: -score.churn_probability)[:9]
    counted = Counter(word for score in risky for word in json.loads(score.reasons or "[]"))
    told = report(warehouse, "t1", metrics=[]).insights
    assert told is not None
    assert told.top_reasons == counted
    assert list(told.top_reasons.values()) == sorted(counted.values(), reverse=True)
    none = report(warehouse, "t2", metrics=["churn_risk"])
    assert numbers(none["churn_risk"]) == {
        "scored_listeners": (None, None), "expected_churners": (None, None),
        "mean_risk": (None, None),
    }  # fmt: skip
    assert none["churn_risk"].bars == {}
    assert none.insights is not None
    assert none.insights.top_reasons == {}


def test_one_tenants_figures_do_not_move_with_the_others_rows(warehouse: Settings) -> None:
    publish_all(warehouse)
    mine, other = report(warehouse, "t1"), report(warehouse, "t2")
    publish_plays(warehouse, "t2", PLAYS["t1"] + PLAYS["t2"])
    publish_spans(warehouse, "t2", [Span(n, "free", LONG_AGO, NOW) for n in CASES])
    publish_scores(warehouse, "t2", [Score("l01", END, 0.99, '["something else"]')])
    assert report(warehouse, "t1") == mine
    moved = report(warehouse, "t2")
    for section in other.sections:
        assert numbers(moved[section.metric]) != numbers(section)


def test_a_period_without_rows_says_nothing_rather_than_something(published: Settings) -> None:
    made = report(published, "t1", until=LONG_AGO.date())
    assert (made.start, made.end) == (LONG_AGO.date() - timedelta(days=DAYS), LONG_AGO.date())
    assert numbers(made["engagement"]) == {
        "active_listeners": (0, 0), "daily_listeners": (0, 0), "stickiness": (None, None),
        "plays": (0, 0), "listened_hours": (0, 0), "plays_per_listener": (None, None),
        "skip_share": (None, None),
    }  # fmt: skip
    assert numbers(made["conversion"]) == {
        "free_listeners": (0, 0), "converted": (0, 0), "conversion_rate": (None, None),
        "paying_listeners": (0, 0),
    }  # fmt: skip
    assert {f.value for f in made["churn_risk"].figures} == {None}
    assert {f.delta for s in made.sections for f in s.figures} == {None}
    assert made["engagement"].series == {"listeners": (), "plays": ()}
    assert made.insights is not None
    assert made.insights.top_reasons == {}
    assert "no data" in made.to_html()


def test_the_first_period_has_numbers_and_nothing_to_compare_with(published: Settings) -> None:
    first = min(play.day for play in PLAYS["t1"])
    made = report(published, "t1", until=first + timedelta(days=DAYS))["engagement"]
    for name, value in heard(PLAYS["t1"], first).items():
        assert made[name].value == pytest.approx(value)
        assert not made[name].previous
        assert made[name].delta is None


def test_a_report_ends_with_the_last_published_day_also_after_a_backfill(
    warehouse: Settings,
) -> None:
    last = {"t1": 9, "t2": 4}
    for tenant_id, days in last.items():
        plays = [Play("l1", at(BEFORE, days=n), 1000, False) for n in range(days)]
        publish_plays(warehouse, tenant_id, plays)
    with pytest.raises(AnalyticsError, match="nothing is published for t1 yet"):
        report(warehouse, "t1", metrics=[])
    for tenant_id, days in last.items():
        note_snapshot(warehouse, tenant_id, 1, None, None)
        made = report(warehouse, tenant_id, metrics=[])
        assert (made.end, made.snapshot_id) == (BEFORE + timedelta(days=days), "1")
    note_snapshot(warehouse, "t1", 2, START, END)
    note_snapshot(warehouse, "t1", 3, BEFORE, START)
    made = report(warehouse, "t1", metrics=[])
    assert (made.start, made.end, made.snapshot_id) == (START, END, "3")
    assert report(warehouse, "t2", metrics=[]).end == BEFORE + timedelta(days=4)


@pytest.mark.parametrize("relation", ["fct_plays", "daily_listening", "fct_subscriptions"])
def test_the_rows_published_here_are_shaped_like_the_marts(relation: str) -> None:
    (page,) = (PROJECT / "dbt_project" / "models" / "marts").rglob(f"{relation}.yml")
    (model,) = yaml.safe_load(page.read_text())["models"]
    types = {column["name"]: column["data_type"] for column in model["columns"]}
    kinds = {"String": "text", "Int64": "bigint", "Boolean": "boolean", "Date": "date"}
    for column, kind in SCHEMAS[relation].items():
        expected = kinds.get(str(kind), "timestamp with time zone")
        assert types[column] == expected, f"{relation}.{column}"
