"""`maintain` by `dag.test()`: the lake is tidier, the same to the row, and the run is green."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.interval import Interval
from analytics.lake import delta, paths, read
from tests.builders import NOON, a_play
from tests.integration.dags.world import conf, run_dags_apart
from tests.unit.lake.test_snapshots import land

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_every_table_is_tidied_and_what_landed_long_ago_is_swept(settings, tmp_path):
    for number in range(3):
        for tenant_id in ("t1", "t2"):
            at = NOON + timedelta(days=number)
            rows = [a_play(tenant_id, play_id=f"p{number}", started_at=at)]
            land(settings, Interval.day(at.date()), f"run-{number}", *rows, tenant_id=tenant_id)
    hashes = read.content_hash(settings)
    week = Interval.day((datetime.now(UTC) + timedelta(days=2)).date())

    (run,) = run_dags_apart(settings, tmp_path, conf(week), "maintain")

    assert run["state"] == "success"
    assert {name for name, state in run["tasks"].items() if state == "success"} == {
        "choose_tables", "tidy[0]", "tidy[1]", "tidy[2]", "sweep",
    }  # fmt: skip
    assert read.content_hash(settings) == hashes
    for name in ("silver/plays", "ledger", "snapshots"):
        table = delta.open_table(paths.named(settings, name))
        assert table is not None
        assert len(table.file_uris()) == 2
    assert not list(settings.var.glob("lake/staged/**/*.parquet"))
