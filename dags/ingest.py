"""Bring what arrived into the lake: extract to bronze, gate, land in silver.

Grain    one run an interval (a UTC day on schedule), one mapped task a tenant.
Re-run   safe: a file or window read before adds nothing, a row known by its id lands once.
On call  red `gate` = that tenant's source data, not our code; red `extract` = its source cannot
         be read; red `land` = ours, and nothing of it is in silver. The other tenants went on.
         docs/runbooks/ingest.md, docs/runbooks/gates.md
"""

from __future__ import annotations

import pendulum
from airflow.sdk import CronDataIntervalTimetable, dag, task, task_group

from analytics.settings import load_settings
from dags.assets import (
    DEFAULT_ARGS,
    SILVER,
    announce,
    choose_tenants,
    fail_if_any_tenant_failed,
    interval_of,
    results_of,
    trigger_form,
)


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.instance(load_settings().schedule_from),
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "data platform"},
    tags=["tier:1", "group:lake"],
    doc_md=__doc__,
)
def ingest():
    @task
    def extract(tenant_id: str, **context) -> str:
        from analytics.lake import bronze

        bronze.extract(load_settings(), tenant_id, interval_of(context), context["run_id"])
        return tenant_id

    @task
    def gate(tenant_id: str, **context) -> str:
        from analytics import gates

        gates.bronze(load_settings(), tenant_id, interval_of(context), context["run_id"])
        return tenant_id

    @task
    def land(tenant_id: str, **context) -> dict[str, str | None]:
        from analytics.lake import silver

        landed = silver.land(load_settings(), tenant_id, interval_of(context), context["run_id"])
        touched = landed.touched.start.isoformat() if landed.touched else None
        return {"tenant": tenant_id, "touched": touched}

    @task_group
    def one_tenant(tenant_id: str):
        return land(gate(extract(tenant_id)))

    @task(outlets=[SILVER], trigger_rule="all_done")
    def announce_silver(landed: list[dict], *, outlet_events, **context) -> None:
        from analytics.interval import Interval

        interval = interval_of(context)
        changed = [item for item in results_of(landed) if item["touched"]]
        starts = [Interval.of(item["touched"], interval.end).start for item in changed]
        window = Interval(min([interval.start, *starts]), interval.end)
        announce(SILVER, outlet_events, (item["tenant"] for item in changed), window)

    landed = one_tenant.expand(tenant_id=choose_tenants())
    announce_silver(landed)
    landed >> fail_if_any_tenant_failed()


ingest()
