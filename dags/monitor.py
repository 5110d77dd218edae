"""Look for drift, and decide for each tenant whether to train again.

Grain    one run an announcement of predictions, one mapped task a tenant.
Re-run   safe: the decision of a (tenant, as-of day, model version) is taken once and kept.
On call  red `decide` = no decision for that tenant, so no retraining either. Every decision, with
         its reason, stands in `serve.retraining_decisions`. docs/runbooks/monitor.md
"""

from __future__ import annotations

from airflow.sdk import dag, task

from dags.assets import (
    DEFAULT_ARGS,
    PREDICTIONS,
    RETRAINING,
    announce,
    choose_tenants,
    fail_if_any_tenant_failed,
    interval_of,
    trigger_form,
)


@dag(
    schedule=[PREDICTIONS],
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "machine learning"},
    tags=["tier:2", "group:learning"],
    doc_md=__doc__,
)
def monitor():
    @task
    def decide(tenant_id: str, **context) -> dict[str, str | bool]:
        from analytics.settings import load_settings
        from ml.drift.monitor import monitor as monitor_tenant

        as_of = interval_of(context).end.date()
        decision = monitor_tenant(load_settings(), tenant_id, as_of, context["run_id"])
        return {"tenant": tenant_id, "retrain": decision.retrain, "reason": decision.reason}

    @task(outlets=[RETRAINING], trigger_rule="all_done")
    def announce_retraining(decisions: list[dict], *, outlet_events, **context) -> None:
        wanted = {d["tenant"]: d["reason"] for d in decisions or () if d["retrain"]}
        announce(RETRAINING, outlet_events, wanted, interval_of(context), reasons=wanted)

    decisions = decide.expand(tenant_id=choose_tenants())
    announce_retraining(decisions)
    decisions >> fail_if_any_tenant_failed()


monitor()
