"""One whole local stack for all tests that need it: starting Airflow costs a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from analytics import stack as local_stack
from analytics.settings import Settings, load_settings
from analytics.stack import processes

TENANTS = [
    {
        "id": "t1", "name": "One", "time_zone": "Europe/Berlin", "currency": "EUR",
        "sources": [
            {
                "name": "operations", "format": "postgres", "table": "plays",
                "dsn_secret": "t1_ops_dsn", "relation": "app.plays", "cursor": "recorded_at",
            }
        ],
    },
    {"id": "t2", "name": "Two", "time_zone": "America/New_York", "currency": "USD", "sources": []},
]  # fmt: skip


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a stack that is up, with tenants `t1` and `t2`; taken down at the end."""
    folder = tmp_path_factory.mktemp("stack")
    file = folder / "tenants.yaml"
    file.write_text(yaml.safe_dump({"tenants": TENANTS}))
    environment = {"ANALYTICS_VAR_DIR": str(folder / "var"), "ANALYTICS_TENANTS_FILE": str(file)}
    settings = load_settings(environment, dotenv=None)
    try:
        local_stack.up(settings)
        yield settings
    finally:
        local_stack.down(settings)
        assert processes.ours(settings) == [], "`down` left processes behind"
