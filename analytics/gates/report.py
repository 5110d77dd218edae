"""What a gate found, in a form that can be stored, published and read aloud."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analytics.interval import Interval
from analytics.settings import Settings

EXAMPLES = 5


@dataclass(frozen=True)
class RuleResult:
    """One rule's verdict on one table."""

    rule: str
    kind: str  # row, table, budget, dbt
    severity: str  # critical, warning
    passed: bool
    unexpected: int  # rows at fault
    considered: int  # rows the rule had an opinion on
    columns: tuple[str, ...] = ()
    reason: str = ""
    expectation: str = ""
    observed: str = ""
    examples: tuple[str, ...] = ()  # up to five values at fault

    @property
    def stops(self) -> bool:
        return self.severity == "critical" and not self.passed


@dataclass(frozen=True)
class TableReport:
    """One table at one door."""

    table: str
    rows: int  # came, unreadable ones included
    unreadable: int  # refused by the reader before there was a row
    bad: int  # set aside or refused, each row once
    allowed: int  # the budget in rows
    results: tuple[RuleResult, ...]
    page: str = ""  # under the data docs

    @property
    def stops(self) -> list[RuleResult]:
        return [result for result in self.results if result.stops]

    @property
    def warnings(self) -> list[RuleResult]:
        return [r for r in self.results if r.severity == "warning" and not r.passed]


@dataclass(frozen=True)
class GateReport:
    """One door, one tenant, one interval, one run."""

    tenant_id: str
    door: str  # bronze, silver, marts, features, predictions
    interval: Interval
    run_id: str
    tables: tuple[TableReport, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        return not any(table.stops for table in self.tables)

    @property
    def quarantined(self) -> int:
        return sum(table.bad for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: evidence that travels with a publication."""
        return {
            "tenant_id": self.tenant_id,
            "door": self.door,
            "interval": self.interval.as_extra(),
            "run_id": self.run_id,
            "passed": self.passed,
            "tables": [asdict(table) for table in self.tables],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GateReport:
        """The report that `as_dict` gave."""
        return cls(
            tenant_id=data["tenant_id"],
            door=data["door"],
            interval=Interval.of(data["interval"]["from"], data["interval"]["to"]),
            run_id=data["run_id"],
            tables=tuple(_table(table) for table in data["tables"]),
        )

    def message(self, docs: Path | str) -> str:
        """Why this tenant stopped here, line by line, and where to look."""
        head = (
            f"the {self.door} gate stopped tenant {self.tenant_id} for {self.interval}; "
            "its data stays on this side of the door, other tenants go on"
        )
        lines = [
            f"  {table.table}: {_sentence(result, table)}"
            for table in self.tables
            for result in table.stops
        ]
        return "\n".join(
            [head, *lines, f"  data docs: {docs}", "  runbook: docs/runbooks/gates.md"]
        )


def _table(data: dict[str, Any]) -> TableReport:
    results = tuple(
        RuleResult(**{**r, "columns": tuple(r["columns"]), "examples": tuple(r["examples"])})
        for r in data["results"]
    )
    return TableReport(**{**data, "results": results})


def _sentence(result: RuleResult, table: TableReport) -> str:
    text = f"{result.rule} failed"
    if result.kind in ("row", "budget"):
        text += f" for {result.unexpected} of {table.rows} rows, {table.allowed} allowed"
    elif result.unexpected:
        text += f" with {result.unexpected} rows"
    if result.observed:
        text += f" ({result.observed})"
    if result.examples:
        text += f", e.g. {', '.join(result.examples[:EXAMPLES])}"
    return text


def slug(run_id: str) -> str:
    """A run id as a file name that works on every file system and in a URL."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", run_id).strip("-.") or "run"


def folder(settings: Settings) -> Path:
    return settings.var / "gates"


def store(settings: Settings, report: GateReport) -> Path:
    """Write `var/gates/<tenant>/<door>/<run>.json`, whole or not at all; a retry replaces it."""
    path = folder(settings) / report.tenant_id / report.door / f"{slug(report.run_id)}.json"
    write_whole(path, json.dumps(report.as_dict(), indent=1))
    return path


def write_whole(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)
