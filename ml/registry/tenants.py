"""One MLflow login a tenant, which may read its own experiment and model and nothing else."""

from __future__ import annotations

from analytics.secrets import secret
from analytics.settings import Settings
from analytics.tenants import registry as tenant_registry
from ml.registry.client import Login, connect, tenant_user

READ = "READ"


def tenant_login(settings: Settings, tenant_id: str) -> Login:
    return Login(tenant_user(tenant_id), secret(settings.secrets, f"mlflow_tenant_{tenant_id}"))


def ensure_tenants(settings: Settings) -> list[str]:
    """Give every tenant its experiment, its model, its login and READ on just these; their ids.

    Safe to run again: passwords are set to the filed ones, other grants of these
    users stay untouched. Users are made for the default permission
    NO_PERMISSIONS, which the local stack sets.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.server.auth.client import AuthServiceClient

    registry = connect(settings)
    users = AuthServiceClient(registry.uri)
    done = []
    for tenant_id in tenant_registry(settings):
        login = tenant_login(settings, tenant_id)
        experiment_id = registry.experiment(tenant_id)
        name = registry.model(tenant_id)
        try:
            users.get_user(login.username)
            users.update_user_password(login.username, login.password)
        except MlflowException:
            users.create_user(login.username, login.password)
        users.grant_user_permission(login.username, "experiment", experiment_id, READ)
        users.grant_user_permission(login.username, "registered_model", name, READ)
        done.append(tenant_id)
    return done
