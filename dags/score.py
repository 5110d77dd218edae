"""Score every paying listener with the tenant's champion.

Grain    one run an announcement of marts or of a new champion, one mapped task a tenant.
Re-run   safe: the predictions of the as-of day are replaced, equal ones make no new version.
On call  red `predict` = that tenant keeps its last predictions. A tenant without a champion is
         green and says so. docs/runbooks/score.md
"""

from __future__ import annotations

from airflow.sdk import dag, task

from dags.assets import (
    DEFAULT_ARGS,
    MARTS,
    MODELS,
    PREDICTIONS,
    announce,
    choose_tenants,
    fail_if_any_tenant_failed,
    interval_of,
    trigger_form,
)


@dag(
    schedule=(MARTS | MODELS),
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "machine learning"},
    tags=["tier:2", "group:learning"],
    doc_md=__doc__,
)
def score():
    @task
    def predict(tenant_id: str, **context) -> str:
        from analytics.settings import load_settings
        from ml.score import score as score_tenant

        as_of = interval_of(context).end.date()
        score_tenant(load_settings(), tenant_id, as_of, context["run_id"])
        return tenant_id

    @task(outlets=[PREDICTIONS], trigger_rule="all_done")
    def announce_predictions(scored: list[str], *, outlet_events, **context) -> None:
        announce(PREDICTIONS, outlet_events, scored or (), interval_of(context))

    scored = predict.expand(tenant_id=choose_tenants())
    announce_predictions(scored)
    scored >> fail_if_any_tenant_failed()


score()
