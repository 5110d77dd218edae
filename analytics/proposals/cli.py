"""`analytics expectations …`: rules that a tenant's own data suggests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from analytics.errors import AnalyticsError
from analytics.interval import Interval
from analytics.proposals import Proposal, propose, written
from analytics.proposals.difference import Change
from analytics.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What is acceptable at the gates."
)
COLOURS = {"add": "green", "tighten": "yellow", "loosen": "magenta"}


@app.callback()
def expectations() -> None:
    """What is acceptable at the gates."""


@app.command("propose")
def propose_(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="whose data")],
    table: Annotated[str | None, typer.Option(help="one table; default: all")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="first day; default: at most 56 back"),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="the day after the last"),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="a Python file to write the proposed suite to")
    ] = None,
) -> None:
    """Show the rules that a tenant's data suggests, as changes to the suite in force.

    What came and passed the bronze gate is looked at; each rule says what was observed and how
    much room it leaves. Nothing takes effect: what you keep, you put into `expectations/`.

    Examples

      analytics expectations propose --tenant indie_radio

      analytics expectations propose --tenant indie_radio --table plays --write proposed.py
    """
    out = Console(highlight=False, soft_wrap=True)
    proposals = propose(load_settings(), tenant, table, _interval(since, until))
    for proposal in proposals:
        _show(out, proposal)
    if write is not None:
        write.write_text(written.source(proposals), encoding="utf-8")
        out.print(f"written to {escape(str(write))}; nothing of it is in force")


def _interval(since: datetime | None, until: datetime | None) -> Interval | None:
    if (since is None) != (until is None):
        raise AnalyticsError("give both --from and --to, or neither")
    if since is None or until is None:
        return None
    return Interval(since.replace(tzinfo=UTC), until.replace(tzinfo=UTC))


def _show(out: Console, proposal: Proposal) -> None:
    days = f"{proposal.interval.start:%Y-%m-%d} to {proposal.interval.end:%Y-%m-%d}"
    out.print(f"[bold]--- {proposal.table}, in force[/]")
    out.print(
        f"[bold]+++ {proposal.table}, proposed[/] from {proposal.rows:,} rows of "
        f"{proposal.tenant_id}, {days}"
    )
    if not proposal.changes:
        out.print("    nothing: the rules in force fit")
    for change in proposal.changes:
        _show_change(out, change)
    out.print()


def _show_change(out: Console, change: Change) -> None:
    colour = COLOURS[change.kind]
    out.print(f"[{colour}]@@ {change.kind} {change.rule}[/] ({change.severity})")
    if change.before is not None:
        out.print(f"[red]-   {escape(change.before)}[/]")
    out.print(f"[green]+   {escape(change.after)}[/]")
    out.print(f"    [dim]{escape(change.reason)}[/]")
