"""Bring rows into silver that come late, as if they had come in their time.

A landing settles what comes against what silver holds. That is right for what comes in order;
but a row that was set aside has been overtaken: by a copy that came a day later, by a state
that silver dates from its second mention. So the keys of a staged interval of which silver
holds something else are settled again from their first row on, over all intervals that
landed, in order, and the outcome is put into silver.

Grain    one tenant, one interval; one commit a table, with the ledger line of the landing.
Re-run   safe, also after a kill: an outcome that silver holds already is not written, and
         the landing that follows finds the line in the commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import polars as pl

from analytics import by_hand, gates
from analytics.interval import Interval
from analytics.lake import ledger, paths, silver, staging
from analytics.lake.candidates import candidates
from analytics.lake.lineage import KEPT
from analytics.lake.publication import Prepared, prepared, publish
from analytics.lake.settling import settle
from analytics.lake.staging import Counts
from analytics.lake.tables import TABLES, Table
from analytics.replay.sound import is_sound
from analytics.settings import Settings
from analytics.tenants import get_tenant

Views = Mapping[bool, Settings]  # is it of the sources given by hand → settings that see these


def refold(views: Views, tenant_id: str, interval: Interval, is_by_hand: bool, run_id: str) -> None:
    """Settle again what was staged for the interval, where silver holds something else."""
    settings = views[is_by_hand]
    contested = {}
    for name, table in TABLES.items():
        staged = staging.read(settings, tenant_id, name, interval)
        if staged is None:
            continue
        good = staged.rows()
        if _differs(settings, tenant_id, table, good):
            contested[name] = (good, staged.counts)
    keys = {name: good.select(TABLES[name].key).unique() for name, (good, _) in contested.items()}
    folded = {name: pl.DataFrame(schema=_columns(TABLES[name])) for name in contested}
    for span, of_hand in _spans(settings, tenant_id, interval, is_by_hand) if contested else ():
        for name, rows in _landing(views[of_hand], tenant_id, span, keys):
            table = TABLES[name]
            changed = settle(table, rows, folded[name]).rows.select(list(_columns(table)))
            before = folded[name].join(changed, on=table.key, how="anti")
            folded[name] = pl.concat([before, changed])
    decide = {
        name: partial(
            _prepare, settings, tenant_id, TABLES[name], interval, run_id, *staged, folded[name]
        )
        for name, staged in contested.items()
    }
    if decide:
        publish(decide, partial(gates.silver, settings, tenant_id, interval, run_id))


def _spans(
    settings: Settings, tenant_id: str, interval: Interval, is_by_hand: bool
) -> list[tuple[Interval, bool]]:
    """The intervals that landed, and this one, in order; whether by hand."""
    lines = ledger.read(settings, tenant_id).with_columns(
        pl.col("ingest_run").str.starts_with(by_hand.RUN).alias("by_hand")
    )
    landed = lines.select("interval_from", "interval_to", "by_hand").unique()
    spans = {(Interval(start, end), of_hand) for start, end, of_hand in landed.iter_rows()}
    return sorted({*spans, (interval, is_by_hand)})


def _landing(
    settings: Settings, tenant_id: str, span: Interval, keys: Mapping[str, pl.DataFrame]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """What a run of the span lands of these keys, by table."""
    tenant = get_tenant(settings, tenant_id)
    came, _ = candidates(settings, tenant_id, span)
    for name, wanted in keys.items():
        if name in came:
            rows = came[name].join(wanted, on=TABLES[name].key, how="semi")
            yield name, rows.filter(is_sound(tenant, name, span, rows))


def _columns(table: Table) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {**table.stored, **KEPT}


def _held(settings: Settings, tenant_id: str, table: Table, keys: pl.DataFrame) -> pl.DataFrame:
    """The silver rows of these keys."""
    return silver.held(silver.opened(settings, table), tenant_id, table, keys)


def _differs(settings: Settings, tenant_id: str, table: Table, good: pl.DataFrame) -> bool:
    """Whether silver knows a key of these rows otherwise than they alone would have it."""
    held = _held(settings, tenant_id, table, good.select(table.key).unique())
    if held.is_empty():
        return False
    alone = settle(table, good, held.clear()).rows.select(held.columns)
    return not held.join(alone, on=held.columns, how="anti", nulls_equal=True).is_empty()


def _prepare(
    settings: Settings,
    tenant_id: str,
    table: Table,
    interval: Interval,
    run_id: str,
    good: pl.DataFrame,
    counts: Counts,
    folded: pl.DataFrame,
) -> Prepared:
    """What of the folded rows silver holds otherwise or not at all, as a landing of its own."""
    uri = paths.table(settings, "silver", table.name)
    held = _held(settings, tenant_id, table, folded.select(table.key))
    rows = folded.join(held, on=held.columns, how="anti", nulls_equal=True)
    corrected = rows.join(held, on=table.key, how="semi").height
    line = ledger.entry(
        tenant_id,
        table.name,
        interval,
        {
            "rows_in": counts.rows_in,
            "landed": rows.height - corrected,
            "corrected": corrected,
            "duplicates": good.height - rows.height,
            "quarantined": counts.quarantined,
            "out_of_interval": counts.out_of_interval,
        },
        run_id,
    )
    target = silver.opened(settings, table)
    return prepared(tenant_id, table, uri, target, held, rows, interval, line)
