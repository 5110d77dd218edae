"""One measured figure, and how it is timed and shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A number somebody may quote: what it is, how it was measured, what was hoped for."""

    id: str
    name: str
    value: float | str  # words where the answer is one
    unit: str
    how: str
    ratio: float | None = None  # our speed over the bare engine's
    bare: str = ""  # what the bare engine did
    aim: str = ""
    met: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def shown(value: float | str, unit: str) -> str:
    """The value as people read it: three digits that count, thousands and millions by letter."""
    if isinstance(value, str):
        return value
    for size, letter in ((1e6, " M"), (1e4, " k")):
        if abs(value) >= size and unit:
            scaled = value / (1e6 if letter == " M" else 1e3)
            return f"{scaled:.3g}{letter} {unit}".strip()
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".strip()


def seconds(
    step: Callable[[], object],
    repeats: int,
    before: Callable[[], object] | None = None,
) -> float:
    """The median wall time of a step; `before` prepares each repetition and is not counted."""
    times = []
    for _ in range(repeats):
        if before is not None:
            before()
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def rate(
    id: str,
    name: str,
    rows: int,
    ours: float,
    bare_seconds: float | None,
    *,
    how: str,
    bare: str = "",
    unit: str = "rows/s",
    aim: float | None = None,
    aim_ratio: float | None = None,
) -> Figure:
    """Rows a second, with its ratio to the bare engine; an aim is a rate or a ratio."""
    speed = rows / ours
    ratio = bare_seconds / ours if bare_seconds is not None else None
    words, met = "", None
    if aim is not None:
        words, met = f"≥ {shown(aim, unit)}", speed >= aim
    elif aim_ratio is not None and ratio is not None:
        words, met = f"≥ {aim_ratio:.0%} of bare", ratio >= aim_ratio
    return Figure(id, name, round(speed), unit, how, ratio and round(ratio, 3), bare, words, met)
