"""A real MLflow server with logins, a real warehouse, and two tenants that were taken all the way.

Grain    once a test run: training is the dear part, the tests look at its traces.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from psycopg import sql

from analytics.secrets import secret
from analytics.settings import Settings, load_settings
from analytics.stack.postgres import Postgres, free_port
from analytics.warehouse import bootstrap, prepare
from ml import tables
from ml.drift import Decision, monitor
from ml.features.training_set import FEATURES, write_labels
from ml.outcomes import TrainingOutcome
from ml.score import Scored, score
from ml.train import run
from tests.unit.ml.rows import LAST_DAY, feature_rows, label_rows

SEEDS = {"t1": 1, "t2": 2}  # same listener ids, other people
LISTENERS = 220
TENANTS = [{"id": t, "name": t, "sources": []} for t in (*SEEDS, "small")]


@dataclass(frozen=True)
class Learned:
    """Two tenants after their first chain: train, score, monitor."""

    settings: Settings
    outcomes: dict[str, TrainingOutcome]
    scored: dict[str, Scored]
    decisions: dict[str, Decision]  # taken before the training


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server like the stack's, and the folder of its secrets."""
    home = tmp_path_factory.mktemp("mlflow")
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": f"sqlite:///{home}/auth.db",
        "admin_username": "admin",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds": "30",
    }
    with (home / "auth.ini").open("w") as file:
        config.write(file)
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{home}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": (home / "artifacts").as_uri(),
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_AUTH_CONFIG_PATH": str(home / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret(home / "secrets", "mlflow_admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for this test run",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, env=environment, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, server, home / "log")
        yield url, home / "secrets"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(800):
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail(f"MLflow did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def ml_settings(
    mlflow_server: tuple[str, Path],
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Settings]:
    """Settings of a fresh place that lead to that server and to a warehouse of our own."""
    url, secrets = mlflow_server
    home = tmp_path_factory.mktemp("learning")
    (home / "tenants.yaml").write_text(yaml.safe_dump({"tenants": TENANTS}))
    var = home / "var"
    var.mkdir()
    (var / "secrets").symlink_to(secrets)
    environment = {
        "ANALYTICS_VAR_DIR": str(var),
        "ANALYTICS_TENANTS_FILE": str(home / "tenants.yaml"),
        "ML_TRACKING_URI": url,
        "ML_TRIALS": "2",
        "ML_WORKERS": "1",
        "ML_GPU_ENABLED": "false",
    }
    plain = load_settings(environment, dotenv=None)
    dsn = bootstrap(postgres.dsn(), plain, database="warehouse_learning")
    settings = load_settings({**environment, "ANALYTICS_WAREHOUSE_DSN": dsn}, dotenv=None)
    prepare(settings)
    yield settings
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        name = sql.Identifier("warehouse_learning")
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture(scope="session")
def learned(ml_settings: Settings) -> Learned:
    """Both tenants: decided on, trained, scored. `small` has too little.

    Nobody makes their MLflow logins: training does.
    """
    settings = ml_settings
    outcomes, scored, decisions = {}, {}, {}
    for tenant_id in (*SEEDS, "small"):
        listeners = LISTENERS if tenant_id in SEEDS else 12
        rows = feature_rows(tenant_id, listeners=listeners, seed=SEEDS.get(tenant_id, 3))
        tables.replace(settings, tenant_id, *FEATURES, rows, {}, "r1")
        labels = label_rows(rows, seed=SEEDS.get(tenant_id, 3))
        known = labels.filter(labels["as_of_date"] < LAST_DAY)
        write_labels(settings, tenant_id, known, "r1")
        decisions[tenant_id] = monitor(settings, tenant_id, LAST_DAY, "r1")
        outcomes[tenant_id] = run(settings, tenant_id, LAST_DAY, "no champion yet", "r1")
        scored[tenant_id] = score(settings, tenant_id, LAST_DAY, "r1")
    return Learned(settings, outcomes, scored, decisions)
