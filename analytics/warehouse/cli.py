"""`analytics sql`: one query, as a tenant sees it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analytics.errors import WarehouseError
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant
from analytics.warehouse.connect import connect
from analytics.warehouse.read import sql_error


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def sql(
    query: Annotated[str, typer.Argument(help="one statement; names are those of schema serve")],
    tenant: Annotated[
        str | None,
        typer.Option(help="run as this tenant's login (default: the pipeline's, reading only)"),
    ] = None,
    format: Annotated[Format, typer.Option(help="how to print the rows")] = Format.table,
    limit: Annotated[int, typer.Option(min=0, help="most rows to print; 0 for all")] = 1000,
) -> None:
    """Ask the warehouse, as a tenant or as the pipeline.

    Examples

      analytics sql --tenant indie_radio "select * from daily_listening order by 2 desc limit 7"

      analytics sql --tenant indie_radio --format csv "select * from monthly_revenue"
    """
    names, rows, more = ask(load_settings(), query, tenant, limit)
    _PRINTERS[format](names, rows)
    if more:
        note = f"only the first {limit:,} rows; --limit 0 prints all"
        Console(stderr=True).print(note, style="yellow")


app = typer.Typer(add_completion=False)
app.command()(sql)


def ask(
    settings: Settings, query: str, tenant_id: str | None = None, limit: int = 0
) -> tuple[list[str], list[tuple], bool]:
    """Column names, rows up to the limit, and whether there were more.

    Raises WarehouseError with PostgreSQL's message.
    """
    role = get_tenant(settings, tenant_id).role if tenant_id is not None else "pipeline"
    if not query.strip().strip(";"):
        raise WarehouseError('the query is empty; write e.g. "select * from daily_listening"')
    with connect(settings, role=role) as connection:
        connection.read_only = True
        try:
            with connection.cursor() as cursor:
                stream = cursor.stream(query)  # type: ignore[arg-type]
                rows = list(islice(stream, limit + 1 if limit else None))
                names = [column.name for column in cursor.description or ()]
                stream.close()  # type: ignore[attr-defined]  # a generator: ends the query
        except psycopg.ProgrammingError as error:
            if error.diag.message_primary is None:  # psycopg's own: nothing to stream
                raise WarehouseError("this statement returns no rows; write a select") from None
            raise WarehouseError(sql_error(error)) from None
        except psycopg.Error as error:
            raise WarehouseError(sql_error(error)) from None
    return names, rows[:limit] if limit else rows, bool(limit) and len(rows) > limit


def _print_table(names: Sequence[str], rows: Sequence[tuple]) -> None:
    table = Table()
    for position, name in enumerate(names):
        numbers = all(isinstance(row[position], int | float | None) for row in rows)
        table.add_column(Text(name), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        # Text, not str: what a tenant's data holds is no markup.
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    console = Console()
    console.print(table)
    console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}")


def _print_csv(names: Sequence[str], rows: Sequence[tuple]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_plain(value) for value in row] for row in rows)


def _print_json(names: Sequence[str], rows: Sequence[tuple]) -> None:
    records = [dict(zip(names, row, strict=True)) for row in rows]
    print(json.dumps(records, default=_plain, ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


_PRINTERS = {Format.table: _print_table, Format.csv: _print_csv, Format.json: _print_json}
