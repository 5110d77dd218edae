"""Logins to the warehouse: the pipeline's and each tenant's.

ANALYTICS_WAREHOUSE_DSN names your own server; without it the embedded server
of the local stack is used. Passwords come from `var/secrets` and never stand
in a message.
"""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from analytics.errors import WarehouseError
from analytics.secrets import secret
from analytics.settings import PROJECT, Settings
from analytics.tenants import get_tenant

DATABASE = "warehouse"
PIPELINE = "warehouse_pipeline"
TENANT_PREFIX = "tenant_"

# Every session prints values alike, so hashes and exports do not depend on a server's settings.
_SESSION = (
    "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';"
    " set extra_float_digits = 1; set bytea_output = 'hex'"
)

_REMEDIES = (
    (
        "password authentication failed",
        "it refuses the password of {user}; run `analytics up`, which sets it again, or correct "
        "ANALYTICS_WAREHOUSE_DSN",
    ),
    (
        "is not permitted to log in",
        "{user} may not log in: the tenant was taken out of the tenants file; put it back and run "
        "`analytics up`",
    ),
    (
        "does not exist",
        "it has no such database or role; run `analytics up`, or for a server of your own see "
        "docs/warehouse.md",
    ),
    ("permission denied for database", "{user} may not connect to database {dbname}"),
    (
        "too many connections",
        "it has no connection left for {user}; close some or raise the limit",
    ),
)


def parameters(
    settings: Settings, role: str = "pipeline", port: int | None = None
) -> dict[str, str]:
    """Host, port, dbname, user, password (and what else the DSN says) of one login.

    `role` is "pipeline" or a tenant's role, `tenant_<id>`; `port` is the embedded server's where
    the stack is not up yet.
    """
    if settings.analytics_warehouse_dsn is not None:
        found = _from_dsn(settings.analytics_warehouse_dsn.get_secret_value())
    else:
        from analytics.stack import endpoints

        found = {
            "host": "127.0.0.1",
            "port": str(port or endpoints(settings).postgres_port),
            "dbname": DATABASE,
            "user": PIPELINE,
            "password": secret(settings.secrets, PIPELINE),
        }
    if role == "pipeline":
        return found
    tenant = get_tenant(settings, role.removeprefix(TENANT_PREFIX))
    return {**found, "user": tenant.role, "password": secret(settings.secrets, tenant.role)}


def connect(
    settings: Settings, *, role: str = "pipeline", autocommit: bool = False
) -> psycopg.Connection:
    """An open connection as the pipeline, or as a tenant with `role="tenant_<id>"`.

    Raises WarehouseError saying what to do when the server cannot be reached or
    refuses the login.
    """
    login = parameters(settings, role)
    try:
        connection = psycopg.connect(
            make_conninfo("", **{"connect_timeout": "10", **login}), autocommit=True
        )
        connection.execute(_SESSION)
        connection.autocommit = autocommit
        return connection
    except psycopg.Error as error:
        message = _explain(str(error), login)
    # Raised outside the handler: the original error keeps no place in the traceback.
    raise WarehouseError(message)


def dbt_environment(settings: Settings, port: int | None = None) -> dict[str, str]:
    """The variables that `dbt_project/profiles.yml` and dbt itself read; holds a password."""
    login = parameters(settings, port=port)
    return {
        "DBT_HOST": login.get("host", "localhost"),
        "DBT_PORT": login.get("port", "5432"),
        "DBT_USER": login.get("user", PIPELINE),
        "DBT_DATABASE": login.get("dbname", DATABASE),
        "DBT_ENV_SECRET_PASSWORD": login.get("password", ""),
        "DBT_THREADS": str(settings.analytics_workers),
        **dbt_folders(settings),
    }


def dbt_folders(settings: Settings) -> dict[str, str]:
    """Where dbt finds the project and leaves what it makes; enough to parse."""
    project = str(PROJECT / "dbt_project")
    return {
        "DBT_PROJECT_DIR": project,
        "DBT_PROFILES_DIR": project,
        "DBT_TARGET_PATH": str(settings.dbt_target),
        "DBT_LOG_PATH": str(settings.var / "logs" / "dbt"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _from_dsn(dsn: str) -> dict[str, str]:
    try:
        found = {k: str(v) for k, v in conninfo_to_dict(dsn).items() if v is not None}
    except psycopg.Error:
        found = {}  # the parser's message may quote the password
    if not found.get("host") or not found.get("dbname"):
        raise WarehouseError(
            "ANALYTICS_WAREHOUSE_DSN is no PostgreSQL address with host and database; "
            "write postgresql://user:password@host:5432/database"
        )
    return {"port": "5432", "user": PIPELINE, **found}


def _explain(text: str, login: dict[str, str]) -> str:
    where = f"the warehouse at {login['host']}:{login['port']}"
    for sign, remedy in _REMEDIES:
        if sign in text:
            return f"{where}: {remedy.format(**login)}"
    reason = " ".join(text.split()) or "no reason given"
    if login.get("password"):
        reason = reason.replace(login["password"], "***")
    return (
        f"{where} does not answer ({reason}); run `analytics status`, then `analytics up`, "
        "or check ANALYTICS_WAREHOUSE_DSN"
    )
