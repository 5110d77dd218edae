"""How the four Airflow services are run on this machine."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg

from analytics.errors import StackError
from analytics.secrets import secret
from analytics.settings import PROJECT, Settings
from analytics.stack.addresses import HOST, Endpoints, endpoints
from analytics.stack.airflow_client import AirflowClient as AirflowClient
from analytics.stack.postgres import Postgres

ADMIN = "admin"
TRAINING_POOL = "training"
DATABASE = "airflow"


def airflow_environment(settings: Settings, addresses: Endpoints | None = None) -> dict[str, str]:
    """Everything an Airflow process of this stack reads; holds passwords."""
    at = addresses or endpoints(settings)
    home = settings.var.resolve() / "airflow"
    login = f"{DATABASE}:{secret(settings.secrets, 'airflow_db')}"
    database = f"{login}@{HOST}:{at.postgres_port}/{DATABASE}"
    options: dict[str, dict[str, object]] = {
        "core": {
            "executor": "analytics.stack.executor.StackExecutor",
            "parallelism": settings.analytics_workers,
            "dags_folder": PROJECT / "dags",
            "plugins_folder": PROJECT / "dags" / "plugins",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "default_timezone": "utc",
            "fernet_key": base64.urlsafe_b64encode(_key(settings, "airflow_fernet_key")).decode(),
            "execution_api_server_url": f"{at.airflow_url}/execution/",
            "simple_auth_manager_users": f"{ADMIN}:ADMIN",
            "simple_auth_manager_passwords_file": _password_file(settings),
            "hostname_callable": "socket.gethostname",  # no name server is asked
            "min_serialized_dag_update_interval": 5,
        },
        "database": {
            "sql_alchemy_conn": f"postgresql+psycopg2://{database}",
            "sql_alchemy_conn_async": f"postgresql+psycopg_async://{database}",
        },
        "api": {
            "host": HOST,
            "port": at.ports()["airflow"],
            "base_url": at.airflow_url,
            "workers": 1,
            "secret_key": _key(settings, "airflow_api_key").hex(),
            "expose_config": False,
        },
        "api_auth": {"jwt_secret": _key(settings, "airflow_jwt_key").hex() * 2},
        # Two cores: short waits between steps, few needless parses.
        "scheduler": {
            "scheduler_idle_sleep_time": 0.5,
            "job_heartbeat_sec": 2,
            "task_instance_heartbeat_timeout": 120,
            "orphaned_tasks_check_interval": 60,
        },
        "triggerer": {"job_heartbeat_sec": 5},
        # A busy machine is not a dead one, and a killed api-server is back within a minute.
        "workers": {
            "execution_api_timeout": 60,
            "execution_api_retries": 12,
            "execution_api_retry_wait_max": 15,
            "min_heartbeat_interval": 1,  # as long may a task's end wait to be noticed
        },
        "dag_processor": {
            "refresh_interval": 30,
            "min_file_process_interval": 300,  # a file that changed is parsed at once
            "parsing_processes": 1,
            "dag_file_processor_timeout": 180,
        },
        "cosmos": {"cache_dir": home / "cosmos"},  # not the temporary folder all users share
        "logging": {"base_log_folder": home / "logs", "colored_console_log": False},
    }
    environment = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, values in options.items()
        for name, value in values.items()
    }
    cores = os.cpu_count() or 1
    return environment | {
        "AIRFLOW_HOME": str(home),
        "ANALYTICS_SCHEDULE_FROM": _schedule_from(settings).isoformat(),
        "OMP_NUM_THREADS": str(max(1, cores // settings.analytics_workers)),
    }


def commands(python: str, addresses: Endpoints) -> dict[str, list[str]]:
    """The services by name. Logs are read from disk, so nobody serves them on a port."""
    airflow = [python, "-m", "airflow"]
    port = str(addresses.ports()["airflow"])
    return {
        "api-server": [*airflow, "api-server", "--host", HOST, "--port", port, "--workers", "1"],
        "scheduler": [*airflow, "scheduler", "--skip-serve-logs"],
        "dag-processor": [*airflow, "dag-processor"],
        "triggerer": [*airflow, "triggerer", "--skip-serve-logs"],
    }


def prepare(settings: Settings) -> None:
    """Make the home folder and the file of logins."""
    (settings.var / "airflow" / "logs").mkdir(parents=True, exist_ok=True)
    file = _password_file(settings)
    logins = json.dumps({ADMIN: secret(settings.secrets, "airflow_admin")}) + "\n"
    if not file.exists() or file.read_text() != logins:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(logins)


def migrate(settings: Settings, server: Postgres, python: str, environment: dict[str, str]) -> None:
    """Bring Airflow's tables to the installed version; does nothing when they are there.

    The revision a version ends at is written down after its first migration, for
    asking Airflow takes as long as starting it.
    """
    version = importlib.metadata.version("apache-airflow")
    record = settings.var / "stack" / "airflow.migrated"
    known = record.read_text() if record.exists() else ""
    if known and known == f"{version} {_revision(server)}":
        return
    log = settings.var / "stack" / "logs" / "airflow-migrate.log"
    with log.open("ab") as output:
        done = subprocess.run(
            [python, "-m", "airflow", "db", "migrate"],
            env=environment, cwd=_run_folder(settings), stdout=output, stderr=output,
        )  # fmt: skip
    if done.returncode:
        raise StackError(f"`airflow db migrate` failed; see {log}")
    record.write_text(f"{version} {_revision(server)}")


def _schedule_from(settings: Settings) -> date:
    """The day this stack was first brought up, unless the settings name one.

    The daily schedule begins there: days before it are asked for by hand or by a backfill.
    """
    if settings.analytics_schedule_from:
        return settings.analytics_schedule_from
    record = settings.var / "schedule_from"
    if not record.exists():
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(datetime.now(UTC).date().isoformat())
    return date.fromisoformat(record.read_text())


def _revision(server: Postgres) -> str:
    try:
        with psycopg.connect(server.dsn(DATABASE)) as connection:
            row = connection.execute("select version_num from alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        return "none"
    return str(row[0]) if row else "none"


def _run_folder(settings: Settings) -> Path:
    folder = settings.var / "stack" / "run" / "airflow-migrate"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _password_file(settings: Settings) -> Path:
    return settings.secrets.resolve() / "airflow_users.json"


def _key(settings: Settings, name: str) -> bytes:
    return hashlib.sha256(secret(settings.secrets, name).encode()).digest()
