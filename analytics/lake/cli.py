"""`analytics lake …`: what the lake holds, whether it changed, and keeping it tidy."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import polars as pl
import typer
from deltalake import DeltaTable
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analytics.errors import LakeError
from analytics.lake import cli_snapshots, content, ledger, leftovers, maintenance, read, schemas
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant, registry

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The Delta lake: tables, hashes, ledger, snapshots.",
)
app.command("snapshots")(cli_snapshots.list_snapshots)
app.command("as-of")(cli_snapshots.as_of)
app.command("diff")(cli_snapshots.diff)
app.command("restore")(cli_snapshots.turn_back)


@app.command(name="hash")
def hash_(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
    table: Annotated[str | None, typer.Option(help="only tables whose path starts so")] = None,
) -> None:
    """Print a content hash per table and tenant, free of row order and run stamps."""
    settings = load_settings()
    _known_tables(settings, table or "")
    hashes = read.content_hash(settings)
    shown = {k: v for k, v in hashes.items() if table is None or k[0].startswith(table)}
    if as_json:
        typer.echo(
            json.dumps({f"{name}@{tenant}": found for (name, tenant), found in shown.items()})
        )
        return
    for (name, tenant), found in shown.items():
        typer.echo(f"{found}  {name}  {tenant}")


@app.command()
def tables() -> None:
    """List the Delta tables with version, files and rows."""
    settings = load_settings()
    shown = Table("table", "version", "files", "rows")
    for name in _known_tables(settings):
        found = DeltaTable(f"{settings.lake_root}/{name}")
        shown.add_row(name, str(found.version()), str(len(found.file_uris())), f"{found.count():,}")
    Console().print(shown)


@app.command(name="ledger")
def ledger_(
    tenant: Annotated[str | None, typer.Option(help="only this tenant")] = None,
) -> None:
    """Show where every row went, per tenant, table and interval."""
    settings = load_settings()
    if tenant is not None:
        get_tenant(settings, tenant)  # a misspelt one is an error, not an empty table
    _known_tables(settings)
    shown = Table(box=None, pad_edge=False)
    for name in ("tenant", "table", "from", "to"):
        shown.add_column(name, overflow="fold")
    for name in ("in", *ledger.BUCKETS):
        shown.add_column(name.replace("_", " "), justify="right", no_wrap=name == "in")
    for line in ledger.read(settings, tenant).iter_rows(named=True):
        shown.add_row(
            line["tenant_id"],
            line["table"],
            f"{line['interval_from']:%Y-%m-%d}",
            f"{line['interval_to']:%Y-%m-%d}",
            *(f"{line[c]:,}" for c in ("rows_in", *ledger.BUCKETS)),
        )
    cli_snapshots.console().print(shown)


@app.command(name="schemas")
def schemas_(
    tenant: Annotated[str | None, typer.Option(help="only this tenant")] = None,
) -> None:
    """Show how the columns of each source changed, and with which file."""
    settings = load_settings()
    tenants = [get_tenant(settings, tenant)] if tenant else list(registry(settings).values())
    _known_tables(settings)
    shown = Table("tenant", "source", "since file", "change", box=None, pad_edge=False)
    for each in tenants:
        for source in (*each.sources, *each.by_hand):
            rows = schemas.read(settings, each.id, source.name).filter(
                pl.col("change").is_not_null()
            )
            for file, change in zip(rows["file"], schemas.of_rows(rows), strict=True):
                shown.add_row(each.id, source.name, file, change.told(source))
    cli_snapshots.console().print(shown)


@app.command()
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it, change nothing")] = False,
    keep_days: Annotated[
        int,
        typer.Option(
            min=maintenance.LEAST_DAYS,
            max=maintenance.KEEP_DAYS,
            help="days for which old versions stay readable",
        ),
    ] = maintenance.KEEP_DAYS,
) -> None:
    """Merge small files, remove old ones and what killed runs left. The DAG does it weekly.

    Example

      analytics lake maintain --dry-run
    """
    settings = load_settings()
    _known_tables(settings)
    shown = Table(box=None)
    shown.add_column("table", no_wrap=True)
    for name in ("files", "→", "MB", "→ ", "removed", "MB freed", "checkpoint"):
        shown.add_column(name, justify="right")
    groups = maintenance.groups(settings, list(registry(settings)))
    names = [name for group in groups for name in group]
    for name in track(names, "looking" if dry_run else "tidying", console=Console(stderr=True)):
        m = maintenance.maintain(settings, name, keep_days=keep_days, dry_run=dry_run)
        shown.add_row(
            name,
            str(m.files_before),
            str(m.files_after),
            _mb(m.bytes_before),
            _mb(m.bytes_after),
            str(m.removed),
            _mb(m.bytes_removed),
            "yes" if m.checkpoint else "",
        )
    cli_snapshots.console().print(shown)
    swept = leftovers.sweep(settings, datetime.now(UTC), dry_run=dry_run)
    typer.echo(
        f"{'would sweep' if dry_run else 'swept'} {swept.staged} staged files that had landed, "
        f"{swept.partial} half-written and {swept.spooled} spooled ones: {_mb(swept.bytes)} MB"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"


def _known_tables(settings: Settings, start: str = "") -> list[str]:
    """The tables whose path starts so. Raises LakeError when there is none."""
    if "://" not in settings.lake_root:
        with suppress(FileNotFoundError):
            os.listdir(settings.lake_root)  # what hides the lake is said, not taken for no lake
    known = content.tables(settings)
    if not known:
        raise LakeError(
            f"the lake at {settings.lake_root} holds no table yet; `make run` fills it, and "
            "ANALYTICS_VAR_DIR or ANALYTICS_LAKE_ROOT names another"
        )
    found = [name for name in known if name.startswith(start)]
    if not found:
        raise LakeError(f"no table starts with {start!r}; `analytics lake tables` lists them")
    return found
