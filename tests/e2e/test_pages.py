"""Every page a data team opens after `make run`, looked at in a real browser."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from analytics import stack
from analytics.secrets import secret
from analytics.stack import AirflowClient
from analytics.tenants import registry

GROUPED = ("ingest", "transform")  # their graphs fold tasks into groups


@pytest.fixture(scope="module")
def tenants(stack_settings) -> list[str]:
    return list(registry(stack_settings))


@pytest.fixture(scope="module")
def finished(stack_settings, at) -> dict[str, str]:
    """The latest green run of each DAG that has one."""
    with AirflowClient(stack_settings) as client:
        found = {}
        for dag in client.dags():
            name = dag["dag_id"]
            if green := client.runs(name, state="success", order_by="-run_after"):
                found[name] = green[0]["dag_run_id"]
    assert "ingest" in found, "no DAG has run yet: `make run` first"
    return found


@pytest.fixture(scope="module")
def mlflow(stack_settings, at) -> Any:
    """MLflow's REST interface as its admin."""
    import httpx

    login = ("admin", secret(stack_settings.secrets, "mlflow_admin"))
    with httpx.Client(
        base_url=f"{at.mlflow_url}/api/2.0/mlflow", auth=login, trust_env=False
    ) as client:
        yield client


def log_in(page: Any, url: str, password: str) -> None:
    page.goto(url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda now: "/auth/login" not in now)
    page.get_by_text("Dags").first.wait_for()


def seen(page: Any, *texts: str) -> None:
    for text in texts:
        page.get_by_text(text).filter(visible=True).first.wait_for()


def test_airflow_draws_each_dag_as_a_graph_after_its_run(
    at, stack_settings, finished, visit, picture
):
    password = secret(stack_settings.secrets, "airflow_admin")
    with visit() as page:
        log_in(page, at.airflow_url, password)
        for dag, run in finished.items():
            page.goto(f"{at.airflow_url}/dags/{dag}/runs/{quote(run, safe='')}")
            page.get_by_label("Show Graph").first.click()
            seen(page, "choose_tenants", "Success")
            if dag in GROUPED:
                page.get_by_label("Expand all task groups").first.click()
            page.get_by_role("button", name=re.compile("Fit View", re.I)).first.click()
            picture(page, f"airflow_graph_{dag}")


def test_airflow_shows_the_runs_of_ingest_as_a_grid(at, stack_settings, finished, visit, picture):
    password = secret(stack_settings.secrets, "airflow_admin")
    with visit() as page:
        log_in(page, at.airflow_url, password)
        page.goto(f"{at.airflow_url}/dags/ingest")
        seen(page, "choose_tenants", "one_tenant", "announce_silver", "fail_if_any_tenant_failed")
        page.get_by_label("Expand all task groups").first.click()
        seen(page, "extract", "gate", "land")
        picture(page, "airflow_grid_ingest")


def test_airflow_asks_for_tenants_from_and_to(
    at, stack_settings, finished, tenants, visit, picture
):
    password = secret(stack_settings.secrets, "airflow_admin")
    with visit() as page:
        log_in(page, at.airflow_url, password)
        page.goto(f"{at.airflow_url}/dags/ingest")
        page.get_by_role("button", name="Trigger").first.click()
        seen(page, "Tenants", "From", "To")
        picture(page, "airflow_trigger_form")


def registered(mlflow: Any) -> dict[str, dict[str, str]]:
    """Version by alias of each registered model."""
    found = mlflow.get("/registered-models/search").json().get("registered_models", ())
    assert found, "no model is registered yet: `make run` first"
    return {m["name"]: {a["alias"]: a["version"] for a in m.get("aliases", ())} for m in found}


def test_mlflow_lists_one_churn_model_a_tenant(at, stack_settings, mlflow, visit, picture):
    models = registered(mlflow)
    with visit("admin", secret(stack_settings.secrets, "mlflow_admin")) as page:
        page.goto(f"{at.mlflow_url}/#/models")
        page.get_by_role("button", name="Try it now").click()  # MLflow tells newcomers of aliases
        seen(page, *models, *{f"@ {alias}" for known in models.values() for alias in known})
        picture(page, "mlflow_registry")


