"""`analytics lake …`: what the lake holds, and whether it changed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Annotated

import typer
from deltalake import DeltaTable
from rich.console import Console
from rich.table import Table

from analytics.errors import LakeError
from analytics.lake import content, ledger, read
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The Delta lake: tables, hashes, ledger."
)


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
    terminal = Console()
    Console(width=None if terminal.is_terminal else 140).print(shown)


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
