"""The measures by name, in the order they run. Each gives the figures of one part."""

from __future__ import annotations

from collections.abc import Callable

from bench.figure import Figure
from bench.measures import content, features, gate, ingest, learning, simulator, warehouse
from bench.place import Place

Measure = Callable[[Place], list[Figure]]

MEASURES: dict[str, Measure] = {
    "simulator": simulator.measure,
    "ingest": ingest.measure,
    "gate": gate.measure,
    "content": content.measure,
    "features": features.measure,
    "load": warehouse.load,
    "dbt": warehouse.models,
    "publish": warehouse.publish,
    "learning": learning.measure,
}
