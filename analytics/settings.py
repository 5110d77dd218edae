"""The one settings object. Nothing else reads the environment.

Values come from the process environment, then from `.env` beside the project,
then from the defaults below, which run everything embedded on one machine.
"""

from __future__ import annotations

import difflib
import os
import re
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

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
PASSWORD_IN_QUERY = re.compile(r"[?&;][^=&;]*(password|secret|token)[^=&;]*=", re.IGNORECASE)


class Settings(BaseModel):
    """Everything that can be set, typed and frozen."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ignored_types=(cached_property,),
        hide_input_in_errors=True,
    )

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
        repr=False,  # a cluster's address may carry `;token=`
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

    @field_validator("ml_tracking_uri")
    @classmethod
    def the_registry_is_an_address_alone(cls, uri: str | None, info: ValidationInfo) -> str | None:
        if uri and (_has_login(uri) or PASSWORD_IN_QUERY.search(uri)):
            file = info.data.get("analytics_var_dir", Path("var")) / "secrets" / "mlflow_admin"
            raise ValueError(
                "ML_TRACKING_URI holds a login, which would be shown and logged; write the address "
                f"alone and put the password of its user 'admin' into {file} (mode 0600)"
            )
        return uri

    @field_validator("analytics_lake_root")
    @classmethod
    def the_lake_is_an_address_alone(cls, root: str | None) -> str | None:
        if root and (_has_login(root, with_password=True) or PASSWORD_IN_QUERY.search(root)):
            raise ValueError(
                "ANALYTICS_LAKE_ROOT holds a login, which would be shown and logged; write the "
                "address alone and give the login in the store's own variables, e.g. "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return root

    @field_validator("analytics_spark")
    @classmethod
    def the_cluster_has_no_user_before_its_host(cls, remote: str) -> str:
        if _has_login(remote.partition(";")[0]):
            raise ValueError(
                "ANALYTICS_SPARK holds a login before the host, which Spark Connect does not "
                "read; write sc://host:port/;user_id=…;token=…, which is never shown"
            )
        return remote

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
        from_file = _of_file(dotenv)
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
        raise SettingsError("\n".join(map(_complaint, error.errors()))) from None


def _of_file(dotenv: Path) -> dict[str, str]:
    try:
        return {k: v or "" for k, v in dotenv_values(dotenv).items()}
    except UnicodeDecodeError:
        raise SettingsError(f"{dotenv} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{dotenv} cannot be read ({error.strerror})") from None


def _complaint(error: Any) -> str:
    """What is wrong with one setting; of an address or a DSN no more than its scheme is shown."""
    name, value = str(error["loc"][0]).upper(), str(error["input"])
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    scheme, is_address, _ = value.partition("://")
    shown = f"{scheme}://…" if is_address else "…" if "=" in value else value
    return f"{name} = {shown!r}: {error['msg']}"


def _has_login(address: str, *, with_password: bool = False) -> bool:
    """Whether something stands before the host; a password may hold any character."""
    before_host, at, _ = address.partition("://")[2].rpartition("@")
    if not at or before_host.startswith("/"):  # a path of this machine
        return False
    return not with_password or ":" in before_host


def _did_you_mean(name: str) -> str:
    known = [f.upper() for f in Settings.model_fields]
    close = difflib.get_close_matches(name.upper(), known, n=1)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."
