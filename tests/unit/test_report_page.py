from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from analytics.report.model import Figure, Insights, Point, Report, Section
from analytics.report.page import amount, delta, mood

END = date(2025, 5, 1)


def a_report(**changes) -> Report:
    points = tuple(Point(day=END - timedelta(days=n), value=100 + n) for n in range(20, 0, -1))
    section = Section(
        metric="engagement",
        title="Engagement",
        figures=(Figure(name="plays", meaning="plays", unit="count", value=1200, previous=1000),),
        series={"plays": points},
        bars={"By kind": {"free": 3, "paid <b>": 4}},
    )
    values = {
        "tenant_id": "t1", "tenant_name": "One & <Only>", "start": END - timedelta(days=10),
        "end": END, "snapshot_id": "s1", "sections": (section,),
        "insights": Insights(
            model_version="3", model_metric="auc", model_score=0.8, baseline_score=0.7,
            last_training="promoted", last_decision="no drift", top_reasons={"skips more": 4},
        ),
    }  # fmt: skip
    return Report(**{**values, **changes})


def test_the_page_stands_alone():
    page = a_report().to_html()
    links = re.findall(r"""(?:src|href)=["'](?!#)([^"']+)""", page)
    assert [link for link in links if "://" in link or link.startswith("/")] == []
    assert "<script" not in page
    assert page.count("<svg") == 3


def test_names_are_escaped_everywhere():
    page = a_report().to_html()
    assert "One &amp; &lt;Only&gt;" in page
    assert "<Only>" not in page
    assert "paid <b>" not in page


def test_the_same_report_is_the_same_page():
    assert a_report().to_html() == a_report().to_html()


def test_a_report_without_a_model_says_so():
    none = Insights(
        model_version=None, model_metric=None, model_score=None, baseline_score=None,
        last_training="not trained: 3 listeners, needs 200", last_decision="never monitored",
    )  # fmt: skip
    page = a_report(insights=none).to_html()
    assert "none yet" in page
    assert "not trained: 3 listeners, needs 200" in page


@pytest.mark.parametrize(
    ("figure", "shown", "change", "feeling"),
    [
        ({"unit": "count", "value": 1200, "previous": 1000}, "1,200", "+20.0%", "good"),
        (
            {"unit": "share", "value": 0.3, "previous": 0.2, "good": "down"},
            "30.0%",
            "+50.0%",
            "bad",
        ),
        ({"unit": "count", "value": None, "previous": 3}, "no data", "", "even"),
        ({"unit": "count", "value": 5, "previous": None}, "5", "", "even"),
        ({"unit": "count", "value": 5, "previous": 0}, "5", "", "even"),
    ],
)  # fmt: skip
def test_a_figure_reads_as_people_write_it(figure, shown, change, feeling):
    made = Figure(name="x", meaning="x", **figure)
    assert (amount(made), delta(made), mood(made)) == (shown, change, feeling)


def test_a_section_and_a_figure_are_found_by_name():
    assert a_report()["engagement"]["plays"].value == 1200
