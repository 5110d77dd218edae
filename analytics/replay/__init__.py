"""Let rows out of quarantine after a fix, so that silver is what a clean run would have made it.

Steps    bind the fix, if one is given; read the sources again whose rows were set aside (bronze
         skips what it knows as it is declared now); then, interval by interval: judge, land,
         mark what passed as resolved.
Re-run   safe, also after a kill between any two steps. What is resolved is not replayed again.
Red      an interval that the gate stops again raises; those before it are done.
Surprise only rows in quarantine are replayed. What a wrong declaration let through stays in
         silver under the keys it gave: turn that back first (`analytics lake restore`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl

from analytics import by_hand
from analytics.errors import LakeError, SourceError
from analytics.gates.bronze_door import bronze as gate
from analytics.interval import Interval
from analytics.lake import anew, bronze, delta, fixes, paths, quarantine, silver
from analytics.lake.fixes import Fix
from analytics.lake.quarantine import SOURCE_ROW, Which
from analytics.replay.open_rows import DOORS, Look, look
from analytics.replay.refold import Views, refold
from analytics.settings import Settings
from analytics.tenants import Tenant, get_tenant


@dataclass(frozen=True)
class Job:
    """One interval to run again, of the sources declared or of those given by hand."""

    interval: Interval
    is_by_hand: bool
    sources: tuple[str, ...] = ()  # whose rows are asked for
    chosen: int = 0  # rows in quarantine that are asked for


@dataclass(frozen=True)
class Replayed:
    """What became of one job."""

    job: Job
    look: Look | None  # None: nobody can say before the sources are read
    resolved: int = 0
    rows: dict[str, dict[str, int]] = field(default_factory=dict)  # table → ledger buckets
    touched: Interval | None = None
    notes: tuple[str, ...] = ()


def plan(
    settings: Settings, tenant_id: str, which: Which, given: Mapping[str, Fix] | None = None
) -> list[Replayed]:
    """What a replay would run, and what would pass of what bronze holds. Changes nothing."""
    tenant = get_tenant(settings, tenant_id)
    chosen = _chosen(settings, tenant_id, which)
    bound = fixes.bound(settings, tenant_id)
    for rows, fix in _fixed(chosen, given or {}, bound):
        bound = pl.concat(
            [
                bound.join(rows, on=SOURCE_ROW, how="anti", nulls_equal=True),
                rows.with_columns(pl.lit(fix.text).alias("fix")),
            ]
        )
    planned = []
    with _views(settings, tenant) as views:
        for job in _jobs(tenant, chosen):
            try:
                found = look(views[job.is_by_hand], tenant_id, job.interval, job.is_by_hand, bound)
                planned.append(Replayed(job, found))
            except SourceError as error:  # a source is read anew first
                planned.append(Replayed(job, None, notes=(f"what would pass is open: {error}",)))
    return planned


def replay(
    settings: Settings,
    tenant_id: str,
    which: Which,
    run_id: str,
    given: Mapping[str, Fix] | None = None,
    seen: Callable[[Interval, int, int], None] = lambda interval, done, total: None,
) -> list[Replayed]:
    """Replay what is chosen and not resolved; where that is nothing, gives an empty list.

    Raises GateFailed, SourceError, LakeError.
    """
    tenant = get_tenant(settings, tenant_id)
    chosen = _chosen(settings, tenant_id, which)
    for rows, fix in _fixed(chosen, given or {}, fixes.bound(settings, tenant_id)):
        quarantine.bind(settings, tenant_id, rows, fix.text)
    with _views(settings, tenant) as views:
        jobs = _jobs(tenant, chosen)
        notes = [_read(views, tenant, job, _named(run_id, job)) for job in jobs]
        looks = [look(views[j.is_by_hand], tenant_id, j.interval, j.is_by_hand) for j in jobs]
        known = {(job.interval, job.is_by_hand) for job in jobs}
        moved = {
            (interval, job.is_by_hand)
            for job, found in zip(jobs, looks, strict=True)
            for interval in found.others
        } - known
        work: list[tuple[Job, Look, tuple[str, ...]]] = [
            (Job(interval, of_hand), Look(), ()) for interval, of_hand in sorted(moved)
        ]
        work += zip(jobs, looks, notes, strict=True)
        done = []
        for number, (job, found, said) in enumerate(work):
            seen(job.interval, number, len(work))
            done.append(_run(settings, views, tenant, job, found, run_id, said))
    return done


def _chosen(settings: Settings, tenant_id: str, which: Which) -> pl.DataFrame:
    """The open rows that are asked for."""
    rows = which.of(quarantine.scan(settings, tenant_id)).filter(
        ~pl.col("is_resolved"), pl.col("door").is_in(DOORS)
    )
    return rows.select(*SOURCE_ROW, "interval_from", "interval_to").collect()


def _fixed(
    chosen: pl.DataFrame, given: Mapping[str, Fix], bound: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, Fix]]:
    """The source rows that each fix is for. Raises LakeError for one that is for none.

    One that is bound already may find its rows resolved: a replay before was cut off.
    """
    for name, fix in given.items():
        rows = chosen.filter(pl.col("source") == name).select(SOURCE_ROW).unique()
        is_bound = (name, fix.text) in bound.select("source", "fix").rows()
        if rows.is_empty() and not chosen.is_empty() and not is_bound:
            raise LakeError(
                f"the fix is for {name}, but no open row that is asked for is of that source; "
                f"they are of {', '.join(chosen['source'].unique().sort())}"
            )
        yield rows, fix


def _jobs(tenant: Tenant, chosen: pl.DataFrame) -> list[Job]:
    names = [source.name for source in tenant.by_hand]
    groups = (
        chosen.with_columns(pl.col("source").is_in(names).alias("by_hand"))
        .group_by("interval_from", "interval_to", "by_hand")
        .agg(pl.col("source").unique().sort(), pl.len())
        .sort("interval_from", "interval_to", "by_hand")
    )
    return [
        Job(Interval(start, end), of_hand, tuple(sources), count)
        for start, end, of_hand, sources, count in groups.iter_rows()
    ]


@contextmanager
def _views(settings: Settings, tenant: Tenant) -> Iterator[Views]:
    with by_hand.only(settings, tenant, tenant.by_hand) as alone:
        yield {False: settings, True: alone}


def _named(run_id: str, job: Job) -> str:
    return f"{by_hand.RUN}__{run_id}" if job.is_by_hand else run_id


def _read(views: Views, tenant: Tenant, job: Job, run_id: str) -> tuple[str, ...]:
    """Read the sources again whose rows are asked for; gives what could not be, and need not."""
    settings, notes = views[job.is_by_hand], []
    for source in get_tenant(settings, tenant.id).sources:
        if source.name not in job.sources:
            continue
        try:
            bronze.extract(settings, tenant.id, job.interval, run_id, only=[source.name])
        except SourceError as error:
            table = delta.open_table(paths.bronze(settings, tenant.id, source.name))
            if table is not None and not anew.is_as_declared(table, source):
                raise
            notes.append(f"went on with what bronze holds: {error}")
    return tuple(notes)


def _run(
    settings: Settings,
    views: Views,
    tenant: Tenant,
    job: Job,
    found: Look,
    run_id: str,
    notes: tuple[str, ...],
) -> Replayed:
    """Judge the interval, land it and mark what passed."""
    run = _named(run_id, job)
    if job.is_by_hand:
        by_hand.require_free(settings, tenant, job.interval)
    gate(views[job.is_by_hand], tenant.id, job.interval, run)
    refold(views, tenant.id, job.interval, job.is_by_hand, run)
    with by_hand.only(settings, tenant, (*tenant.sources, *tenant.by_hand)) as all_sources:
        landed = silver.land(all_sources, tenant.id, job.interval, run)
    resolved = quarantine.resolve(settings, tenant.id, found.passing, run)
    return Replayed(job, found, resolved, landed.rows, landed.touched, notes)
