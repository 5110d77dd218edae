"""`analytics ingest FOLDER --tenant T`: take what somebody handed over, whatever it is.

What the folder holds is recognised, remembered as sources given by hand (`by_hand`), read to
bronze, judged and landed, over the days that the data itself covers.

Re-run   safe, also after Ctrl-C or a kill: the same folder again goes on from where it was,
         and brings what is new in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from analytics import by_hand
from analytics.errors import AnalyticsError, GateFailed, SourceError
from analytics.interval import Interval
from analytics.lake.tables import EARLIEST, TABLES
from analytics.settings import Settings, load_settings
from analytics.sources import reader
from analytics.sources.sniff import Sniffed, extent, sniff
from analytics.tenants import Tenant, get_tenant, load_tenants

if TYPE_CHECKING:
    from analytics.lake.silver import Landed

UNKNOWN_NAMED = 5  # files that nobody knows, by name


def ingest(
    folder: Annotated[Path, typer.Argument(help="with one tenant's exports, however they lie")],
    tenant: Annotated[
        str, typer.Option("--tenant", "-t", help="whose they are; an id nobody has makes a new one")
    ],
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="first day; default: the data's own"),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="the day after the last"),
    ] = None,
) -> None:
    """Take a folder of exports for one tenant: recognise them, judge them, land them.

    Nothing has to be declared: `analytics sources` lists what is recognised. The files stay where
    they are and are read once; a file that changes, or comes later, is read by the same command.
    What cannot be read or breaks a rule goes to quarantine, as from any source.

    Examples

      analytics ingest ~/Downloads/my_spotify_data --tenant user_a

      analytics ingest exports/harbour_fm --tenant harbour_fm --from 2025-01-01 --to 2025-02-01
    """
    settings, out = load_settings(), Console(highlight=False, soft_wrap=True)
    found = _recognised(folder, out)
    sources = [by_hand.named(source) for source in found.sources]
    with (
        by_hand.taken(settings, tenant, sources) as known,
        by_hand.only(settings, known, sources) as alone,
    ):
        interval = _interval(alone, tenant, since, until)
        out.print(f"{interval.start:%Y-%m-%d} to {interval.end:%Y-%m-%d}")
        landed, tables = _take(settings, alone, known, interval)
    _close(out, tenant, landed, tables)


app = typer.Typer(add_completion=False)
app.command()(ingest)


def _recognised(folder: Path, out: Console) -> Sniffed:
    """What the folder holds, said aloud."""
    if not folder.is_dir():
        raise AnalyticsError(f"{folder} is no folder; put the exports into one and name that")
    found = sniff(folder.resolve())
    shown = Table("recognised as", "files", "source", box=None, pad_edge=False)
    for source in found.sources:
        format_ = source.format if source.table is None else f"{source.format}, {source.table}"
        shown.add_row(format_, f"{found.files[source.name]:,}", by_hand.named(source).name)
    out.print(shown)
    if found.unknown:
        named = ", ".join(found.unknown[:UNKNOWN_NAMED])
        more = len(found.unknown) - UNKNOWN_NAMED
        rest = f" and {more:,} more" if more > 0 else ""
        out.print(f"[yellow]nobody knows[/] {escape(named)}{rest}; left alone")
    return found


def _interval(
    settings: Settings, tenant_id: str, since: datetime | None, until: datetime | None
) -> Interval:
    """The days given; where an end is not, that of the data."""
    begin, end = (d.replace(tzinfo=UTC) if d else None for d in (since, until))
    if begin and end:
        return Interval(begin, end)
    tenant = get_tenant(settings, tenant_id)
    try:
        own = extent(settings, tenant)
    except SourceError as error:
        fed = {table for source in tenant.sources for table in reader(source.format).feeds(source)}
        if not any(TABLES[table].is_event for table in fed):  # a catalogue needs no dates
            return Interval(begin or EARLIEST, end or EARLIEST + timedelta(days=1))
        raise type(error)(
            f"{error}; --from and --to name the days where the data does not"
        ) from None
    return Interval(begin or own.start, end or own.end)


def _take(
    settings: Settings, alone: Settings, tenant: Tenant, interval: Interval
) -> tuple[Landed, list[str]]:
    """Extract, gate and land under a bar each; gives what landed, and the tables judged."""
    from analytics import gates
    from analytics.lake import bronze, silver

    run_id = f"{by_hand.RUN}__{datetime.now(UTC).isoformat()}"
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        sources = get_tenant(alone, tenant.id).sources
        reading = {s.name: bars.add_task(f"reading {s.name}", total=None) for s in sources}
        judging = bars.add_task("judging", total=1, start=False)
        landing = bars.add_task("landing", total=1, start=False)

        def seen(source: str, done: int, total: int) -> None:
            bars.update(reading[source], completed=done, total=total)

        bronze.extract(alone, tenant.id, interval, run_id, seen=seen)
        for bar in reading.values():
            bars.update(bar, completed=1, total=1)
        bars.start_task(judging)
        by_hand.require_free(settings, tenant, interval)
        try:
            report = gates.bronze(alone, tenant.id, interval, run_id)
        except GateFailed as error:
            raise GateFailed(
                f"{error}\n  next: mend the files, or raise `bad_row_budget` of {tenant.id} in "
                f"{_declared_in(settings, tenant)}; then the same command goes on from here"
            ) from None
        bars.update(judging, completed=1)
        bars.start_task(landing)
        with by_hand.only(settings, tenant, (*tenant.sources, *tenant.by_hand)) as everything:
            landed = silver.land(everything, tenant.id, interval, run_id)
        bars.update(landing, completed=1)
    return landed, [table.table for table in report.tables]


def _declared_in(settings: Settings, tenant: Tenant) -> Path:
    declared = settings.analytics_tenants_file
    return declared if tenant.id in load_tenants(declared) else by_hand.file_of(settings, tenant.id)


def _close(out: Console, tenant_id: str, landed: Landed, tables: Sequence[str]) -> None:
    """Where every row went, as the ledger has it, and what a person may do now."""
    from analytics.lake.ledger import BUCKETS

    shown = Table("table", box=None, pad_edge=False)
    for name in ("rows in", *BUCKETS):
        shown.add_column(name.replace("_", " "), justify="right")
    judged = {name: landed.rows[name] for name in tables if landed.rows[name]["rows_in"]}
    for name, counts in judged.items():
        shown.add_row(name, *(f"{counts[c]:,}" for c in ("rows_in", *BUCKETS)))
    out.print(shown)
    if landed.touched is None:
        out.print("nothing new: silver holds all of it already")
    else:
        first, end = landed.touched.start.date(), landed.touched.end.date()
        out.print(
            f"Next: `analytics up`, then trigger `features` for {tenant_id} from {first} to {end}; "
            "the warehouse follows"
        )
    if any(counts["quarantined"] for counts in judged.values()):
        out.print(f"What was set aside: `analytics quarantine show --tenant {tenant_id}`")
