"""One tenant's MLflow login reaches nothing of another's, by any route to it.

Each route is tried twice: with the owner's login, where it must work, and with
the neighbour's, where it must be refused. A route that works for nobody would
prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException

from analytics.settings import Settings
from analytics.warehouse import prepare
from ml.registry import connect, tenant_login, versions
from ml.registry.client import acting_as
from ml.train import run
from tests.integration.ml.conftest import Learned
from tests.unit.ml.rows import LAST_DAY

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Owned:
    """The ids of what t1 owns."""

    url: str
    experiment_id: str
    run_id: str
    version: str
    model_id: str

    @property
    def artifact(self) -> str:
        """Where the run's picture lies, below the artifact root."""
        return f"{self.experiment_id}/{self.run_id}/artifacts/calibration.png"

    @property
    def model_folder(self) -> str:
        return f"{self.experiment_id}/models/{self.model_id}/artifacts"


API, AJAX = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
PROXIES = ("/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts")

READS: dict[str, Any] = {
    "experiment": lambda o: (f"{API}/experiments/get", {"experiment_id": o.experiment_id}),
    "experiment by name": lambda o: (
        f"{API}/experiments/get-by-name", {"experiment_name": "t1/churn"},
    ),
    "run": lambda o: (f"{API}/runs/get", {"run_id": o.run_id}),
    "metric history": lambda o: (
        f"{API}/metrics/get-history", {"run_id": o.run_id, "metric_key": "holdout_auc"},
    ),
    "registered model": lambda o: (f"{API}/registered-models/get", {"name": "t1.churn"}),
    "version": lambda o: (f"{API}/model-versions/get", {"name": "t1.churn", "version": o.version}),
    "alias": lambda o: (
        f"{API}/registered-models/alias", {"name": "t1.churn", "alias": "champion"},
    ),
    "download address": lambda o: (
        f"{API}/model-versions/get-download-uri", {"name": "t1.churn", "version": o.version},
    ),
    "logged model": lambda o: (f"{API}/logged-models/{o.model_id}", {}),
    "artifact list": lambda o: (f"{API}/artifacts/list", {"run_id": o.run_id}),
    "run artifact": lambda o: ("/get-artifact", {"run_id": o.run_id, "path": "calibration.png"}),
    "version artifact": lambda o: (
        "/model-versions/get-artifact",
        {"name": "t1.churn", "version": o.version, "path": "MLmodel"},
    ),
    "logged model artifact": lambda o: (
        f"{AJAX}/logged-models/{o.model_id}/artifacts/files", {"artifact_file_path": "MLmodel"},
    ),
    **{
        f"proxied artifact {n}": lambda o, root=root: (f"{root}/{o.artifact}", {})
        for n, root in enumerate(PROXIES)
    },
    **{
        f"proxied model file {n}": lambda o, root=root: (f"{root}/{o.model_folder}/MLmodel", {})
        for n, root in enumerate(PROXIES)
    },
    **{
        f"proxied list {n}": lambda o, root=root: (root, {"path": f"{o.experiment_id}"})
        for n, root in enumerate(PROXIES)
    },
}  # fmt: skip

WRITES: dict[str, Any] = {
    "alias": lambda o: (
        f"{API}/registered-models/alias",
        {"name": "t1.churn", "alias": "champion", "version": o.version},
    ),
    "tag": lambda o: (f"{API}/runs/set-tag", {"run_id": o.run_id, "key": "k", "value": "v"}),
    "run": lambda o: (f"{API}/runs/create", {"experiment_id": o.experiment_id}),
    "version from its model": lambda o: (
        f"{API}/model-versions/create",
        {"name": "t1.churn", "source": f"models:/{o.model_id}", "run_id": o.run_id},
    ),
    "delete run": lambda o: (f"{API}/runs/delete", {"run_id": o.run_id}),
}


@pytest.fixture(scope="module")
def owned(learned: Learned) -> Owned:
    registry = connect(learned.settings)
    version = versions.champion(registry, "t1")
    assert version is not None
    experiment = registry.client.get_experiment_by_name("t1/churn")
    logged = registry.client.search_logged_models([experiment.experiment_id])
    (model_id,) = [m.model_id for m in logged if m.source_run_id == version.run_id]
    return Owned(registry.uri, experiment.experiment_id, version.run_id, version.version, model_id)


def browser(learned: Learned, owned: Owned, tenant_id: str) -> httpx.Client:
    login = tenant_login(learned.settings, tenant_id)
    return httpx.Client(base_url=owned.url, auth=(login.username, login.password), timeout=60)


@pytest.mark.parametrize("route", READS)
def test_its_owner_can_read(learned: Learned, owned: Owned, route: str):
    path, params = READS[route](owned)
    with browser(learned, owned, "t1") as owner:
        assert owner.get(path, params=params).status_code == 200


@pytest.mark.parametrize("route", READS)
def test_another_tenant_cannot_read(learned: Learned, owned: Owned, route: str):
    path, params = READS[route](owned)
    with browser(learned, owned, "t2") as neighbour:
        assert neighbour.get(path, params=params).status_code == 403


