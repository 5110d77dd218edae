"""Makes a verdict known: pages in the data docs, the report on disk, warnings in the log."""

from __future__ import annotations

import logging

from analytics.gates import data_docs
from analytics.gates.judge import Judgement
from analytics.gates.report import GateReport, TableReport, store
from analytics.interval import Interval
from analytics.settings import Settings

log = logging.getLogger(__name__)


def publish(
    settings: Settings,
    tenant_id: str,
    door: str,
    interval: Interval,
    run_id: str,
    judged: dict[str, Judgement],
    more: tuple[TableReport, ...] = (),
) -> GateReport:
    """Write the data docs and the stored report of one gate."""
    tables = []
    for table, judgement in judged.items():
        page = data_docs.page_of(tenant_id, door, run_id, table)
        data_docs.write_page(settings, page, judgement.gx_result)
        tables.append(
            TableReport(
                table=table,
                rows=judgement.rows,
                unreadable=judgement.unreadable,
                bad=judgement.bad.height + judgement.unreadable,
                allowed=judgement.allowed,
                results=judgement.results,
                page=page,
            )
        )
    report = GateReport(tenant_id, door, interval, run_id, (*tables, *more))
    store(settings, report)
    data_docs.publish(settings, report)
    for table_report in report.tables:
        for result in table_report.warnings:
            log.warning(
                "%s: %s: %s does not hold for %d rows%s; only a warning",
                tenant_id, table_report.table, result.rule, result.unexpected,
                f" ({result.observed})" if result.observed else "",
            )  # fmt: skip
    return report
