"""`analytics sources`: the formats a tenant can declare."""

from __future__ import annotations

import inspect

import typer

from analytics.sources import formats, reader

app = typer.Typer(add_completion=False, help="The source formats.")


@app.callback(invoke_without_command=True)
def sources() -> None:
    """List every format with what it feeds and an entry for the tenants file."""
    for name in formats():
        handler = reader(name)
        module = inspect.getmodule(type(handler))
        about = (inspect.getdoc(type(handler)) or "") if name in ("csv",) else ""
        first = (about or (module.__doc__ if module else "") or "").strip().splitlines()[0]
        typer.echo(f"{name}\n  {first}\n  {handler.example}\n")
    typer.echo(
        "An entry may also say what the source owes: least_rows_a_day: 1000, fresh_within_days: 1; "
        "with `columns`, what else to carry and which types may change: extras: [mood], "
        "compatibility: full. "
        "Every field: docs/sources.md"
    )
