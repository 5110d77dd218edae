"""One chain of DAG runs after another, each waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from analytics.errors import StackError
from analytics.file_system import require_room
from analytics.interval import Interval
from analytics.job.problems import Problem
from analytics.job.progress import ChainView, steps_shown
from analytics.settings import Settings
from analytics.stack import AirflowClient
from analytics.stack.airflow_client import Run
from analytics.tenants import registry

CHAIN_SECONDS = 3600


@dataclass(frozen=True)
class Step:
    """One chain: what `ingest` is triggered with, and why."""

    title: str
    interval: Interval
    tenants: tuple[str, ...] | None = None  # None: all of them

    def conf(self) -> dict[str, Any]:
        return {
            "tenants": list(self.tenants) if self.tenants else None,
            "from": self.interval.start.date().isoformat(),
            "to": self.interval.end.date().isoformat(),
        }

    @property
    def days(self) -> str:
        return f"{self.interval.start:%Y-%m-%d} to {self.interval.end:%Y-%m-%d}"


def run_chains(settings: Settings, console: Console, steps: Sequence[Step]) -> list[Problem]:
    """Trigger `ingest` for each step and wait until the chain it sets off has ended.

    Gives back what ended red or did not end; neither keeps the next step from running.
    On a full disk nothing would ever end: raises AnalyticsError.
    """
    problems: list[Problem] = []
    with AirflowClient(settings) as client, steps_shown(console, [s.title for s in steps]) as view:
        for number, step in enumerate(steps):
            tenants = step.tenants or tuple(registry(settings))
            chain = ChainView(client, view, number)
            view.begin(number)
            require_room(settings.var)
            try:
                run_id = client.trigger("ingest", step.conf())
                seen = _watched(settings, chain)
                client.wait_chain("ingest", run_id, seconds=CHAIN_SECONDS, seen=seen, every=2.0)
            except StackError as error:
                problems.append(_unended(step, tenants, chain.runs, error))
            view.end(number, chain.runs)
            red = [run for run in chain.runs if run.state == "failed"]
            problems += [_red(client, step, tenants, run) for run in red]
    return problems


def _watched(settings: Settings, chain: ChainView) -> Callable[[list[Run]], None]:
    def seen(runs: list[Run]) -> None:
        require_room(settings.var)
        chain(runs)

    return seen


def _unended(
    step: Step, tenants: tuple[str, ...], runs: Sequence[Run], error: StackError
) -> Problem:
    still = [run.dag_id for run in runs if not run.is_finished]
    return Problem(
        tenants,
        f"{' and '.join(still) or 'the chain'} did not end, see docs/runbooks/"
        f"{still[0] if still else 'stack'}.md",
        f"{step.days}: {error}. Look at its runs in Airflow; the same command once more goes on "
        "from where they are",
    )


def _red(client: AirflowClient, step: Step, tenants: tuple[str, ...], run: Run) -> Problem:
    return Problem(
        _stopped(client, run, tenants) or tenants,
        f"{run.dag_id} ended red, see docs/runbooks/{run.dag_id}.md",
        f"{step.days}: {run.dag_id} ended red ({run.run_id}). Open the run in Airflow: the log of "
        f"the red task says why, docs/runbooks/{run.dag_id}.md what to do",
    )


def _stopped(client: AirflowClient, run: Run, tenants: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the tenants whose own task failed; none where a task of all tenants did."""
    found: list[Any] = []
    with contextlib.suppress(StackError):
        for task in client.task_instances(run.dag_id, run.run_id):
            if task["state"] == "failed":
                given = task["rendered_fields"]
                found += [*given.get("op_args", []), *given.get("op_kwargs", {}).values()]
    return tuple(tenant for tenant in tenants if tenant in found)
