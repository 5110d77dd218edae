"""The drift rule on simulated tenants: one breaks on the last day, one does not.

From landing files through gate and silver to Spark's features, all real. The
answers of a champion are left out: the features alone must tell.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from analytics import gates
from analytics.interval import Interval
from analytics.lake import bronze
from analytics.settings import Settings, load_settings
from analytics.simulate.config import SimulationConfig
from analytics.simulate.profiles import SAMPLE
from analytics.simulate.run import simulate
from ml.drift.comparison import Drift, compare
from ml.drift.monitor import REFERENCE_DAYS, judged
from ml.features import feature_rows
from ml.features.training_set import as_pandas
from spark_jobs.build import build
from spark_jobs.churn_columns import feature_names
from tests.landing import land_staged

pytestmark = [pytest.mark.integration, pytest.mark.long]

STEADY, DRIFTING = "spotify_premium", "indie_radio"
START, DAYS = date(2025, 1, 1), 88  # the trends of the reference look back 56 days
AFTER_DRIFT = START + timedelta(days=DAYS)  # features of a day know what was before it
NORMAL = AFTER_DRIFT - timedelta(days=1)
DAY_BEFORE = NORMAL - timedelta(days=1)  # the last the champion would have learnt from


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Both tenants with features of the weeks before and of the days that are looked at."""
    home: Path = tmp_path_factory.mktemp("simulated")
    settings = load_settings({"ANALYTICS_VAR_DIR": str(home)}, dotenv=None)
    tenants = tuple(p for p in SAMPLE if p.id in (STEADY, DRIFTING))
    config = SimulationConfig(
        start=START, days=DAYS, listeners=220, tenants=tenants,
        drift={DRIFTING: NORMAL},
    )  # fmt: skip
    simulate(config, settings.landing, home / "truth")
    whole = Interval.of(config.start, config.end)
    for tenant_id in (STEADY, DRIFTING):
        bronze.extract(settings, tenant_id, whole, "r")
        gates.bronze(settings, tenant_id, whole, "r")
        land_staged(settings, tenant_id, whole, "r")
        build(settings, tenant_id, Interval.of(START, DAY_BEFORE), "r")
        build(settings, tenant_id, Interval.of(NORMAL, AFTER_DRIFT), "r")
    build(settings, DRIFTING, Interval.of(DAY_BEFORE, NORMAL), "r")
    return settings


def drift_on(settings: Settings, tenant_id: str, day: date) -> Drift:
    """As the monitor measures it."""
    since = DAY_BEFORE - timedelta(days=REFERENCE_DAYS - 1)
    reference = feature_rows(settings, tenant_id, since, DAY_BEFORE)
    sides = [reference, feature_rows(settings, tenant_id, day, day)]
    columns = judged([n for n in feature_names() if reference[n].dtype.is_numeric()])
    return compare(*(as_pandas(rows.select(pl.col(columns))) for rows in sides))


def test_the_day_before_the_fault_is_no_drift(settings: Settings):
    found = drift_on(settings, DRIFTING, NORMAL)
    assert not found.drifted, found


def test_the_broken_client_is_drift(settings: Settings):
    found = drift_on(settings, DRIFTING, AFTER_DRIFT)
    assert found.drifted
    assert {"plays_1d", "skip_share_1d", "skip_share_7d"} <= set(found.columns)


def test_the_same_day_of_a_tenant_without_fault_is_no_drift(settings: Settings):
    found = drift_on(settings, STEADY, AFTER_DRIFT)
    assert not found.drifted, found
