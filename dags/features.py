"""Compute the churn features from silver with Spark, into a versioned Delta table.

Grain    one run an announcement of silver, one mapped task a tenant.
Re-run   safe: the as-of days of the window are replaced, equal rows make no new version.
On call  red `build` = Spark refused that tenant's job, or the features gate what it computed;
         the table keeps its last version.
         docs/runbooks/features.md
"""

from __future__ import annotations

from airflow.sdk import dag, task

from dags.assets import (
    DEFAULT_ARGS,
    FEATURES,
    SILVER,
    announce,
    choose_tenants,
    fail_if_any_tenant_failed,
    interval_of,
    trigger_form,
)


@dag(
    schedule=[SILVER],
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "machine learning"},
    tags=["tier:1", "group:learning"],
    doc_md=__doc__,
)
def features():
    @task
    def build(tenant_id: str, **context) -> str:
        from analytics.settings import load_settings
        from spark_jobs.build import build as build_features

        build_features(load_settings(), tenant_id, interval_of(context), context["run_id"])
        return tenant_id

    @task(outlets=[FEATURES], trigger_rule="all_done")
    def announce_features(built: list[str], *, outlet_events, **context) -> None:
        announce(FEATURES, outlet_events, built or (), interval_of(context))

    built = build.expand(tenant_id=choose_tenants())
    announce_features(built)
    built >> fail_if_any_tenant_failed()


features()
