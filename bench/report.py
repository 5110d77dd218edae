"""What a benchmark run leaves: a table for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.figure import Figure, shown


def table(figures: list[Figure], title: str) -> Table:
    """One line a figure; the ratio says how much of the bare engine's speed is left."""
    made = Table(title=title, title_justify="left")
    made.add_column("measure")
    made.add_column("value", justify="right")
    made.add_column("of bare", justify="right")
    made.add_column("aim")
    for figure in figures:
        mark = {None: "", True: "[green]✓[/] ", False: "[red]✗[/] "}[figure.met]
        value = shown(figure.value, figure.unit)
        made.add_row(figure.name, value, share(figure.ratio), mark + figure.aim)
    return made


def legend(figures: list[Figure]) -> str:
    """How each was measured, and what the bare engine did."""
    return "\n".join(
        f"[bold]{f.name}[/]: {f.how}" + (f"; bare: {f.bare}" if f.bare else "") for f in figures
    )


def share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.0%}" if ratio >= 0.1 else f"{ratio:.1%}"


def write(folder: Path, name: str, machine: dict[str, Any], figures: list[Figure]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {"machine": machine, "figures": [f.as_dict() for f in figures]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path
