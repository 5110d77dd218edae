"""What a person sees while chains of DAG runs go by."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from analytics.stack import AirflowClient
from analytics.stack.airflow_client import Run

SIGNS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "running": "[cyan]▶[/]"}
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass
class StepsView:
    """One bar a step; under it, the runs of its chain."""

    console: Console
    titles: Sequence[str]
    bars: Progress

    def __post_init__(self) -> None:
        self._ids = [self.bars.add_task(t, total=None, start=False, runs="") for t in self.titles]
        self._began: dict[int, float] = {}

    def begin(self, number: int) -> None:
        self._began[number] = time.monotonic()
        self.bars.start_task(self._ids[number])
        if not self.console.is_terminal:
            self.console.print(f"… {self.titles[number]}")

    def show(self, number: int, runs: Sequence[Run], done: int, total: int) -> None:
        names = _named(runs)
        self.bars.update(self._ids[number], completed=done, total=max(total, 1), runs=names)

    def end(self, number: int, runs: Sequence[Run]) -> None:
        names = _named(runs) or f"{SIGNS['failed']} not started"
        self.bars.update(self._ids[number], total=1, completed=1, runs=names)
        self.bars.stop_task(self._ids[number])
        if not self.console.is_terminal:
            seconds = time.monotonic() - self._began[number]
            self.console.print(f"  {names}  ({seconds:.0f} s)")


def _named(runs: Sequence[Run]) -> str:
    return "  ".join(f"{SIGNS.get(run.state, '·')} {run.dag_id}" for run in runs)


class ChainView:
    """Called at each look at a chain: keeps its runs, counts its tasks and moves the bar."""

    def __init__(self, client: AirflowClient, view: StepsView, number: int) -> None:
        self._client, self._view, self._number = client, view, number
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self.runs: list[Run] = []

    def __call__(self, runs: list[Run]) -> None:
        self.runs = runs
        for run in runs:
            key = (run.dag_id, run.run_id)
            done, total = self._counts.get(key, (0, 0))
            if total and done == total:
                continue
            states = [t["state"] for t in self._client.task_instances(*key)]
            self._counts[key] = (sum(s in ENDED for s in states), len(states))
        done, total = (sum(c) for c in zip(*self._counts.values(), strict=True))
        self._view.show(self._number, runs, done, total)


@contextlib.contextmanager
def steps_shown(console: Console, titles: Sequence[str]) -> Iterator[StepsView]:
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[runs]}"),
        console=console,
    )
    view = StepsView(console, titles, bars)
    if console.is_terminal:
        with bars:
            yield view
    else:
        yield view
