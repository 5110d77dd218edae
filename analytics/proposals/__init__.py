"""Propose rules from what a tenant's data was like: a suite to read, not one in force.

Grain    one tenant, one interval: every table its sources feed, or one of them.
Re-run   safe: reads only; the same data gives the same proposal.
Basis    what came and was let through, as the bronze gate sees it. Silver would mislead: there
         a state's nulls are filled and repeated rows are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from analytics import by_hand
from analytics.errors import AnalyticsError, LakeError
from analytics.gates import engine
from analytics.gates.bronze_door import lacking, owing
from analytics.interval import Interval
from analytics.lake import read
from analytics.lake.candidates import candidates
from analytics.lake.tables import TABLES
from analytics.proposals.difference import Change, changes
from analytics.proposals.observed import LEAST_ROWS, Proposed, observe
from analytics.replay.sound import is_sound
from analytics.settings import Settings
from analytics.tenants import Tenant, get_tenant

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

DAYS = 56  # of which the habits of eight weeks are told, weekends included


@dataclass(frozen=True)
class Proposal:
    """What would be another rule for one table, and why."""

    tenant_id: str
    table: str
    interval: Interval
    rows: int
    rules: tuple[Proposed, ...]
    changes: tuple[Change, ...]


def propose(
    settings: Settings, tenant_id: str, table: str | None = None, interval: Interval | None = None
) -> list[Proposal]:
    """A proposal for each table with rows enough to tell a habit.

    Without an interval: all that silver holds of the tenant's events, at most the last 56
    days of it. Raises AnalyticsError when there is nothing to propose from.
    """
    declared = get_tenant(settings, tenant_id)
    _check(declared, table)
    interval = interval or _held(settings, declared)
    with by_hand.only(settings, declared, (*declared.sources, *declared.by_hand)) as everything:
        tenant = get_tenant(everything, tenant_id)
        came, _ = candidates(everything, tenant_id, interval)
    engine.context()
    found = []
    for name, all_rows in came.items():
        rows = all_rows.filter(is_sound(tenant, name, interval, all_rows))
        if table in (None, name) and rows.height >= LEAST_ROWS:
            force = in_force(tenant, name, interval)
            rules = observe(TABLES[name], rows, interval, force.expectations)
            told = changes(rules, force.expectations, interval)
            found.append(Proposal(tenant_id, name, interval, rows.height, rules, told))
    if not found:
        raise LakeError(
            f"{tenant_id}: no table has {LEAST_ROWS} sound rows from {interval.start:%Y-%m-%d} to "
            f"{interval.end:%Y-%m-%d}, too few to tell a habit; name other days by --from and --to"
        )
    return found


def in_force(tenant: Tenant, table: str, interval: Interval) -> ExpectationSuite:
    """The suite by which the bronze gate judges the table now."""
    from expectations import bronze as suites

    return suites.suite(table, interval, owing(tenant, table), lacking(tenant, table))


def _check(tenant: Tenant, table: str | None) -> None:
    if table is not None and table not in TABLES:
        raise AnalyticsError(f"there is no table {table!r}; there are {', '.join(TABLES)}")
    if not (tenant.sources or tenant.by_hand):
        raise AnalyticsError(
            f"{tenant.id} has no source, so nothing comes through its gate; declare one in the "
            "tenants file, or hand over a folder by `analytics ingest`"
        )


def _held(settings: Settings, tenant: Tenant) -> Interval:
    """The days of the tenant's events in silver, at most the last 56."""
    spans: list[tuple[object, object]] = []
    for name in (name for name, table in TABLES.items() if table.is_event):
        time = pl.col(TABLES[name].time)
        ends: Sequence = read.scan(settings, name, tenant.id).select(
            time.min().alias("first"), time.max().alias("last")
        ).collect().row(0)  # fmt: skip
        if ends[0] is not None:
            spans.append((ends[0], ends[1]))
    if not spans:
        raise LakeError(
            f"silver holds no event of {tenant.id}; run `ingest` for it first, or name the days "
            "by --from and --to"
        )
    first = min(first for first, _ in spans).date()  # type: ignore[type-var,attr-defined]
    end = max(last for _, last in spans).date() + timedelta(days=1)  # type: ignore[type-var,attr-defined]
    return Interval.of(max(first, end - timedelta(days=DAYS)), end)
