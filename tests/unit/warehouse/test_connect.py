"""Addresses and messages, without a server."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from analytics.errors import UnknownTenant, WarehouseError
from analytics.settings import Settings
from analytics.warehouse.connect import connect, dbt_environment, parameters

SECRET = "very-secret-word"  # noqa: S105
DSN = f"postgresql://warehouse_pipeline:{SECRET}@127.0.0.1:1/w"


def test_a_server_that_does_not_answer_is_named_and_the_password_is_not(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(analytics_warehouse_dsn=DSN)
    with pytest.raises(
        WarehouseError, match=r"127\.0\.0\.1:1 does not answer .*analytics up"
    ) as no:
        connect(settings)
    assert SECRET not in "".join(traceback.format_exception(no.value))
    assert SECRET not in repr(settings)
    assert "Connection refused Is the server running" in str(no.value)


@pytest.mark.parametrize(
    "dsn", [f"postgres:{SECRET}@host", f"host=x password={SECRET}", f"mysql://u:{SECRET}@h/d"]
)
def test_a_dsn_that_is_none_is_refused_without_repeating_it(
    make_settings: Callable[..., Settings], dsn: str
) -> None:
    with pytest.raises(WarehouseError, match="ANALYTICS_WAREHOUSE_DSN is no PostgreSQL") as no:
        connect(make_settings(analytics_warehouse_dsn=dsn))
    assert SECRET not in "".join(traceback.format_exception(no.value))


def test_a_tenant_logs_in_at_the_same_place_by_a_name_and_password_of_its_own(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(analytics_warehouse_dsn=f"{DSN}?sslmode=require")
    one, two = parameters(settings, "tenant_t1"), parameters(settings, "tenant_t2")
    assert (one["user"], one["host"], one["sslmode"]) == ("tenant_t1", "127.0.0.1", "require")
    assert len({SECRET, one["password"], two["password"]}) == 3


def test_a_role_of_no_tenant_is_unknown(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(UnknownTenant, match="t1, t2"):
        connect(make_settings(analytics_warehouse_dsn=DSN), role="tenant_t9")


def test_dbt_gets_its_login_by_environment(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(analytics_warehouse_dsn=DSN)
    environment = dbt_environment(settings)
    assert environment["DBT_ENV_SECRET_PASSWORD"] == SECRET
    assert (environment["DBT_HOST"], environment["DBT_PORT"]) == ("127.0.0.1", "1")
    assert environment["DBT_TARGET_PATH"] == str(settings.dbt_target)
