"""`analytics lake snapshots | as-of | diff | restore`: the lake as it was, and back to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from analytics.errors import LakeError
from analytics.lake import asof, differing, restore, snapshots
from analytics.lake.differing import Difference
from analytics.lake.restore import Restored
from analytics.lake.snapshots import Snapshot
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant

WHICH = "an id or its beginning, or the id of a run"
Wanted = Annotated[str, typer.Argument(metavar="SNAPSHOT", help=WHICH)]
Tenant = Annotated[str | None, typer.Option(help="only this tenant, where a run bound several")]


def list_snapshots(
    tenant: Annotated[str | None, typer.Option(help="only this tenant")] = None,
    last: Annotated[int, typer.Option(min=1, help="how many of each tenant")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array, with versions")] = False,
) -> None:
    """List what each run left: a name for the versions of all tables that belong together.

    "gone" are those of which maintenance has removed files.

    Example

      analytics lake snapshots --tenant indie_radio --last 3
    """
    settings = _settings(tenant)
    known = snapshots.snapshots(settings, tenant)
    if not known:
        raise LakeError("there is no snapshot yet; a run of `ingest` that lands rows binds one")
    newest = {s.tenant_id: s.number for s in known}
    shown = [s for s in known if s.number > newest[s.tenant_id] - last]
    lost = asof.gone(settings, shown)
    if as_json:
        typer.echo(json.dumps([_plain(s, lost[s.snapshot_id]) for s in shown], indent=2))
        return
    table = Table("tenant", "snapshot", "of", "from", "to", "tables", "readable", box=None)
    for s in shown:
        of = f"restore of {s.restores}" if s.restores else s.run_id
        ends = (f"{end:%Y-%m-%d}" for end in (s.interval.start, s.interval.end))
        state = f"gone: {', '.join(lost[s.snapshot_id])}" if lost[s.snapshot_id] else "yes"
        table.add_row(s.tenant_id, s.snapshot_id, of, *ends, str(len(s.versions)), state)
    console().print(table)


def as_of(
    snapshot: Wanted,
    table: Annotated[str, typer.Argument(help="e.g. plays, or bronze/indie_radio/plays")],
    tenant: Tenant = None,
    out: Annotated[
        Path | None, typer.Option(help="write all rows to this .parquet or .csv file")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="most rows to print")] = 20,
) -> None:
    """Show a table's rows just as they were, or write all of them to a file.

    Examples

      analytics lake as-of 3f9a1c plays

      analytics lake as-of 3f9a1c listeners --out listeners.parquet
    """
    settings = _settings(tenant)
    found = snapshots.find(settings, snapshot, tenant)
    rows = pl.concat([asof.rows(settings, s, asof.table_name(s, table)) for s in found])
    if out is not None:
        _write(rows, out)
        return
    count = rows.select(pl.len()).collect().item()
    shown = Table(*rows.collect_schema().names(), box=None)
    for row in rows.head(limit).collect().iter_rows():
        shown.add_row(*("" if value is None else str(value) for value in row))
    console().print(shown)
    if count > limit:
        note = f"the first {limit:,} of {count:,} rows; --out writes all"
        Console(stderr=True).print(note, style="yellow")


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=WHICH)],
    after: Annotated[str, typer.Argument(metavar="B", help=WHICH)],
    table: Annotated[str | None, typer.Argument(help="one table; default: all of silver")] = None,
    tenant: Tenant = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array")] = False,
) -> None:
    """Show the rows added, removed and changed from A to B, by key; exact.

    Examples

      analytics lake diff 3f9a1c 77b0e2

      analytics lake diff 3f9a1c 77b0e2 plays --json
    """
    settings = _settings(tenant)
    found = [
        difference
        for one, other in _pairs(settings, before, after, tenant)
        for name in _tables(one, other, table)
        if (difference := differing.between(settings, one, other, name))
    ]
    if as_json:
        typer.echo(json.dumps([_told(d) for d in found], indent=2, default=str))
        return
    if not found:
        typer.echo("no row differs")
        return
    console().print(_counts(found))
    for difference in found:
        for line in _examples(difference):
            typer.echo(line)


def turn_back(
    snapshot: Wanted,
    table: Annotated[str | None, typer.Option(help="one silver table; default: all")] = None,
    tenant: Tenant = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Turn a tenant's silver back to a snapshot, exactly; other tenants stay as they are.

    Bronze and the ledger stay: they say what came. So mend what was wrong before `ingest` runs
    for that interval again, for it lands the rows of bronze once more.

    Examples

      analytics lake restore 3f9a1c

      analytics lake restore 3f9a1c --table plays --yes
    """
    settings = _settings(tenant)
    plans = [
        (s, restore.plan(settings, s, restore.tables_of(settings, s, table)))
        for s in snapshots.find(settings, snapshot, tenant)
    ]
    changes = [difference for _, plan in plans for difference in plan if difference]
    if changes:
        console().print(_counts(changes))
        if not yes:
            typer.confirm("Turn these rows back?", abort=True)
    for s, plan in plans:
        done = restore.restore(settings, s, [difference.table for difference in plan])
        typer.echo(_next(s, done))


