"""One chain after another, however each of them ends."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from analytics import file_system
from analytics.errors import AnalyticsError
from analytics.interval import Interval
from analytics.job.chains import Step, run_chains
from tests.unit.job.airflow import REFUSED, TIMEOUT, red

DAY = Interval.of("2025-01-06", "2025-01-07")


def test_chains_follow_one_another_with_their_tenants_and_days(airflow, settings):
    console = Console(file=io.StringIO(), width=200)
    steps = [
        Step("all of them", Interval.of("2025-01-01", "2025-01-06")),
        Step("one", DAY, ("t1",)),
    ]
    assert run_chains(settings, console, steps) == []
    assert airflow.triggered == [
        {"dag_id": "ingest", "tenants": None, "from": "2025-01-01", "to": "2025-01-06"},
        {"dag_id": "ingest", "tenants": ["t1"], "from": "2025-01-06", "to": "2025-01-07"},
    ]
    lines = [line.split("  (")[0].strip() for line in console.file.getvalue().splitlines()]
    assert lines == ["… all of them", "✓ ingest", "… one", "✓ ingest"]


@pytest.mark.parametrize(
    ("ending", "brief", "detail"),
    [
        (red("ingest"), "ingest ended red, see docs/runbooks/ingest.md", r"ended red \(r1\)"),
        (red("score"), "score ended red, see docs/runbooks/score.md", r"ended red \(r2\)"),
        (TIMEOUT, "transform did not end, see docs/runbooks/transform.md", "within 3600 s"),
        (REFUSED, "the chain did not end, see docs/runbooks/stack.md", "refused POST"),
    ],
)
def test_what_becomes_of_one_chain_keeps_no_other_from_running(
    airflow, settings, ending, brief, detail
):
    airflow.endings["t1"] = ending
    steps = [Step("first", DAY, ("t1",)), Step("second", DAY, ("t2",))]
    (problem,) = run_chains(settings, Console(file=io.StringIO()), steps)
    assert airflow.tenants() == ["t1", "t2"]
    assert (problem.tenants, problem.brief) == (("t1",), brief)
    assert re.search(detail, problem.detail)
    assert problem.detail.startswith("2025-01-06 to 2025-01-07: ")


@pytest.mark.parametrize("looks", [0, 1], ids=["before it", "during it"])
def test_a_full_disk_ends_the_wait_for_what_will_not_end(airflow, settings, monkeypatch, looks):
    """Its scheduler may be gone while Airflow's server still answers."""

    def fill_the_disk(*_: object, **__: object) -> str:
        monkeypatch.setattr(file_system, "FEW_BYTES", 2**60)
        return "r1"

    if looks:
        monkeypatch.setattr(airflow, "trigger", fill_the_disk)
        monkeypatch.setattr(airflow, "_ending", lambda: red("ingest"))
    else:
        fill_the_disk()
    with pytest.raises(AnalyticsError, match=rf"disk of {settings.var} is full; make room, then"):
        run_chains(settings, Console(file=io.StringIO()), [Step("one", DAY, ("t1",))])
    assert airflow.triggered == []


@pytest.mark.parametrize("given", [{"op_args": ["t2"]}, {"op_kwargs": {"tenant_id": "t2"}}])
def test_of_a_run_of_all_tenants_only_those_that_failed_are_named(airflow, settings, given):
    airflow.endings["all"] = red("ingest")
    steps = [Step("history", DAY)]
    (problem,) = run_chains(settings, Console(file=io.StringIO()), steps)
    assert problem.tenants == ("t1", "t2")

    airflow.failed_tasks = [
        {"state": "failed", "rendered_fields": given},
        {"state": "failed", "rendered_fields": {"op_args": [None], "op_kwargs": {}}},
        {"state": "upstream_failed", "rendered_fields": {}},
        {"state": "success", "rendered_fields": {"op_args": ["t1"]}},
    ]
    (problem,) = run_chains(settings, Console(file=io.StringIO()), steps)
    assert problem.tenants == ("t2",)
