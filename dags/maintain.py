"""Keep the lake small and quick: merge small files, remove old ones, sweep what runs left.

Grain    one run a week, one mapped task a shared table and one a tenant for the tables of its own.
Re-run   safe, also beside other DAGs: rows never change, a tidy table gets no commit.
On call  red `tidy` = that table stays as it was, larger and slower; nothing is lost, no other DAG
         waits. docs/runbooks/maintain.md
"""

from __future__ import annotations

import pendulum
from airflow.sdk import CronDataIntervalTimetable, dag, task

from analytics.settings import load_settings
from dags.assets import (
    DEFAULT_ARGS,
    fail_if_any_tenant_failed,
    interval_of,
    tenants_of,
    trigger_form,
)


@dag(
    schedule=CronDataIntervalTimetable("0 3 * * 0", timezone="UTC"),
    start_date=pendulum.instance(load_settings().schedule_from),
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "data platform"},
    tags=["tier:3", "group:lake"],
    doc_md=__doc__,
)
def maintain():
    @task
    def choose_tables(**context) -> list[list[str]]:
        from analytics.lake import maintenance

        interval_of(context)
        return maintenance.groups(load_settings(), tenants_of(context))

    @task
    def tidy(tables: list[str], **context) -> list[str]:
        from analytics.lake import maintenance

        for table in tables:
            maintenance.maintain(load_settings(), table, tenants_of(context))
        return tables

    @task
    def sweep(**context) -> None:
        from analytics.lake import leftovers

        leftovers.sweep(load_settings(), interval_of(context).end)

    tables = choose_tables()
    tidied = tidy.expand(tables=tables)
    [tidied, tables >> sweep()] >> fail_if_any_tenant_failed()


maintain()
