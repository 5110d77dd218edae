"""The main job's Airflow, stood in for."""

from __future__ import annotations

import pytest

from analytics.job import chains, main
from tests.unit.job.airflow import FakeAirflow


@pytest.fixture
def airflow(monkeypatch) -> FakeAirflow:
    fake = FakeAirflow()
    monkeypatch.setattr(chains, "AirflowClient", fake)
    monkeypatch.setattr(main, "AirflowClient", fake)
    return fake
