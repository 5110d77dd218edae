"""The measures by name, in the order they run. Each gives the figures of one part."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from bench.figure import Figure
from bench.place import Place

Measure = Callable[[Place], list[Figure]]

# Imported when it runs: the processes that a measure spawns import the caller again, and
# what the other measures need would count as their time.
MEASURES: dict[str, str] = {
    "simulator": "simulator.measure",
    "ingest": "ingest.measure",
    "files": "files.measure",
    "gate": "gate.measure",
    "content": "content.measure",
    "matching": "matching.measure",
    "features": "features.measure",
    "load": "warehouse.load",
    "dbt": "warehouse.models",
    "publish": "warehouse.publish",
    "learning": "learning.measure",
}


def measure_of(name: str) -> Measure:
    module, function = MEASURES[name].split(".")
    found: Measure = getattr(import_module(f"{__name__}.{module}"), function)
    return found
