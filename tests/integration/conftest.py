"""One whole local stack for all tests that need it: starting Airflow costs a minute."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics import stack as local_stack
from analytics.settings import PROJECT, Settings, load_settings
from analytics.sources.sniff import tenants_from_folder
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
def stack(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Iterator[Settings]:
    """The settings of a stack that is up; taken down at the end.

    Its tenants: `t1` and `t2` without data, the sample's three, and where the
    real exports are at hand `dend` and `user_a`.
    """
    folder = tmp_path_factory.mktemp("stack")
    sample = yaml.safe_load((PROJECT / "tenants.yaml").read_text())["tenants"]
    tenants = [*TENANTS, *sample, *_real_tenants(data_folder, folder / "exports")]
    file = folder / "tenants.yaml"
    file.write_text(yaml.safe_dump({"tenants": tenants}))
    environment = {
        "ANALYTICS_VAR_DIR": str(folder / "var"),
        "ANALYTICS_TENANTS_FILE": str(file),
        "ML_TRIALS": "2",
        "ML_GPU_ENABLED": "false",
    }
    settings = load_settings(environment, dotenv=None)
    try:
        local_stack.up(settings)
        yield settings
    finally:
        family = processes.ours(settings)
        local_stack.down(settings)
        assert processes.ours(settings) == [], "`down` left processes behind"
        assert [p for p in family if p.is_running()] == [], "`down` left some for `ps` to show"
        shutil.rmtree(local_stack.postgres_of(settings).home(), ignore_errors=True)


def _real_tenants(data: Path, folder: Path) -> list[dict[str, Any]]:
    """Two tenants of real exports, declared as `analytics run --data` declares them."""
    logs = data / "listening" / "dend_eventsim_open.tar.gz"
    history = data / "listening" / "spotify_extended" / "userA_2013-2024.zip"
    if not (logs.exists() and history.exists()):
        return []
    shutil.unpack_archive(logs, folder / "dend")
    (folder / "user_a").mkdir()
    shutil.copyfile(history, folder / "user_a" / history.name)
    tenants = tenants_from_folder(folder, folder / "tenants.yaml")
    return [tenant.model_dump(mode="json") for tenant in tenants.values()]
