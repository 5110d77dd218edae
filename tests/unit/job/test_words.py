"""The main job's own words."""

from __future__ import annotations

import io
import shlex

import pytest
from rich.console import Console

from analytics.errors import AnalyticsError, SourceError
from analytics.job.main import _named, settings_for
from analytics.job.problems import Problem, noted, raise_if_any, show
from analytics.job.progress import ChainView, steps_shown
from analytics.settings import load_settings
from analytics.stack.airflow_client import Run


def a_console(**options) -> Console:
    return Console(file=io.StringIO(), width=200, **options)


def said(console: Console) -> str:
    return console.file.getvalue()


def test_commands_for_a_folder_of_exports_name_its_world(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("analytics.job.main.load_settings", lambda: settings)
    exports = tmp_path / "exports"
    exports.mkdir()
    own = settings_for(settings, exports)
    given = dict(word.split("=", 1) for word in shlex.split(_named(own)))
    again = load_settings(given, dotenv=None)
    assert again.analytics_var_dir == own.analytics_var_dir != settings.analytics_var_dir
    assert again.analytics_tenants_file == own.analytics_tenants_file
    assert _named(settings) == ""


def test_a_folder_that_is_none_is_refused(settings, tmp_path):
    with pytest.raises(AnalyticsError, match="is no folder"):
        settings_for(settings, tmp_path / "missing")


# --------------------------------------------------------------- problems


def test_a_noted_error_stops_nothing_and_any_other_is_a_bug():
    problems: list[Problem] = []
    with noted(problems, "not loaded", "t1"):
        raise SourceError("t1: source history: h.zip is damaged")
    assert problems == [Problem(("t1",), "not loaded", "t1: source history: h.zip is damaged")]
    with pytest.raises(KeyError), noted(problems, "not loaded", "t2"):
        raise KeyError("t2")


def test_problems_are_shown_whole_and_raised_in_brief_once_each():
    console = a_console()
    problems = [
        Problem(("t1",), "not loaded", "t1: /exports/[one]/h.zip is damaged"),
        Problem(("t2", "t3"), "ingest ended red", "history: ingest ended red (r1)"),
        Problem(("t2", "t3"), "ingest ended red", "a day: ingest ended red (r2)"),
        Problem((), "the dbt docs are not written", "dbt docs failed"),
    ]
    show(console, problems)
    assert said(console).splitlines() == [
        "✗ t1: /exports/[one]/h.zip is damaged",
        "✗ t2, t3: history: ingest ended red (r1)",
        "✗ t2, t3: a day: ingest ended red (r2)",
        "✗ all tenants: dbt docs failed",
    ]
    with pytest.raises(AnalyticsError) as error:
        raise_if_any(problems)
    assert str(error.value) == (
        "not everything went through. t1: not loaded; t2, t3: ingest ended red; all tenants: the "
        "dbt docs are not written. What was green is published; what to do stands under the table"
    )
    raise_if_any([])


# --------------------------------------------------------------- progress


class Tasks:
    """A client that knows the states of the tasks of each run, and how often it was asked."""

    def __init__(self, **states: list[str]):
        self.states = states
        self.asked: list[str] = []

    def task_instances(self, dag_id, run_id):
        self.asked.append(dag_id)
        return [{"state": state} for state in self.states[dag_id]]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_chain_on_its_way_shows_its_runs_and_counts_their_tasks(is_terminal):
    console = a_console(force_terminal=is_terminal)
    tasks = Tasks(ingest=["success", "upstream_failed"], features=["success", "running"])
    runs = [Run("ingest", "r1", "failed"), Run("features", "r2", "running")]
    with steps_shown(console, ["the first", "the second"]) as view:
        view.begin(1)
        chain = ChainView(tasks, view, 1)
        chain(runs[:1])
        chain(runs)
        task = view.bars.tasks[1]
        assert (task.completed, task.total) == (3, 4)
        assert [word for word in ("✗", "▶") if word in task.fields["runs"]] == ["✗", "▶"]
        view.end(1, chain.runs)
    assert chain.runs == runs
    assert tasks.asked == ["ingest", "features"]  # what has ended is not asked for again
    assert "the second" in said(console)
    assert "ingest" in said(console)


def test_a_chain_that_never_started_says_so():
    console = a_console()
    with steps_shown(console, ["the first"]) as view:
        view.begin(0)
        view.end(0, [])
    assert said(console).splitlines()[0] == "… the first"
    assert "✗ not started" in said(console)
