"""python -m bench [--quick] [names…]: measure, show, write var/bench/<name>.json."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.console import Console

from analytics.errors import AnalyticsError
from analytics.settings import PROJECT
from bench import machine, report
from bench.figure import Figure
from bench.measures import MEASURES, measure_of
from bench.place import FULL, QUICK, Place, place

OUT = PROJECT / "var" / "bench"
console = Console()


def run_measures(names: list[str], here: Place, about: dict) -> list[Figure]:
    """The figures of the named measures, each written as soon as it is there."""
    figures: list[Figure] = []
    for number, name in enumerate(names, 1):
        with console.status(f"({number}/{len(names)}) {name}"):
            found = measure_of(name)(here)
        report.write(OUT, name, about, found)
        figures += found
        console.print(f"[green]✓[/] ({number}/{len(names)}) {name}", highlight=False)
    return figures


def chosen(names: list[str] | None) -> list[str]:
    unknown = sorted(set(names or ()) - MEASURES.keys())
    if unknown:
        raise AnalyticsError(f"no measure {', '.join(unknown)}; there are: {', '.join(MEASURES)}")
    return [name for name in MEASURES if not names or name in names]


def start(quick: bool) -> dict:
    """The machine's description, said aloud."""
    logging.getLogger().setLevel(logging.ERROR)  # a gate's warnings are no news here
    about = {**machine.describe(), "quick": quick}
    console.print(machine.line(about), highlight=False)
    if machine.is_busy(about):
        console.print("[yellow]the machine is busy: rates will be too low[/]")
    if quick:
        console.print("[yellow]--quick: tiny data, to see that everything runs; quote nothing[/]")
    return about


def main(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(MEASURES))] = None,
    quick: Annotated[bool, typer.Option("--quick", help="tiny data, one repetition")] = False,
) -> None:
    """Speed of each part, and its share of the bare engine's."""
    try:
        wanted = chosen(names)
    except AnalyticsError as error:
        console.print(f"[bold red]error[/] {error}")
        raise typer.Exit(1) from None
    about = start(quick)
    with place(QUICK if quick else FULL) as here:
        figures = run_measures(wanted, here, about)
    console.print(report.table(figures, "Speed of each part"))
    console.print(report.legend(figures), highlight=False)


if __name__ == "__main__":
    typer.run(main)
