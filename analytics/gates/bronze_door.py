"""The door between bronze and silver: what a tenant's sources may bring in.

Grain    one tenant, one interval: every table its sources feed.
Re-run   safe: judges the same rows again, replaces what it staged and stored.
Red      a table breaks a table rule (its columns, the volume and freshness its sources
         declare), or more bad rows came than the tenant's budget. Then nothing of that
         tenant's interval moves, neither the good rows nor the bad ones.
         docs/runbooks/gates.md
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from analytics.errors import GateFailed
from analytics.gates import data_docs, engine, learned
from analytics.gates.daily_profile import daily_profile
from analytics.gates.judge import Hearing, Judgement, judge
from analytics.gates.publish import publish
from analytics.gates.report import GateReport, RuleResult
from analytics.interval import Interval
from analytics.lake import quarantine, schemas, staging
from analytics.lake.candidates import LeftOut, portions
from analytics.lake.portions import Portions
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.sources import reader
from analytics.tenants import Source, Tenant, get_tenant

log = logging.getLogger(__name__)
DOOR = "bronze"
LEARNED = "learned"  # what the report calls the day held against the days before


def bronze(settings: Settings, tenant_id: str, interval: Interval, run_id: str) -> GateReport:
    """Judge what came, set bad rows aside, stage the good ones for landing.

    Raises GateFailed when a table stops; the report and its data docs are
    written all the same.
    """
    settings.spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gate-", dir=settings.spool) as spool:
        return _bronze(settings, get_tenant(settings, tenant_id), interval, run_id, Path(spool))


def _bronze(
    settings: Settings, tenant: Tenant, interval: Interval, run_id: str, spool: Path
) -> GateReport:
    tenant_id = tenant.id
    engine.context()
    from expectations import learned as learned_suite

    judged, left = _heard(settings, tenant, interval, run_id, spool)
    for source in tenant.sources:
        changes = schemas.changes(settings, tenant_id, source, interval, run_id)
        if changes:
            table = reader(source.format).feeds(source)[0]
            told = (*judged[table].results, columns_changed(source, changes))
            judged[table] = replace(judged[table], results=told)
    tables = list(judged)
    good = {table: judgement.good for table, judgement in judged.items()}
    profile = daily_profile(tenant_id, good, learned.days_of(interval))
    if learned.is_judged(interval):
        past = learned.history(settings, tenant, interval.days()[0])
        found = learned.compare(profile, past)
        if found.height:
            judged[LEARNED] = judge(learned_suite.suite(learned.AWAY, learned.FAR), found, None)
    report = publish(settings, tenant_id, DOOR, interval, run_id, judged)
    if not report.passed:
        for table in tables:
            staging.clear(settings, tenant_id, table, interval)
        raise GateFailed(report.message(data_docs.index(settings)))
    learned.keep(settings, tenant_id, profile, run_id)
    for table in tables:
        judgement = judged[table]
        quarantine.write(
            settings,
            tenant_id,
            interval,
            quarantine_rows(table, judgement.broken),
            door=DOOR,
            run_id=run_id,
        )
        outside = left.out_of_interval.get(table, 0)
        counts = staging.Counts(
            rows_in=judgement.rows + outside,
            quarantined=judgement.bad.height + judgement.unreadable,
            out_of_interval=outside,
        )
        staging.keep(settings, tenant_id, table, interval, judgement.good, counts)
    log.info(
        "%s: the bronze gate let %d rows pass and set %d aside",
        tenant_id, sum(rows.height for rows in good.values()), report.quarantined,
    )  # fmt: skip
    return report


def _heard(
    settings: Settings, tenant: Tenant, interval: Interval, run_id: str, spool: Path
) -> tuple[dict[str, Judgement], LeftOut]:
    """The judgement on each table, its rows taken as they come, and what was left out."""
    from expectations import bronze as suites

    left = LeftOut()
    hearings: dict[str, Hearing] = {}
    for table, rows in portions(settings, tenant.id, interval, left):
        if table not in hearings:
            hearings[table] = Hearing(
                suites.suite(table, interval, owing(tenant, table), lacking(tenant, table)),
                staging.portions(tenant.id, table, run_id, spool / f"{table}.good"),
                Portions(spool / f"{table}.bad"),
            )
        hearings[table].hear(rows)
    judged = {
        table: hearing.verdict(tenant.bad_row_budget, left.rejected(table))
        for table, hearing in hearings.items()
    }
    return judged, left


def columns_changed(source: Source, changes: list[schemas.Change]) -> RuleResult:
    """The news that a source came with other columns, as a rule of its table that only warns."""
    return RuleResult(
        rule=f"columns_of_{source.name}_are_as_before",
        kind="table",
        severity="warning",
        passed=False,
        unexpected=0,
        considered=len(changes),
        columns=tuple(change.column for change in changes),
        reason="A new column may be worth carrying, one that is gone may be missed.",
        observed="; ".join(change.told(source) for change in changes[: schemas.SHOWN]),
    )


def owing(tenant: Tenant, table: str) -> list[Source]:
    """The sources that feed this table first: there they owe what they declare."""
    return [s for s in tenant.sources if reader(s.format).feeds(s)[0] == table]


def lacking(tenant: Tenant, table: str) -> dict[str, list[str]]:
    """By column of the table, the sources that cannot know it."""
    found: dict[str, list[str]] = {}
    for source in tenant.sources:
        handler = reader(source.format)
        if table in handler.feeds(source):
            for column in handler.lacks(source) & {*TABLES[table].knowable}:
                found.setdefault(column, []).append(source.name)
    return found


def quarantine_rows(table: str, broken: pl.DataFrame) -> pl.DataFrame:
    """Broken rows in the shape the quarantine takes: the row as JSON, and its origin."""
    own = [c for c in broken.columns if not c.startswith("_")]
    origin = {"_source": "source", "_file": "file", "_file_hash": "file_hash", "_row": "row_number"}
    return broken.select(
        pl.lit(table).alias("table"),
        pl.col("_rule").alias("rule"),
        pl.col("_column").alias("column"),
        pl.col("_value").alias("value"),
        pl.struct(own).struct.json_encode().alias("row"),
        *(pl.col(c).alias(name) for c, name in origin.items() if c in broken.columns),
    )