def _next(s: Snapshot, done: Restored) -> str:
    if done.snapshot_id is None:
        return f"{s.tenant_id} stands as in snapshot {s.snapshot_id} already"
    window = done.touched or s.interval
    first, end = window.start.date(), window.end.date()
    return (
        f"{s.tenant_id} stands as in snapshot {s.snapshot_id}; the restore is {done.snapshot_id}.\n"
        f"Next: trigger `features` for {s.tenant_id} from {first} to {end}; the warehouse follows. "
        "`ingest` of the same interval lands again what bronze holds."
    )


def _settings(tenant: str | None) -> Settings:
    settings = load_settings()
    if tenant is not None:
        get_tenant(settings, tenant)  # a misspelt one is an error, not an empty table
    return settings


def _pairs(
    settings: Settings, before: str, after: str, tenant: str | None
) -> list[tuple[Snapshot, Snapshot]]:
    ones = {s.tenant_id: s for s in snapshots.find(settings, before, tenant)}
    others = {s.tenant_id: s for s in snapshots.find(settings, after, tenant)}
    if not ones.keys() & others.keys():
        raise LakeError(
            f"{before} is of {', '.join(ones)}, {after} of {', '.join(others)}; compare snapshots "
            "of one tenant"
        )
    return [(ones[t], others[t]) for t in ones if t in others]


def _tables(one: Snapshot, other: Snapshot, wanted: str | None) -> list[str]:
    if wanted is None:
        return sorted(n for n in {*one.versions, *other.versions} if n.startswith("silver/"))
    later = max(one, other, key=lambda s: s.number)  # knows the tables of both
    return [asof.table_name(later, wanted)]


def _counts(differences: list[Difference]) -> Table:
    table = Table("tenant", "table", box=None)
    for name in ("added", "removed", "changed"):
        table.add_column(name, justify="right")
    for d in differences:
        table.add_row(d.tenant_id, d.table, *(f"{n:,}" for n in (d.added, d.removed, d.changed)))
    return table


def _examples(difference: Difference) -> list[str]:
    keys = differing.key_of(difference.table)
    named = f"{difference.tenant_id} {difference.table}"
    lines = []
    for sign, part in (("+", "added"), ("-", "removed")):
        for row in difference.examples.get(part, []):
            lines.append(f"{sign} {named} {' '.join(str(row[k]) for k in keys)}")
    for was, now in zip(*(difference.examples.get(p, []) for p in ("was", "now")), strict=True):
        moved = ", ".join(f"{c} {was[c]} → {now[c]}" for c in was if was[c] != now[c])
        lines.append(f"~ {named} {' '.join(str(now[k]) for k in keys)}: {moved}")
    return lines


def _told(d: Difference) -> dict[str, Any]:
    counts = {"added": d.added, "removed": d.removed, "changed": d.changed}
    return {"tenant": d.tenant_id, "table": d.table, **counts, "examples": d.examples}


def _plain(s: Snapshot, lost: list[str]) -> dict[str, Any]:
    return {
        "tenant": s.tenant_id, "snapshot": s.snapshot_id, "number": s.number, "step": s.step,
        "run": s.run_id, **s.interval.as_extra(), "restores": s.restores, "versions": s.versions,
        "gone": lost,
    }  # fmt: skip


def _write(rows: pl.LazyFrame, out: Path) -> None:
    """All rows, in a file that is there whole or not at all."""
    if out.suffix not in (".parquet", ".csv"):
        raise LakeError(f"--out {out}: the name must end in .parquet or .csv")
    fresh = out.with_name(f"{out.name}.partial")
    if out.suffix == ".csv":
        rows.sink_csv(fresh)
    else:
        rows.sink_parquet(fresh)
    fresh.replace(out)
    typer.echo(str(out))


def console() -> Console:
    """Where tables are printed: as wide as the terminal, and wide enough for a file."""
    terminal = Console()
    return Console(width=None if terminal.is_terminal else 140)
