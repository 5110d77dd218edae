"""`monitor` and `train` by `dag.test()`: drift retrains its tenant and no other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from analytics.interval import Interval
from ml import tables
from ml.drift.decisions import recorded as decisions_of
from ml.features.training_set import FEATURES
from ml.outcomes import recorded as outcomes_of
from tests.integration.dags.world import conf, run_dags_apart
from tests.integration.ml.conftest import SEEDS, Learned
from tests.unit.ml.rows import LAST_DAY, feature_rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
DAY = LAST_DAY + timedelta(days=5)


def test_the_event_names_the_tenant_that_drifted_and_only_that_one_is_trained(
    learned: Learned, tmp_path
):
    settings = learned.settings
    for tenant_id, drift in (("t1", True), ("t2", False)):
        rows = feature_rows(tenant_id, [DAY], 220, SEEDS[tenant_id], drift)
        tables.replace(settings, tenant_id, *FEATURES, rows, {"as_of_date": DAY}, "r5")
    before = outcomes_of(settings, "t2")

    form = conf(Interval.day(DAY - timedelta(days=1)), "t1", "t2")
    monitor, train = run_dags_apart(settings, tmp_path, form, "monitor", "train")

    said = {
        d.tenant_id: d for t in ("t1", "t2") for d in decisions_of(settings, t) if d.as_of == DAY
    }
    assert {t: d.retrain for t, d in said.items()} == {"t1": True, "t2": False}
    assert {monitor["tasks"][f"decide[{n}]"] for n in (0, 1)} == {"success"}
    event = monitor["announced"]["retraining"]
    assert event["tenants"] == ["t1"]
    assert event["reasons"] == {"t1": said["t1"].reason}
    assert train["form"]["tenants"] == ["t1"]
    assert train["state"] == "success"
    assert [task for task in train["tasks"] if task.startswith("fit")] == ["fit[0]"]
    assert outcomes_of(settings, "t1")[-1].as_of_date == DAY
    assert outcomes_of(settings, "t2") == before
