"""The way to MLflow: where it is, who we are there, what a tenant's things are called.

This is the one place that sets MLflow's environment. The password goes there
and nowhere else: not into the address, not into a log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.errors import TrainingError
from analytics.secrets import secret
from analytics.settings import Settings
from ml.problems.churn import NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient

ADMIN = "admin"
CHAMPION = "champion"
CHALLENGER = "challenger"

_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def experiment_name(tenant_id: str) -> str:
    return f"{tenant_id}/{NAME}"


def model_name(tenant_id: str) -> str:
    """MLflow allows no slash in a model's name."""
    return f"{tenant_id}.{NAME}"


def tenant_user(tenant_id: str) -> str:
    return f"tenant_{tenant_id}"


@dataclass(frozen=True)
class Login:
    """A name and a password that shows nowhere."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.username!r})"


@dataclass(frozen=True)
class Registry:
    """An MLflow server (or database), seen by the pipeline."""

    uri: str
    login: Login | None
    artifacts: str | None = None  # where a database without server keeps artifacts

    @property
    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, tenant_id: str) -> str:
        """The id of the tenant's experiment; made when it is not there."""
        name = experiment_name(tenant_id)
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        place = f"{self.artifacts}/{tenant_id}" if self.artifacts else None
        return self.client.create_experiment(
            name, artifact_location=place, tags={"tenant_id": tenant_id}
        )

    def model(self, tenant_id: str) -> str:
        """The name of the tenant's registered model; made when it is not there."""
        from mlflow.exceptions import MlflowException

        name = model_name(tenant_id)
        try:
            self.client.get_registered_model(name)
        except MlflowException:
            self.client.create_registered_model(name, tags={"tenant_id": tenant_id})
        return name


def connect(settings: Settings) -> Registry:
    """The registry of these settings, with this process logged in to it."""
    registry = Registry(tracking_uri(settings), _pipeline_login(settings), _artifacts(settings))
    _configure(registry)
    return registry


def tracking_uri(settings: Settings) -> str:
    if settings.ml_tracking_uri:
        return settings.ml_tracking_uri
    from analytics.stack import endpoints

    return endpoints(settings).mlflow_url


@contextlib.contextmanager
def acting_as(login: Login | None) -> Iterator[None]:
    """Requests inside are made with this login; afterwards with the one before."""
    before = {name: os.environ.get(name) for name in _LOGIN}
    _sign_in(login)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _configure(registry: Registry) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "3"  # a stopped server is said soon
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    _sign_in(registry.login)
    warnings.filterwarnings("ignore", module=r"mlflow\..*", category=FutureWarning)

    import mlflow

    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    if not registry.uri.startswith("http"):
        return
    from mlflow.exceptions import MlflowException

    try:
        registry.client.search_experiments(max_results=1)
    except MlflowException as error:
        message = str(error).splitlines()[0]
        raise TrainingError(
            f"MLflow at {registry.uri} does not let us in or does not answer ({message}); "
            "run `analytics status`, then `analytics up`"
        ) from None


def _sign_in(login: Login | None) -> None:
    values = (login.username, login.password) if login else (None, None)
    for name, value in zip(_LOGIN, values, strict=True):
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _pipeline_login(settings: Settings) -> Login | None:
    """The administrator, where the server is ours or somebody filed its password."""
    if settings.ml_tracking_uri and not (settings.secrets / "mlflow_admin").exists():
        return None
    return Login(ADMIN, secret(settings.secrets, "mlflow_admin"))


def _artifacts(settings: Settings) -> str | None:
    if tracking_uri(settings).startswith("http"):
        return None
    return (settings.var / "mlflow" / "artifacts").resolve().as_uri()
