"""The services of the local stack: what each runs as, where, with what, and where it is met."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from analytics.secrets import secret
from analytics.settings import PREFIXES, PROJECT, Settings
from analytics.stack import airflow, docs, mlflow
from analytics.stack.addresses import Endpoints
from analytics.stack.postgres import Postgres, account_name
from analytics.stack.processes import MARK

POSTGRES = "postgres"
# Of the caller's environment these do not reach a service: it gets its own.
NOT_INHERITED = (
    *PREFIXES, "AIRFLOW_", "AIRFLOW__", "MLFLOW_", "_MLFLOW_", "_AIRFLOW", "PYTHON", "PG",
    "SUPERVISOR_", "DBT_", "OMP_",
)  # fmt: skip
QUIET = {
    "SCARF_ANALYTICS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
}


@dataclass(frozen=True)
class Service:
    """One supervised program."""

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(repr=False)  # holds passwords
    url: str | None = None
    account: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10

    def specification(self) -> str:
        """What `launch.py` reads."""
        return json.dumps(
            {
                "command": self.command,
                "environment": self.environment,
                "without": NOT_INHERITED,
                "folder": str(self.folder),
                "account": self.account,
            },
            indent=1,
        )


def server_of(settings: Settings, addresses: Endpoints) -> Postgres:
    return Postgres(
        settings.var.resolve(),
        addresses.postgres_port,
        secret(settings.secrets, "postgres_superuser"),
    )


def services(settings: Settings, addresses: Endpoints) -> list[Service]:
    """All of them, PostgreSQL first: the others need it. No MLflow beside one of your own."""
    server = server_of(settings, addresses)
    python = sys.executable
    base = base_environment(settings)
    result = [
        Service(
            POSTGRES,
            server.command(),
            folder=server.data,
            environment={**mark(settings), "LC_ALL": "C"},
            url=f"postgresql://127.0.0.1:{addresses.postgres_port}",
            account=account_name(),
            stop_signal="INT",  # fast shutdown
            stop_seconds=60,
        )
    ]
    of_airflow = base | airflow.airflow_environment(settings, addresses) | _dbt(settings, addresses)
    for name, command in airflow.commands(python, addresses).items():
        result.append(
            Service(
                name,
                command,
                folder=run_folder(settings, name),
                environment=of_airflow,
                url=addresses.airflow_url if name == "api-server" else None,
            )
        )
    if settings.ml_tracking_uri is None:
        result.append(
            Service(
                "mlflow",
                mlflow.command(python, addresses),
                folder=run_folder(settings, "mlflow"),
                environment=base | mlflow.environment(settings, addresses),
                url=addresses.mlflow_url,
            )
        )
    result.append(
        Service(
            "docs",
            docs.command(python, addresses, settings),
            folder=run_folder(settings, "docs"),
            environment=base,
            url=addresses.docs_url,
        )
    )
    return result


def _dbt(settings: Settings, addresses: Endpoints) -> dict[str, str]:
    """The login that `dbt_project/profiles.yml` reads."""
    from analytics.warehouse import dbt_environment

    return dbt_environment(settings, addresses.postgres_port)


def run_folder(settings: Settings, name: str) -> Path:
    """The folder a service runs in, by which its processes are known."""
    return settings.var.resolve() / "stack" / "run" / name


def mark(settings: Settings) -> dict[str, str]:
    return {MARK: str(settings.var.resolve())}


def base_environment(settings: Settings) -> dict[str, str]:
    """What every Python service reads: our code, our settings, no reporting home."""
    scripts = str(Path(sys.executable).parent)
    return {
        **mark(settings),
        **QUIET,
        **settings_environment(settings),
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
    }


def settings_environment(settings: Settings) -> dict[str, str]:
    """The settings as variables, so that another process builds the same ones."""
    values: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, Path):
            value = value.resolve()
        if value is not None:
            values[name.upper()] = str(value)
    return values
