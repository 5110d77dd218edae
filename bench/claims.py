"""python -m bench.claims: measure again what the README shows, and write it down.

Writes docs/claims.json and the README's block.
A part that is left out keeps its figures of before, with the machine they were measured on.
What misses its aim is published all the same, beside the aim.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from bench import readme, report, whole_run
from bench.__main__ import console, run_measures, start
from bench.figure import Figure
from bench.measures import MEASURES
from bench.place import FULL, QUICK, place

# The figures of the benchmark that the README shows.
QUOTED = (
    "simulator_all", "simulator_larger", "ingest_bronze", "ingest_silver", "gate_ten", "copy",
    "features", "dbt_full", "dbt_day", "publish", "train", "score",
)  # fmt: skip


class Part(StrEnum):
    set_up = "set-up"
    run = "run"
    bench = "bench"


def measured(part: Part, about: dict[str, Any]) -> list[Figure]:
    """The figures of one part."""
    if part is Part.bench:
        with place(QUICK if about["quick"] else FULL) as here:
            found = run_measures(list(MEASURES), here, about)
        return [figure for figure in found if figure.id in QUOTED]
    with console.status(part.value) as status:
        step = whole_run.set_up if part is Part.set_up else whole_run.measure
        return step(lambda text: status.update(text))


def merged(
    old: dict[str, Any], part: str, machine: dict[str, Any], figures: list[Figure]
) -> dict[str, Any]:
    """The document with this part's figures in place of those it had."""
    kept = [f for f in old["figures"] if f["part"] != part]
    fresh = [{"id": f.id, "part": part, **f.as_dict()} for f in figures]
    both = sorted([*kept, *fresh], key=lambda f: list(readme.PARTS).index(f["part"]))
    return {"parts": {**old["parts"], part: machine}, "figures": both}


def main(
    part: Annotated[list[Part] | None, typer.Option(help="measure only this; default: all")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="tiny benchmark; writes nothing")] = False,
) -> None:
    """Measure every figure of the README again, then write docs/claims.json and its block."""
    claims = readme.read() if readme.CLAIMS.exists() else {"parts": {}, "figures": []}
    for one in part or list(Part):
        about = start(quick)
        figures = measured(one, about)
        console.print(report.table(figures, readme.PARTS[one.value]))
        claims = merged(claims, one.value, about, figures)
        if not quick:
            readme.write(claims)  # each part as soon as it is there
    console.print("nothing written: --quick" if quick else f"written: {readme.CLAIMS}")


if __name__ == "__main__":
    typer.run(main)