@pytest.mark.parametrize("route", READS)
def test_nobody_reads_without_a_login(owned: Owned, route: str):
    path, params = READS[route](owned)
    assert httpx.get(owned.url + path, params=params, timeout=60).status_code == 401


@pytest.mark.parametrize("tenant_id", ["t1", "t2"])
@pytest.mark.parametrize("route", WRITES)
def test_no_tenant_can_write(learned: Learned, owned: Owned, route: str, tenant_id: str):
    path, body = WRITES[route](owned)
    with browser(learned, owned, tenant_id) as tenant:
        assert tenant.post(path, json=body).status_code == 403


@pytest.mark.parametrize("path", [
    "../{artifact}", "x/../{artifact}", "%2e%2e/{artifact}", "./{artifact}", "/{artifact}",
])  # fmt: skip
@pytest.mark.parametrize("root", PROXIES)
def test_no_detour_in_the_path_leads_to_an_artifact(
    learned: Learned, owned: Owned, root: str, path: str
):
    with browser(learned, owned, "t2") as neighbour:
        answer = neighbour.get(f"{root}/{path.format(artifact=owned.artifact)}")
    assert answer.status_code >= 400


def test_a_tenant_cannot_list_the_root_of_all_artifacts(learned: Learned, owned: Owned):
    with browser(learned, owned, "t2") as neighbour:
        for root in PROXIES:
            assert neighbour.get(root).status_code == 403
            assert neighbour.get(root, params={"path": ""}).status_code == 403


def test_searches_show_a_tenant_just_its_own(learned: Learned, owned: Owned):
    for tenant_id in ("t1", "t2"):
        with browser(learned, owned, tenant_id) as tenant:
            body = {"max_results": 100}
            experiments = tenant.post(f"{API}/experiments/search", json=body).json()
            models = tenant.get(f"{API}/registered-models/search").json()
            found = tenant.get(f"{API}/model-versions/search").json()
        assert {e["name"] for e in experiments["experiments"]} == {f"{tenant_id}/churn"}
        assert {m["name"] for m in models["registered_models"]} == {f"{tenant_id}.churn"}
        assert {v["name"] for v in found["model_versions"]} == {f"{tenant_id}.churn"}


def test_searching_in_the_neighbours_experiment_finds_nothing(learned: Learned, owned: Owned):
    body = {"experiment_ids": [owned.experiment_id]}
    with browser(learned, owned, "t2") as neighbour:
        for path in ("runs/search", "logged-models/search"):
            answer = neighbour.post(f"{API}/{path}", json=body)
            said = answer.json() if answer.status_code == 200 else {}
            assert not said.get("runs")
            assert not said.get("models")
    with browser(learned, owned, "t1") as owner:
        assert owner.post(f"{API}/runs/search", json=body).json()["runs"]


def test_the_client_library_loads_the_own_model_and_not_the_neighbours(
    learned: Learned, owned: Owned
):
    connect(learned.settings)
    with acting_as(tenant_login(learned.settings, "t1")):
        assert mlflow.pyfunc.load_model("models:/t1.churn@champion")
    with acting_as(tenant_login(learned.settings, "t2")), pytest.raises(MlflowException):
        mlflow.pyfunc.load_model("models:/t1.churn@champion")


def test_training_gives_a_tenant_added_later_its_login(learned: Learned, tmp_path):
    """Also one that has too little to learn from."""
    settings = with_tenant(learned.settings, "later", tmp_path)
    prepare(settings)
    outcome = run(settings, "later", LAST_DAY, "no champion yet", "r1")
    assert outcome.outcome == "not trained: 0 listeners, needs 200"
    login = tenant_login(settings, "later")
    url = connect(settings).uri
    with httpx.Client(base_url=url, auth=(login.username, login.password), timeout=60) as own:
        for name, status in (("later/churn", 200), ("t1/churn", 403)):
            answer = own.get(f"{API}/experiments/get-by-name", params={"experiment_name": name})
            assert answer.status_code == status


def with_tenant(settings: Settings, tenant_id: str, folder: Path) -> Settings:
    """The same place after somebody added a tenant to the file."""
    document = yaml.safe_load(settings.analytics_tenants_file.read_text())
    document["tenants"].append({"id": tenant_id, "name": tenant_id, "sources": []})
    file = folder / "tenants.yaml"
    file.write_text(yaml.safe_dump(document))
    return settings.model_copy(update={"analytics_tenants_file": file})


def test_a_wrong_password_says_what_to_do(learned: Learned, tmp_path):
    from analytics.errors import TrainingError

    stranger = learned.settings.model_copy(update={"analytics_var_dir": tmp_path})
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mlflow_admin").write_text("not this one")
    try:
        with pytest.raises(TrainingError, match="does not let us in") as error:
            connect(stranger)
        assert "not this one" not in str(error.value)
    finally:
        connect(learned.settings)


def test_the_password_stands_in_no_address_and_no_representation(learned: Learned):
    registry = connect(learned.settings)
    assert registry.login is not None
    assert registry.login.password not in repr(registry)
    assert registry.login.password not in mlflow.get_tracking_uri()
