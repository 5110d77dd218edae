"""How the MLflow server is run: with logins, its tables in PostgreSQL, artifacts on disk."""

from __future__ import annotations

import configparser
import hashlib
import os
from pathlib import Path

from analytics.secrets import secret
from analytics.settings import Settings
from analytics.stack.addresses import HOST, Endpoints

ADMIN = "admin"


def command(python: str, addresses: Endpoints) -> list[str]:
    port = str(addresses.ports()["mlflow"])
    return [
        python, "-m", "mlflow", "server", "--host", HOST, "--port", port, "--workers", "1",
        "--app-name", "basic-auth",
    ]  # fmt: skip


def environment(settings: Settings, addresses: Endpoints) -> dict[str, str]:
    """What the server reads; holds passwords."""
    database = _database(settings, addresses)
    artifacts = settings.var.resolve() / "mlflow" / "artifacts"
    key = hashlib.sha256(secret(settings.secrets, "mlflow_flask_key").encode()).hexdigest()
    return {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts.as_uri(),
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_AUTH_CONFIG_PATH": str(_auth_file(settings)),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret(settings.secrets, "mlflow_admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": key,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def prepare(settings: Settings, addresses: Endpoints) -> None:
    """Write the file that says who may see what: by default nobody sees anything."""
    (settings.var / "mlflow" / "artifacts").mkdir(parents=True, exist_ok=True)
    file = _auth_file(settings)
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": _database(settings, addresses),
        "admin_username": ADMIN,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds": "30",
    }
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        config.write(stream)


def _auth_file(settings: Settings) -> Path:
    return settings.var.resolve() / "mlflow" / "auth.ini"


def _database(settings: Settings, addresses: Endpoints) -> str:
    password = secret(settings.secrets, "mlflow_db")
    return f"postgresql+psycopg2://mlflow:{password}@{HOST}:{addresses.postgres_port}/mlflow"
