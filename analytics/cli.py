"""The command line. Each command imports what it needs when it is called."""

from __future__ import annotations

import importlib
import json
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup
from typer.exceptions import TyperException

from analytics.errors import AnalyticsError

if TYPE_CHECKING:
    from analytics.settings import Settings

out = Console(width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True)
INTERRUPTED = 128 + signal.SIGINT  # as shells count


def _say(message: str) -> None:
    err.print(f"[bold red]error[/] {escape(message)}", highlight=False, soft_wrap=True)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


class Plain(TyperGroup):
    """Prints the errors meant for people as one message, without a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AnalyticsError as error:
            _say(str(error))
            raise typer.Exit(1) from None
        except BrokenPipeError:
            raise  # a reader that went away, as in `analytics logs | head`
        except (typer.Exit, typer.Abort, TyperException):
            raise  # no fault, or a wrong option
        except OSError as error:
            from analytics.file_system import explained

            _say(explained(error, _var()))
            raise typer.Exit(1) from None
        except Exception as error:
            from analytics.file_system import full, is_full

            var = _var()
            if not is_full(error, var):
                raise
            _say(f"{full(var=var)} ({_first_line(error)})")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            err.print(
                "[bold]interrupted[/]; the same command goes on from here. What was started stays: "
                "`analytics status` shows it, `analytics down` stops it",
                soft_wrap=True,
            )
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Plain,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A music service's data stack on one machine: start it, feed it, ask it.",
)
tenants = typer.Typer(no_args_is_help=True, help="Who the tenants are.")
app.add_typer(tenants, name="tenants")


def _settings() -> Settings:
    from analytics.settings import load_settings

    return load_settings()


def _var() -> Path | None:
    """The folder of data, for a message; None where the settings are at fault themselves."""
    try:
        return _settings().var
    except (AnalyticsError, OSError):
        return None


# --------------------------------------------------------------------- stack


@app.command()
def up() -> None:
    """Start whatever of the stack is not running, and wait until all of it is healthy."""
    from analytics.stack import console

    console.up(_settings(), out)


@app.command()
def down() -> None:
    """Stop the stack; what it stored stays."""
    from analytics.stack import console

    console.down(_settings(), out)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show each service with its state, memory and URL. Exit code 0 when all are healthy."""
    from analytics.stack import console

    if not console.status(_settings(), out, as_json):
        raise typer.Exit(1)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="one service; default: all")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 50,
) -> None:
    """Print the last lines the services wrote."""
    from analytics.stack import console

    console.logs(_settings(), out, service, follow, lines)


# ----------------------------------------------------------------- whole job


@app.command()
def run(
    data: Annotated[
        Path | None, typer.Option(help="folder of real exports; each subfolder is a tenant")
    ] = None,
) -> None:
    """Bring the stack up, load data by real DAG runs, wait for every chain, show what came out."""
    from analytics.job.main import run_on, run_sample

    if data is None:
        run_sample(_settings(), out)
    else:
        run_on(_settings(), data, out)


@app.command()
def report(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="whose report")],
    days: Annotated[int, typer.Option(min=1, max=3660, help="length of the period")] = 28,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="its end; default: the data's")
    ] = None,
) -> None:
    """Write a tenant's report as a page that the docs site serves."""
    from analytics.report.cli import make_report, write_page

    settings = _settings()
    made = make_report(settings, tenant, days, until.date() if until else None)
    out.print(str(write_page(settings, made)), soft_wrap=True, highlight=False)


@app.command()
def docs() -> None:
    """Write the dbt docs as a page that the docs site serves, from the warehouse as it is."""
    from analytics.warehouse import dbt
    from analytics.warehouse.connect import connect

    settings = _settings()
    connect(settings).close()  # says in one line what dbt says in twenty
    site = dbt.docs(settings)
    out.print(str(site / "index.html"), soft_wrap=True, highlight=False)


@tenants.command("check")
def tenants_check(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Validate the tenants file and list who is in it."""
    from rich.table import Table

    from analytics.sources.faults import checked_tenants

    file = _settings().analytics_tenants_file
    known = checked_tenants(file)
    if as_json:
        print(json.dumps([t.model_dump(mode="json") for t in known.values()], indent=2))
        return
    table = Table("tenant", "name", "time zone", "currency", "sources")
    for one in known.values():
        sources = ", ".join(f"{s.name} ({s.format})" for s in one.sources)
        table.add_row(one.id, one.name, one.time_zone, one.currency, sources)
    out.print(table)
    count = f"{len(known)} tenant{'' if len(known) == 1 else 's'}"
    out.print(f"[green]✓[/] {count} in {escape(str(file))}", soft_wrap=True)


# ------------------------------------------------- commands of other packages

_PASSED_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
    "allow_interspersed_args": False,
}


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def simulate(ctx: typer.Context) -> None:
    """Write a simulated music service's data, with known truth."""
    _hand_over("analytics.simulate.cli", ctx)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def sources(ctx: typer.Context) -> None:
    """List the formats that can be read, each with an example."""
    _hand_over("analytics.sources.cli", ctx)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def lake(ctx: typer.Context) -> None:
    """Look into the lake: its tables, their content hashes, where every row went."""
    _hand_over("analytics.lake.cli", ctx)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def ingest(ctx: typer.Context) -> None:
    """Take a folder of exports for one tenant: recognise them, judge them, land them."""
    _hand_over("analytics.by_hand.cli", ctx)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def quarantine(ctx: typer.Context) -> None:
    """Look at the rows that were set aside, and let them out after a fix."""
    _hand_over("analytics.replay.cli", ctx)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def expectations(ctx: typer.Context) -> None:
    """Propose rules for the gates from what a tenant's data was like."""
    _hand_over("analytics.proposals.cli", ctx)


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def sql(ctx: typer.Context) -> None:
    """Ask the warehouse as one tenant's login role."""
    _hand_over("analytics.warehouse.cli", ctx)


def _hand_over(module: str, ctx: typer.Context) -> None:
    """Run the Typer app of another package with the arguments given here."""
    other = importlib.import_module(module).app
    code = typer.main.get_command(other).main(
        args=ctx.args, prog_name=f"analytics {ctx.info_name}", standalone_mode=False
    )
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if isinstance(code, int) and code:
        raise typer.Exit(code)


if __name__ == "__main__":
    app()
