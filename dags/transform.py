"""Load the warehouse, model it with dbt, gate the marts, publish to `serve`.

Grain    one run an announcement of features: load, gate and publish by tenant, one task a dbt
         model for all tenants.
Re-run   safe: the window is deleted and loaded again, dbt replaces the same window, a publication
         is one transaction a tenant.
On call  red `gate` = that tenant stays on its last good snapshot; a red dbt model blocks all.
         docs/runbooks/transform.md
"""

from __future__ import annotations

from airflow.sdk import dag, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
)
from cosmos.constants import TestBehavior

from analytics.settings import PROJECT, load_settings
from dags.assets import (
    DEFAULT_ARGS,
    FEATURES,
    MARTS,
    announce,
    fail_if_any_tenant_failed,
    interval_of,
    results_of,
    tenants_of,
    trigger_form,
)

DBT = PROJECT / "dbt_project"
WINDOW = {
    "from": "{{ ti.xcom_pull(task_ids='loaded')['from'] }}",
    "to": "{{ ti.xcom_pull(task_ids='loaded')['to'] }}",
}


@dag(
    schedule=[FEATURES],
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    default_args={**DEFAULT_ARGS, "owner": "analytics engineering"},
    tags=["tier:1", "group:warehouse"],
    doc_md=__doc__,
)
def transform():
    @task
    def choose_tenants(**context) -> list[str]:
        from analytics import warehouse

        interval_of(context)
        warehouse.prepare(load_settings())
        return tenants_of(context)

    @task
    def load(tenant_id: str, **context) -> str:
        from analytics import warehouse

        warehouse.load(load_settings(), tenant_id, interval_of(context))
        return tenant_id

    @task(trigger_rule="all_done")
    def loaded(green: list[str], **context) -> dict[str, object]:
        if not green:
            raise AirflowSkipException("no tenant was loaded: nothing to model")
        return {"tenants": list(green), **interval_of(context).as_extra()}

    model = DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            dbt_project_path=DBT,
            manifest_path=load_settings().dbt_target / "manifest.json",
            project_name="tenant_analytics",
            install_dbt_deps=False,
        ),
        profile_config=ProfileConfig(
            profile_name="tenant_analytics",
            target_name="warehouse",
            profiles_yml_filepath=DBT / "profiles.yml",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,
            emit_datasets=False,
        ),
        execution_config=ExecutionConfig(execution_mode=ExecutionMode.WATCHER),
        operator_args={"vars": WINDOW, "append_env": True, "poke_interval": 2},
    )

    @task
    def check(loaded: dict, **context) -> None:
        """Run dbt's data tests and note, by tenant, which failed."""
        from analytics.gates import dbt_failures
        from analytics.warehouse import dbt

        settings = load_settings()
        results = dbt.test(settings, interval_of(context))
        manifest = settings.dbt_target / "manifest.json"
        dbt_failures.record(settings, results, manifest, context["run_id"])

    @task
    def tenants_loaded(loaded: dict) -> list[str]:
        return loaded["tenants"]

    @task
    def gate(tenant_id: str, **context) -> str:
        from analytics import gates

        gates.marts(load_settings(), tenant_id, interval_of(context), context["run_id"])
        return tenant_id

    @task
    def publish(tenant_id: str, **context) -> str:
        from analytics import warehouse
        from analytics.warehouse import evidence

        settings, run_id = load_settings(), context["run_id"]
        why = evidence.collect(settings, tenant_id, run_id)
        warehouse.publish(settings, tenant_id, interval_of(context), run_id, why)
        warehouse.publish_row_balance(settings, tenant_id)
        return tenant_id

    @task
    def snapshot_labels(tenant_id: str, **context) -> str:
        from ml.features import snapshot_labels

        snapshot_labels(load_settings(), tenant_id, context["run_id"])
        return tenant_id

    @task_group
    def one_tenant(tenant_id: str):
        return snapshot_labels(publish(gate(tenant_id)))

    @task(outlets=[MARTS], trigger_rule="all_done")
    def announce_marts(published: list[str], *, outlet_events, **context) -> None:
        announce(MARTS, outlet_events, results_of(published), interval_of(context))

    each_load = load.expand(tenant_id=choose_tenants())
    ready = loaded(each_load)
    checked = check(ready)
    green = tenants_loaded(ready)
    published = one_tenant.expand(tenant_id=green)

    ready >> model >> checked >> green
    announce_marts(published)
    [each_load, checked, published] >> fail_if_any_tenant_failed()


transform()
