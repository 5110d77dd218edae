"""One MLflow login a tenant, which may read its own experiment and model and nothing else."""

from __future__ import annotations

from analytics.secrets import secret
from analytics.settings import Settings
from ml.registry.client import Login, Registry, tenant_user

READ = "READ"


def tenant_login(settings: Settings, tenant_id: str) -> Login:
    return Login(tenant_user(tenant_id), secret(settings.secrets, f"mlflow_tenant_{tenant_id}"))


def ensure_tenant(registry: Registry, settings: Settings, tenant_id: str) -> None:
    """Give the tenant its experiment, its model, its login and READ on just these.

    Training calls it, so a tenant that was added later has a login from its
    first training on. Safe to run again: the password is set to the filed one,
    other grants of the user stay untouched. A registry without logins is left
    alone. The login relies on the default permission NO_PERMISSIONS, which the
    local stack sets.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.server.auth.client import AuthServiceClient

    if registry.login is None or not registry.uri.startswith("http"):
        return
    users = AuthServiceClient(registry.uri)
    login = tenant_login(settings, tenant_id)
    experiment_id, model = registry.experiment(tenant_id), registry.model(tenant_id)
    try:
        users.get_user(login.username)
        users.update_user_password(login.username, login.password)
    except MlflowException:
        users.create_user(login.username, login.password)
    for kind, name in (("experiment", experiment_id), ("registered_model", model)):
        try:
            users.grant_user_permission(login.username, kind, name, READ)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
