"""The small world on the shared stack, and what came of the chains run over it.

Grain    once a test run: a chain is the dear part, the tests look at its traces.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.settings import Settings
from analytics.stack import AirflowClient
from analytics.stack.airflow_client import Run
from tests.integration.dags.world import (
    BY_HAND,
    HISTORY,
    STEPS,
    World,
    conf,
    run_dags,
    simulated,
)

DAGS = ("ingest", "features", "transform", "score", "monitor", "train")


@pytest.fixture(scope="session")
def world(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The sample's three tenants, small; their truth lies out of the pipeline's reach."""
    return simulated(stack, tmp_path_factory.mktemp("judge") / "truth")


@pytest.fixture(scope="session")
def airflow(stack: Settings) -> Iterator[AirflowClient]:
    with AirflowClient(stack) as client:
        client.wait_for_dags(*DAGS, seconds=180)
        yield client


@pytest.fixture(scope="session")
def by_hand(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The six DAGs by `dag.test()` over the history of two tenants, in the chain's order."""
    folder: Path = tmp_path_factory.mktemp("by_hand")
    runs = run_dags(world.settings, folder, conf(HISTORY, *BY_HAND), *STEPS)
    return {run["step"]: run for run in runs}


@pytest.fixture(scope="session")
def chain(world: World, airflow: AirflowClient) -> list[Run]:
    """Every run that loading the third tenant's history set off on the stack itself."""
    run_id = airflow.trigger("ingest", conf(HISTORY, "nordic_beats"))
    return airflow.wait_chain("ingest", run_id, seconds=800)
