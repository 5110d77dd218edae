"""Two simulated tenants with three weeks behind them, and a day on which anything may happen."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import yaml

from analytics import gates
from analytics.errors import GateFailed, SourceError
from analytics.gates.report import folder, slug
from analytics.interval import Interval
from analytics.lake import bronze, quarantine
from analytics.settings import PROJECT, Settings, load_settings
from analytics.simulate.config import SimulationConfig
from analytics.simulate.profiles import SAMPLE
from analytics.simulate.run import simulate
from tests.damage.day import Day
from tests.damage.kinds import DROPS, LOG, Kind

TENANTS = (LOG, DROPS)
START = date(2025, 3, 3)
TODAY = START + timedelta(weeks=3)
CLEAN_DAYS = 90  # from today on
LISTENERS = 1_500


@dataclass(frozen=True)
class Noticed:
    """What a day's doors said of a tenant."""

    door: str  # the last one that was reached
    stopped: bool
    broken: Counter[str]  # by rule: rows, or 1 for a rule about the table as such
    error: str = ""  # of a door without rules

    def is_as_told(self, kind: Kind) -> bool:
        """Whether the kind's rule says it, and stops the tenant if it should."""
        says = kind.rule in self.broken or kind.rule in self.error
        return says and (self.door, self.stopped) == (kind.door, kind.stops)


@dataclass(frozen=True)
class Alarm:
    """A learned rule that did not hold on a day on which nothing was wrong."""

    tenant_id: str
    day: date
    rule: str
    stopped: bool


class World:
    """Both tenants' first weeks are through the gate; what is done to a day is done to a copy."""

    def __init__(self, root: Path, days: int = CLEAN_DAYS) -> None:
        """`days` of data from today on."""
        self.root = root
        document = yaml.safe_load((PROJECT / "tenants.yaml").read_text())
        kept = [t for t in document["tenants"] if t["id"] in TENANTS]
        (root / "tenants.yaml").write_text(yaml.safe_dump({"tenants": kept}))
        self.settings = self._settings(root / "var")
        config = SimulationConfig(
            start=START,
            days=(TODAY - START).days + days,
            listeners=LISTENERS,
            tenants=tuple(p for p in SAMPLE if p.id in TENANTS),
            drift={},
        )
        simulate(config, self.settings.landing, root / "truth")
        for tenant_id in TENANTS:
            _live(self.settings, tenant_id, Interval.of(START, TODAY), "weeks")
        self.clean = {tenant_id: self._today(tenant_id, None) for tenant_id in TENANTS}

    def damaged(self, kind: Kind) -> Noticed:
        """Live the day with this damage: what is said beyond what is said of the clean day."""
        seen = self._today(kind.tenant_id, kind)
        return replace(seen, broken=seen.broken - self.clean[kind.tenant_id].broken)

    def false_alarms(self, tenant_id: str) -> Iterator[Alarm | None]:
        """Live day after clean day; gives an alarm for each learned rule that speaks, else None."""
        with self._apart() as settings:
            for day in Interval.of(TODAY, TODAY + timedelta(days=CLEAN_DAYS)).days():
                seen = _live(settings, tenant_id, Interval.day(day), str(day))
                spoke = [rule for rule in sorted(seen.broken) if "learned" in rule]
                if seen.stopped and not spoke:
                    spoke = sorted(seen.broken)
                yield from (Alarm(tenant_id, day, rule, seen.stopped) for rule in spoke)
                yield None

    def _today(self, tenant_id: str, kind: Kind | None) -> Noticed:
        with self._apart() as settings:
            if kind:
                kind.damage(Day(settings.landing, tenant_id, TODAY))
            return _live(settings, tenant_id, Interval.day(TODAY), "today")

    @contextmanager
    def _apart(self) -> Iterator[Settings]:
        var = self.root / "apart"
        shutil.copytree(self.settings.var, var)
        try:
            yield self._settings(var)
        finally:
            shutil.rmtree(var)

    def _settings(self, var: Path) -> Settings:
        return load_settings(
            {
                "ANALYTICS_VAR_DIR": str(var),
                "ANALYTICS_TENANTS_FILE": str(self.root / "tenants.yaml"),
            },
            dotenv=None,
        )


def _live(settings: Settings, tenant_id: str, interval: Interval, run_id: str) -> Noticed:
    """Take the interval through extraction and the bronze gate."""
    try:
        bronze.extract(settings, tenant_id, interval, run_id)
    except SourceError as error:
        return Noticed("extract", True, Counter(), str(error))
    try:
        gates.bronze(settings, tenant_id, interval, run_id)
        stopped = False
    except GateFailed:
        stopped = True
    report = folder(settings) / tenant_id / "bronze" / f"{slug(run_id)}.json"
    broken = Counter[str]()
    for table in json.loads(report.read_text())["tables"]:
        for result in table["results"]:
            if not result["passed"]:
                broken[result["rule"]] += result["unexpected"] or 1
    aside = quarantine.scan(settings, tenant_id).filter(pl.col("ingest_run") == run_id)
    for rule, rows in aside.group_by("rule").len().collect().iter_rows():
        broken[rule] = max(broken[rule], rows)
    return Noticed("bronze", stopped, broken)