def test_mlflow_shows_a_version_with_its_origin_and_its_picture(
    at, stack_settings, mlflow, visit, picture
):
    name, aliases = max(registered(mlflow).items(), key=lambda model: "champion" in model[1])
    wanted = {"name": name, "version": aliases.get("champion") or next(iter(aliases.values()))}
    version = mlflow.get("/model-versions/get", params=wanted).json()["model_version"]
    run = mlflow.get("/runs/get", params={"run_id": version["run_id"]}).json()["run"]["info"]
    with visit("admin", secret(stack_settings.secrets, "mlflow_admin")) as page:
        page.goto(f"{at.mlflow_url}/#/models/{name}/versions/{version['version']}")
        seen(page, "data_version", "label_version", "code_commit", "verdict", "Outputs (1)")
        picture(page, "mlflow_version")
        place = f"experiments/{run['experiment_id']}/runs/{run['run_id']}"
        page.goto(f"{at.mlflow_url}/#/{place}/artifacts/shap_summary.png")
        seen(page, "shap_summary.png")
        page.locator("img[src^='blob:'], img[src*='artifact']").first.wait_for()
        picture(page, "mlflow_shap")


def test_dbt_docs_show_a_mart_and_where_it_comes_from(at, visit, picture):
    with visit() as page:
        page.goto(f"{at.docs_url}/dbt/#!/model/model.tenant_analytics.fct_plays")
        seen(page, "fct_plays", "One row per")
        picture(page, "dbt_model")
        page.goto(
            f"{at.docs_url}/dbt/#!/model/model.tenant_analytics.fct_plays?g_v=1&g_i=%2Bfct_plays%2B"
        )
        page.reload()
        seen(page, "Lineage Graph", "Update Graph")
        page.locator("canvas").first.wait_for()
        picture(page, "dbt_lineage")


def test_data_docs_show_what_each_gate_found(at, tenants, visit, picture):
    with visit() as page:
        page.goto(f"{at.docs_url}/data-docs/")
        seen(page, "Data docs", *tenants)
        picture(page, "data_docs", whole=True)
        page.goto(f"{at.docs_url}/data-docs/{tenants[0]}/bronze/")
        seen(page, "at the bronze gate", "Rows at fault")
        picture(page, "data_docs_door")
        page.get_by_role("link", name="plays").first.click()
        seen(page, "listened_ms_is_plausible", "started_at_not_after_interval")
        picture(page, "data_docs_table", whole=True)


def test_data_docs_open_from_disk_without_a_server(stack_settings, tenants, visit):
    index = (stack_settings.var / "data_docs" / "index.html").resolve()
    with visit() as page:
        page.goto(index.as_uri())
        seen(page, *tenants)
        page.get_by_role("link", name=tenants[0]).first.click()
        seen(page, f"{tenants[0]} at the")


def test_a_report_shows_figures_charts_and_what_the_model_says(at, tenants, visit, picture):
    with visit() as page:
        page.goto(f"{at.docs_url}/reports/")
        seen(page, *tenants)
        page.get_by_role("link", name=tenants[0]).first.click()
        seen(page, "Engagement", "Conversion", "Churn risk", "What the model says")
        assert page.locator("svg").count() >= 3
        picture(page, "report", whole=True)


def test_the_first_page_leads_to_every_site(at, visit, picture):
    with visit() as page:
        page.goto(at.docs_url)
        seen(page, "dbt docs", "Data docs", "Reports", "Drift reports")
        picture(page, "docs_index")


def test_the_stack_is_healthy_while_it_is_looked_at(stack_settings, at):
    ill = [f"{s.service}: {s.state}" for s in stack.status(stack_settings) if not s.is_healthy]
    assert ill == []
