"""Fixtures every room shares: settings of a temporary place, one real PostgreSQL a run."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Airflow reads its home when it is first imported, so it gets one of its own before that.
# Deleted at the end of the run by pytest_unconfigure.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="analytics-tests-")
os.environ["AIRFLOW__COSMOS__CACHE_DIR"] = os.environ["AIRFLOW_HOME"] + "/cosmos"
os.environ["ANALYTICS_VAR_DIR"] = os.environ["AIRFLOW_HOME"] + "/var"  # never the real one
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parents[1] / "dags")

import hypothesis
import pytest
import yaml

from analytics.secrets import secret
from analytics.settings import Settings, load_settings
from analytics.stack.postgres import Postgres, free_port

# How long an example may take says more of the machine than of the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

PATIENCE = 120  # seconds in which a process of `-n` takes its servers down after Ctrl-C


def pytest_configure(config: pytest.Config) -> None:
    """After Ctrl-C the processes of `-n` end like one alone; theirs would be killed meanwhile."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from execnet.gateway_base import WorkerGateway

        signal.signal(signal.SIGINT, _interrupt_once)
        WorkerGateway._terminate_execution = _let_end
    elif config.pluginmanager.hasplugin("xdist"):
        from xdist.workermanage import NodeManager

        NodeManager.EXIT_TIMEOUT = PATIENCE


def _interrupt_once(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _let_end(gateway: Any) -> None:
    gateway._execpool.trigger_shutdown()
    if not gateway._execpool.waitall(5):
        os.kill(os.getpid(), signal.SIGINT)
        gateway._execpool.waitall(PATIENCE)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["AIRFLOW_HOME"], ignore_errors=True)


# Rooms whose tests share what is dear to start; each stays in one process, begun first.
ROOMS = {"integration/stack": "stack", "integration/dags": "stack", "integration/ml": "learning"}


def room(nodeid: str) -> str:
    """What stays together when tests run side by side: a shared room, else a file."""
    file = nodeid.split("::")[0].removeprefix("tests/")
    return ROOMS.get(file.rpartition("/")[0], file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return room(nodeid)

    return ByRoom(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        rooms = list(dict.fromkeys(ROOMS.values()))
        items.sort(key=lambda it: [room(it.nodeid) != name for name in rooms])


DATA = Path(os.environ.get("ANALYTICS_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

TWO_TENANTS = [
    {"id": "t1", "name": "One", "time_zone": "Europe/Berlin", "currency": "EUR", "sources": []},
    {"id": "t2", "name": "Two", "time_zone": "America/New_York", "currency": "USD", "sources": []},
]


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings under a temporary folder, for the tenants you give (default: t1 and t2)."""

    def make(tenants: list[dict] | None = None, **changes: object) -> Settings:
        file = tmp_path / "tenants.yaml"
        file.write_text(yaml.safe_dump({"tenants": TWO_TENANTS if tenants is None else tenants}))
        environment = {
            "ANALYTICS_VAR_DIR": str(tmp_path / "var"),
            "ANALYTICS_TENANTS_FILE": str(file),
            **{k.upper(): str(v) for k, v in changes.items()},
        }
        return load_settings(environment, dotenv=None)

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real server for the whole test run; take a database of your own in it."""
    var = tmp_path_factory.mktemp("postgres")
    server = Postgres(var, free_port(), secret(var, "superuser"), shared_buffers="128MB")
    try:
        with server.running():
            yield server
    finally:
        shutil.rmtree(server.home(), ignore_errors=True)  # root's lies outside `var`


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Where real exports would be, there or not."""
    return DATA


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real exports; tests that need it say so when it is absent."""
    if not DATA.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the real data is missing at {DATA}; set ANALYTICS_TEST_DATA")
        pytest.skip(f"the real data is not at {DATA}; set ANALYTICS_TEST_DATA")
    return DATA


@pytest.fixture(scope="session")
def dbt_manifest() -> Path:
    """The dbt project parsed, as `transform` needs it to draw its tasks."""
    from analytics.warehouse import dbt

    return dbt.parse(load_settings())
