"""Twelve simulated days that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics.simulate.run import SimulationReport, simulate
from tests.unit.simulate.small_worlds import DRIFT_DAY, small


@pytest.fixture(scope="session")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulationReport, Path]:
    """Twelve days of both tenants, the last of them drifting for one; do not change them."""
    folder = tmp_path_factory.mktemp("simulated")
    config = small(12, drift={"indie_radio": DRIFT_DAY})
    return simulate(config, folder / "landing", folder / "truth"), folder
