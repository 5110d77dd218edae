"""`analytics quarantine ls | show | replay`: the rows set aside, and letting them out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from analytics import replay as replays
from analytics.errors import AnalyticsError
from analytics.interval import Interval
from analytics.lake import fixes, ledger, quarantine
from analytics.lake.quarantine import Which
from analytics.replay import Replayed
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The rows that were set aside: count them, look at them, let them out after a fix.",
)
BY = ["tenant_id", "door", "table", "rule", "column", "source"]

OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", help="only this tenant")]
OneTable = Annotated[str | None, typer.Option("--table", help="only rows meant for this table")]
OneSource = Annotated[str | None, typer.Option("--source", help="only rows of this source")]
OneRule = Annotated[str | None, typer.Option("--rule", help="only rows that broke this rule")]
OneDoor = Annotated[
    str | None, typer.Option("--door", help="extract (could not be read or typed), bronze, marts")
]
Since = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="first day of the runs")
]
Until = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="the day after the last")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON array")]


@app.command("ls")
def count(
    tenant: OneTenant = None,
    table: OneTable = None,
    source: OneSource = None,
    rule: OneRule = None,
    door: OneDoor = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Count the rows by tenant, door, table, rule, column and source.

    "open" are those that no replay has let out yet.

    Example

      analytics quarantine ls --tenant indie_radio --from 2025-05-01
    """
    settings = _settings(tenant)
    rows = _which(tenant, table, source, rule, door, since, until).of(quarantine.scan(settings))
    counts = (
        rows.group_by(BY)
        .agg(
            pl.len().alias("rows"),
            (~pl.col("is_resolved")).sum().alias("open"),
            pl.col("interval_from").min().alias("first"),
            pl.col("interval_to").max().alias("last"),
        )
        .sort(BY, nulls_last=True)
        .collect(engine="streaming")
    )
    if as_json:
        typer.echo(json.dumps(counts.rename({"tenant_id": "tenant"}).to_dicts(), default=_plain))
        return
    shown = Table(box=None, pad_edge=False)
    for name in ("tenant", *BY[1:]):
        shown.add_column(name, overflow="fold")
    for name in ("rows", "open"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("first", "last"):
        shown.add_column(name, no_wrap=True)
    for line in counts.iter_rows(named=True):
        texts = (Text(line[c] or "") for c in BY)  # what a source sent is no markup
        numbers = (f"{line[c]:,}" for c in ("rows", "open"))
        shown.add_row(*texts, *numbers, *(f"{line[c]:%Y-%m-%d}" for c in ("first", "last")))
    _print(shown if counts.height else "nothing is in quarantine for that")


@app.command()
def show(
    tenant: OneTenant = None,
    table: OneTable = None,
    source: OneSource = None,
    rule: OneRule = None,
    door: OneDoor = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="how many rows")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show rows: what they broke, the value, the file and line they came from, and all of them.

    Example

      analytics quarantine show --tenant indie_radio --table payments -n 5
    """
    settings = _settings(tenant)
    rows = _which(tenant, table, source, rule, door, since, until).of(quarantine.scan(settings))
    found = rows.head(limit).collect(engine="streaming")
    if as_json:
        typer.echo(json.dumps([_told(row) for row in found.to_dicts()], indent=2, default=_plain))
        return
    out = Console(soft_wrap=True, highlight=False)
    for row in found.iter_rows(named=True):
        value = "no value" if row["value"] is None else repr(row["value"])
        out.print(
            f"[bold]{escape(str(row['rule']))}[/]  {escape(value)}"
            f"  [dim]{row['tenant_id']} {row['table']} at {row['door']}[/]{_state(row)}"
        )
        line = "" if row["row_number"] is None else f" row {row['row_number']}"
        out.print(f"  {row['source']}: {row['file']}{line}", markup=False)
        out.print(f"  {row['row']}\n", markup=False)
    if found.is_empty():
        out.print("nothing is in quarantine for that")


@app.command()
def replay(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="whose rows")],
    table: OneTable = None,
    source: OneSource = None,
    rule: OneRule = None,
    since: Since = None,
    until: Until = None,
    fix: Annotated[
        Path | None, typer.Option(help="a YAML file that mends what is wrong in the rows")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it, change nothing")] = False,
) -> None:
    """Run the intervals of these rows again after the fix: what passes now lands.

    Where the declaration was wrong, correct it in the tenants file first: the files are read
    again as it says. Where a file was wrong, put the right one in its place. Where the data is
    wrong and stays so, --fix names the source and, for these rows alone, what came and what it
    means, or how it is to be read (docs/runbooks/gates.md):

      payments: {values: {currency: {"€": EUR}}, units: {amount_minor: major}}

    Silver ends as if the rows had been right from the start. A second replay changes nothing.

    Examples

      analytics quarantine replay --tenant indie_radio --dry-run

      analytics quarantine replay --tenant indie_radio --table payments --fix euro.yaml
    """
    settings = _settings(tenant)
    which = _which(tenant, table, source, rule, None, since, until)
    given = fixes.read(fix, get_tenant(settings, tenant)) if fix else None
    if dry_run:
        planned = replays.plan(settings, tenant, which, given)
        passing = [len(one.look.passing) if one.look else None for one in planned]
        _print_jobs(planned, "would pass", passing)
        return
    run_id = f"replay__{datetime.now(UTC).isoformat()}"
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("reading again", total=None)

        def seen(interval: Interval, number: int, total: int) -> None:
            what = f"judging and landing {_days(interval)}"
            bars.update(bar, description=what, completed=number, total=total)

        done = replays.replay(settings, tenant, which, run_id, given, seen)
        bars.update(bar, description="replayed", completed=1, total=1)
    _print_jobs(done, "resolved", [r.resolved for r in done])
    for line in _next(tenant, done):
        typer.echo(line)


def _print_jobs(jobs: Sequence[Replayed], passed: str, counts: Sequence[int | None]) -> None:
    if not jobs:
        typer.echo("nothing to replay: no open row is in quarantine for that")
        return
    shown = Table(box=None, pad_edge=False)
    for name in ("from", "to", "sources"):
        shown.add_column(name, overflow="fold")
    for name in ("rows", passed, "still bad", *ledger.BUCKETS[:3]):
        shown.add_column(name.replace("_", " "), justify="right")
    for one, count in zip(jobs, counts, strict=True):
        interval, look = one.job.interval, one.look
        sums = (sum(r[bucket] for r in one.rows.values()) for bucket in ledger.BUCKETS[:3])
        numbers = (count, look and look.bad + look.waiting, *(sums if one.rows else [None] * 3))
        shown.add_row(
            f"{interval.start:%Y-%m-%d}", f"{interval.end:%Y-%m-%d}", ", ".join(one.job.sources),
            f"{one.job.chosen:,}", *("" if n is None else f"{n:,}" for n in numbers),
        )  # fmt: skip
    _print(shown)
    for note in dict.fromkeys(note for one in jobs for note in one.notes):
        typer.echo(note)


def _next(tenant: str, done: Sequence[Replayed]) -> list[str]:
    """What a person does now."""
    lines = []
    waiting = sum(one.look.waiting for one in done if one.look)
    if waiting:
        lines.append(f"{waiting:,} rows now belong to days that never ran: run `ingest` for them")
    if any(one.look and one.look.bad for one in done):
        lines.append(f"`analytics quarantine show --tenant {tenant}` shows what is still bad")
    spans = [one.touched for one in done if one.touched]
    if spans:
        window = Interval.covering(spans)
        lines.append(
            f"Next: trigger `features` for {tenant} from {window.start.date()} to "
            f"{window.end.date()}; the warehouse follows"
        )
    return lines


def _which(
    tenant: str | None,
    table: str | None,
    source: str | None,
    rule: str | None,
    door: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Which:
    begin, end = (d.replace(tzinfo=UTC) if d else None for d in (since, until))
    if begin and end and end <= begin:
        raise AnalyticsError(f"--to {end.date()} must be later than --from {begin.date()}")
    return Which(tenant, table, source, rule, door, begin, end)


def _settings(tenant: str | None) -> Settings:
    settings = load_settings()
    if tenant is not None:
        get_tenant(settings, tenant)  # a misspelt one is an error, not an empty table
    return settings


def _told(row: dict[str, Any]) -> dict[str, Any]:
    tenant = row.pop("tenant_id")
    return {"tenant": tenant, **row, "fix": row["fix"] and json.loads(row["fix"])}


def _state(row: dict[str, Any]) -> str:
    fix = f", fix {fixes.mark(row['fix'])}" if row["fix"] else ""
    if row["is_resolved"]:
        return f"  [green]resolved by {escape(str(row['run_id']))}{fix}[/]"
    return f"  [yellow]open{fix}[/]"


def _print(what: Table | str) -> None:
    """As wide as the terminal, and wide enough for a file."""
    Console(width=None if sys.stdout.isatty() else 140).print(what)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _days(interval: Interval) -> str:
    return f"{interval.start:%Y-%m-%d} to {interval.end:%Y-%m-%d}"
