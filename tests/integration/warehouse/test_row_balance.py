"""Where every row went, as its tenant reads it: the ledger's lines, nobody else's, once."""

from __future__ import annotations

import polars as pl
import pytest
import yaml

from analytics.lake import ledger
from analytics.settings import Settings
from analytics.warehouse import content_hash, publish_row_balance, read
from tests.landing import DAY_ONE, DAY_TWO, NOON_MS, a_line, a_tenant, drop, run

pytestmark = pytest.mark.integration

PLAYS = "select * from row_balance where table_name = 'plays' order by interval_from"
A_DAY_MS = 86_400_000


@pytest.fixture
def landed(warehouse: Settings) -> Settings:
    """Day one: t1 two plays, one of them twice, a broken line; t2 one play under t1's id."""
    tenants = [a_tenant("t1"), a_tenant("t2")]
    warehouse.analytics_tenants_file.write_text(yaml.safe_dump({"tenants": tenants}))
    play, later = a_line(), a_line(itemInSession=1, ts=NOON_MS + 300_000)
    drop(warehouse, "t1", "2025-01-06", play, later, play, "{no json")
    drop(warehouse, "t2", "2025-01-06", play)
    for tenant_id in ("t1", "t2"):
        run(warehouse, tenant_id, DAY_ONE, "r1")
        publish_row_balance(warehouse, tenant_id)
    return warehouse


def test_a_tenant_reads_where_its_own_rows_went(landed: Settings) -> None:
    buckets = ["rows_in", *ledger.BUCKETS]
    for tenant_id, counts in (("t1", (4, 2, 0, 1, 1, 0)), ("t2", (1, 1, 0, 0, 0, 0))):
        rows = read(landed, PLAYS, tenant_id=tenant_id)
        assert rows["tenant_id"].to_list() == [tenant_id]
        assert rows.select(buckets).rows() == [counts]
        assert rows["interval_from"].to_list() == [DAY_ONE.start]
    everything = read(landed, "select * from serve.row_balance")
    went = everything.select(pl.sum_horizontal(ledger.BUCKETS)).to_series()
    assert (everything["rows_in"] == went).all()


def test_the_next_run_adds_its_line_and_publishing_again_changes_nothing(landed: Settings) -> None:
    before = content_hash(landed)
    assert ("serve.row_balance", "t1") in before
    publish_row_balance(landed, "t1")
    assert content_hash(landed) == before

    drop(landed, "t1", "2025-01-07", a_line(ts=NOON_MS + A_DAY_MS, sessionId=8))
    run(landed, "t1", DAY_TWO, "r2")
    publish_row_balance(landed, "t1")
    assert read(landed, PLAYS, tenant_id="t1")["ingest_run"].to_list() == ["r1", "r2"]
    after = content_hash(landed)
    assert after[("serve.row_balance", "t2")] == before[("serve.row_balance", "t2")]
