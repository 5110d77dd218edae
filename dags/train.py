"""Train a challenger for the tenants that need one; promote it where it wins.

Grain    one run a retraining decision, one mapped task a tenant, one at a time (pool `training`).
Re-run   safe: the same data gives the same model; the champion moves only by the promotion rule.
On call  red `fit` = that tenant keeps its champion. Too little to learn from is green and recorded
         as "not trained". docs/runbooks/train.md
"""

from __future__ import annotations

from airflow.sdk import dag, task

from dags.assets import (
    DEFAULT_ARGS,
    MODELS,
    RETRAINING,
    announce,
    choose_tenants,
    fail_if_any_tenant_failed,
    interval_of,
    reasons_of,
    trigger_form,
)


@dag(
    schedule=[RETRAINING],
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "machine learning"},
    tags=["tier:2", "group:learning"],
    doc_md=__doc__,
)
def train():
    @task(pool="training")
    def fit(tenant_id: str, **context) -> dict[str, str | bool]:
        from analytics.settings import load_settings
        from ml.train import run as train_tenant

        as_of = interval_of(context).end.date()
        reason = reasons_of(context).get(tenant_id, "asked for by hand")
        outcome = train_tenant(load_settings(), tenant_id, as_of, reason, context["run_id"])
        # A training done before is no news: announcing it again would have it scored for ever.
        is_new = outcome.run_id == context["run_id"]
        return {"tenant": tenant_id, "promoted": outcome.promoted and is_new}

    @task(outlets=[MODELS], trigger_rule="all_done")
    def announce_champions(outcomes: list[dict], *, outlet_events, **context) -> None:
        promoted = (o["tenant"] for o in outcomes or () if o["promoted"])
        announce(MODELS, outlet_events, promoted, interval_of(context))

    outcomes = fit.expand(tenant_id=choose_tenants())
    announce_champions(outcomes)
    outcomes >> fail_if_any_tenant_failed()


train()
