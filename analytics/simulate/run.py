"""Live every tenant's days in order and hand them over as real systems would.

A day of a tenant is in memory at a time, a few where it writes to a database.
Running again with the same config writes the same bytes; more `days` add files
and leave the earlier ones.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from analytics.simulate import drops
from analytics.simulate.canonical import spelt
from analytics.simulate.config import SimulationConfig
from analytics.simulate.delivery import Delivery
from analytics.simulate.eventsim import EventsimWriter
from analytics.simulate.layout import CSV, PARQUET, POSTGRES
from analytics.simulate.operational import OperationalWriter
from analytics.simulate.profiles import Profile
from analytics.simulate.side_by_side import Progress, side_by_side
from analytics.simulate.truth import Truth
from analytics.simulate.world import Day, World

log = logging.getLogger(__name__)
Handover = Callable[[date, Day], None]


@dataclass(frozen=True)
class Simulated:
    """What was written for one tenant."""

    tenant_id: str
    days: int
    listeners: int
    plays: int
    churn_share: float | None  # payers who leave within 28 days, over all Mondays
    label_positives: int
    oracle_auc: float | None
    seconds: float


@dataclass(frozen=True)
class SimulationReport:
    tenants: tuple[Simulated, ...]
    seconds: float  # by the clock; tenants that ran side by side took more together

    @property
    def plays(self) -> int:
        return sum(t.plays for t in self.tenants)


def simulate(
    config: SimulationConfig,
    landing: Path,
    truth: Path,
    dsns: Mapping[str, str] | None = None,
    progress: Progress = lambda tenant_id, day: None,
    workers: int = 1,
) -> SimulationReport:
    """Write every tenant's days under `landing` and its database, and the truth beside.

    `dsns` holds the operational database of each tenant that has one. More
    `workers` than one take a process a tenant; the bytes are the same.
    """
    began = time.perf_counter()
    arguments = [
        (config, profile, landing, truth, (dsns or {}).get(profile.id))
        for profile in config.tenants
    ]
    if min(workers, len(arguments)) > 1:
        done = side_by_side(_one_tenant, arguments, workers, progress)
    else:
        done = [_one_tenant(*its_own, progress) for its_own in arguments]
    for tenant in done:
        log.info("simulated %s: %s plays", tenant.tenant_id, tenant.plays)
    return SimulationReport(tuple(done), time.perf_counter() - began)


def _one_tenant(
    config: SimulationConfig, profile: Profile, landing: Path, truth_folder: Path,
    dsn: str | None, progress: Progress,
) -> Simulated:  # fmt: skip
    began = time.perf_counter()
    world = World(config, profile)
    delivery = Delivery(config, world.streams, whole_lines=profile.writes == "eventsim")
    truth = Truth(truth_folder / profile.id, world)
    with _handover(profile, world, landing / profile.id, dsn) as hand_over:
        for number in range(config.days):
            today, midnight_ms = world.date, world.midnight_ms
            truth.midnight()
            happened = world.step()
            arriving = delivery.arrivals(happened, number, midnight_ms)
            hand_over(today, arriving)
            truth.day(today, happened, arriving)
            progress(profile.id, today)
    judged = truth.close()
    return Simulated(
        tenant_id=profile.id,
        days=config.days,
        listeners=len(world.people),
        plays=world.plays_lived,
        churn_share=judged["churn_share"],
        label_positives=int(judged["churned"] or 0),
        oracle_auc=judged["auc"],
        seconds=time.perf_counter() - began,
    )


@contextmanager
def _handover(profile: Profile, world: World, folder: Path, dsn: str | None) -> Iterator[Handover]:
    """How this tenant's systems give their data away."""
    if profile.writes == "parquet":
        yield lambda day, rows: drops.write_parquet(folder, day, spelt(rows, world, PARQUET))
    elif profile.writes == "eventsim":
        lines = EventsimWriter(folder, profile, world.people, world.catalogue)

        def hand_over(day: date, rows: Day) -> None:
            lines.write(day, rows)
            drops.write_csv(folder, day, spelt(rows, world, CSV))

        yield hand_over
    else:
        if dsn is None:
            raise ValueError(f"{profile.id} writes to PostgreSQL and got no DSN")
        database = OperationalWriter(dsn, profile.id)
        whole_run = False
        try:
            yield lambda day, rows: database.write(day, spelt(rows, world, POSTGRES))
            whole_run = True
        finally:
            database.close(keep=whole_run)
