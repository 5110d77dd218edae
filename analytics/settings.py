"""The one settings object. Nothing else reads the environment.

Values come from the process environment, then from `.env` beside the project,
then from the defaults below, which run everything embedded on one machine.
"""

from __future__ import annotations

import difflib
import os
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from analytics.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent

# Named by the requirement document, not served yet: refused, and said why.
WAITING = {
    "ANALYTICS_CACHE_BACKEND": "a cache arrives with the serving interfaces",
    "ANALYTICS_STREAM_BACKEND": "streams arrive with the streaming interfaces",
    "ML_AUTO_SCALING": "scaling arrives with the Kubernetes deployment",
    "CACHE_TTL": "a cache arrives with the serving interfaces",
}
# Read by the test suite alone, never by the platform.
TEST_ONLY = {"ANALYTICS_TEST_DATA", "ANALYTICS_TEST_TIMESCALE_DSN"}
EPOCH = date(2025, 1, 1)  # where no stack was ever brought up
PREFIXES = ("ANALYTICS_", "ML_")


class Settings(BaseModel):
    """Everything that can be set, typed and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    # ---- where things live
    analytics_var_dir: Path = Field(PROJECT / "var", description="data, logs, secrets, sockets")
    analytics_tenants_file: Path = Field(
        PROJECT / "tenants.yaml", description="who the tenants are"
    )
    analytics_lake_root: str | None = Field(
        None,
        description="root of the Delta lake: a folder or s3://, gs://, az:// (default: var/lake)",
    )

    # ---- engines
    analytics_db_backend: Literal["postgresql"] = Field(
        "postgresql", description="warehouse engine"
    )
    analytics_warehouse_dsn: SecretStr | None = Field(
        None, description="DSN of your own PostgreSQL or TimescaleDB (default: the embedded server)"
    )
    analytics_spark: str = Field(
        "embedded",
        description="embedded (Sail), local (JVM Spark) or sc://host:port (a Connect cluster)",
        pattern=r"^(embedded|local|sc://.+)$",
    )
    analytics_workers: int = Field(2, ge=1, le=1024, description="Airflow tasks at a time")
    analytics_schedule_from: date | None = Field(
        None, description="first day of the daily schedule (default: the day of the first `up`)"
    )

    # ---- ports on loopback; 0 takes a free one and keeps it
    analytics_postgres_port: int = Field(
        0, ge=0, le=65535, description="port of the embedded PostgreSQL; 0: a free one"
    )
    analytics_airflow_port: int = Field(
        0, ge=0, le=65535, description="port of Airflow's UI and REST interface; 0: a free one"
    )
    analytics_mlflow_port: int = Field(
        0, ge=0, le=65535, description="port of MLflow; 0: a free one"
    )
    analytics_docs_port: int = Field(
        0, ge=0, le=65535, description="port of the docs site; 0: a free one"
    )

    # ---- learning
    ml_workers: int = Field(2, ge=1, le=1024, description="threads or processes a training may use")
    ml_storage_backend: Literal["filesystem"] = Field("filesystem", description="model artifacts")
    ml_tracking_uri: str | None = Field(
        None, description="your own MLflow (default: the embedded one)"
    )
    ml_gpu_enabled: bool | None = Field(
        None, description="true insists on CUDA; unset takes it if there"
    )
    ml_monitoring_enabled: bool = Field(
        True, description="drift checks and the retraining they trigger"
    )
    ml_distributed_training: bool = Field(
        False, description="train the network on ML_WORKERS processes"
    )
    ml_trials: int = Field(16, ge=1, le=10_000, description="Optuna trials a training")

    @property
    def var(self) -> Path:
        return self.analytics_var_dir

    @property
    def lake_root(self) -> str:
        return (self.analytics_lake_root or str(self.var / "lake")).rstrip("/")

    @property
    def landing(self) -> Path:
        """Where sources drop files; `{landing}` in the tenants file."""
        return self.var / "landing"

    @property
    def spool(self) -> Path:
        """Where rows wait that memory should not hold; emptied when the stack comes up."""
        return self.var / "spool"

    @property
    def dbt_target(self) -> Path:
        """Where dbt writes its manifest and results."""
        return self.var / "dbt_target"

    @property
    def schedule_from(self) -> datetime:
        return datetime.combine(self.analytics_schedule_from or EPOCH, time(), tzinfo=UTC)

    @property
    def secrets(self) -> Path:
        return self.var / "secrets"


def load_settings(
    environment: dict[str, str] | None = None, dotenv: Path | None = PROJECT / ".env"
) -> Settings:
    """Build the settings from the environment and `.env`.

    Raises SettingsError naming every variable that is unknown, misspelt, bad or
    not yet served.
    """
    process = os.environ if environment is None else environment
    given = {k: v for k, v in process.items() if k.startswith(PREFIXES) or k in WAITING}
    from_file = {}
    if dotenv is not None and dotenv.exists():
        from_file = {k: v or "" for k, v in dotenv_values(dotenv).items()}
    merged = {**from_file, **given}

    problems, values = [], {}
    for name, value in sorted(merged.items()):
        field = name.lower()
        if name in TEST_ONLY:
            continue
        if name in WAITING:
            problems.append(f"{name} is not served yet: {WAITING[name]}. Unset it.")
        elif field not in Settings.model_fields or name != name.upper():
            problems.append(f"{name} is not a setting.{_did_you_mean(name)}")
        elif value.strip():
            values[field] = value.strip()
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [f"{str(e['loc'][0]).upper()} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from None


def _did_you_mean(name: str) -> str:
    known = [f.upper() for f in Settings.model_fields]
    close = difflib.get_close_matches(name.upper(), known, n=1)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."
