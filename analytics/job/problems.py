"""What went wrong on the way: kept until the end, so that it stops nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from analytics.errors import AnalyticsError


@dataclass(frozen=True)
class Problem:
    """What is wrong with some tenants (none named: with all), and what to do."""

    tenants: tuple[str, ...]
    brief: str
    detail: str

    @property
    def who(self) -> str:
        return ", ".join(self.tenants) or "all tenants"


@contextmanager
def noted(problems: list[Problem], brief: str, *tenants: str) -> Iterator[None]:
    """An error meant for people joins the problems; what follows goes on."""
    try:
        yield
    except AnalyticsError as error:
        problems.append(Problem(tenants, brief, str(error)))


def show(console: Console, problems: Sequence[Problem]) -> None:
    for problem in problems:
        said = problem.detail.removeprefix(f"{problem.who}: ")
        line = f"[red]✗[/] [bold]{escape(problem.who)}[/]: {escape(said)}"
        console.print(line, highlight=False, soft_wrap=True)


def raise_if_any(problems: Sequence[Problem]) -> None:
    """Raise AnalyticsError that names each tenant's problem in brief."""
    briefs = dict.fromkeys(f"{problem.who}: {problem.brief}" for problem in problems)
    if briefs:
        raise AnalyticsError(
            f"not everything went through. {'; '.join(briefs)}. What was green is published; "
            "what to do stands under the table"
        )
