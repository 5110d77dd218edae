"""`ingest` by `dag.test()` where a tenant's sources fail: how far that reaches, and its mending."""

from __future__ import annotations

import pytest

from analytics.lake import ledger, read
from analytics.lake.candidates import candidates
from tests.integration.dags.world import conf, run_dags_apart
from tests.landing import DAY_ONE, a_line, a_tenant, drop, drop_text, events_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PAYMENTS = {
    "name": "payments", "format": "csv", "table": "payments", "owner": "billing",
    "path": "{landing}/t1/payments/{date}.csv",
    "columns": {
        "payment_id": "invoice", "listener_id": "user", "paid_at": "at",
        "amount_minor": "cents", "currency": "currency", "kind": "type",
    },
}  # fmt: skip
REVIEWS = {
    "name": "reviews", "format": "parquet", "table": "reviews", "owner": "community",
    "path": "{landing}/t1/reviews/{date}.parquet",
    "columns": {"review_id": "id", "listener_id": "user", "reviewed_at": "at", "stars": "stars"},
}  # fmt: skip
BOOKED = "invoice,user,at,cents,currency,type\n" + "".join(
    f"{n},1,2025-01-06T10:00:00Z,999,EUR,charge\n" for n in range(3)
)


@pytest.fixture
def settings(make_settings):
    return make_settings([a_tenant("t1", events_of("t1"), PAYMENTS, REVIEWS), a_tenant("t2")])


def landed(settings, tenant_id: str) -> dict[str, int]:
    """Rows by table that silver holds of the tenant; tables without any left out."""
    book = ledger.read(settings, tenant_id)
    return {
        table: rows
        for table in book["table"].unique()
        if (rows := read.scan(settings, table, tenant_id).collect().height)
    }


def states(run: dict, index: int) -> list[str]:
    return [run["tasks"][f"one_tenant.{task}[{index}]"] for task in ("extract", "gate", "land")]


def test_a_tenant_whose_sources_fail_waits_whole_and_lands_whole_when_they_are_mended(
    settings, tmp_path
):
    """Its payments did not come and its reviews are cut off; its events are sound."""
    drop(settings, "t1", "2025-01-06", a_line(), a_line(itemInSession=1))
    drop(settings, "t2", "2025-01-06", a_line())
    drop_text(settings, "t1/reviews/2025-01-06.parquet", b"PAR1 and no more")

    (run,) = run_dags_apart(settings, tmp_path, conf(DAY_ONE), "ingest")

    assert run["state"] == "failed"
    assert states(run, 0) == ["failed", "upstream_failed", "upstream_failed"]
    assert states(run, 1) == ["success"] * 3
    said = (tmp_path / "output.log").read_text()
    assert "t1: source payments: no file for any day" in said
    assert "t1/reviews/2025-01-06.parquet is damaged or cut off" in said
    assert run["announced"]["silver"]["tenants"] == ["t2"]
    assert landed(settings, "t1") == {}
    of_t2 = landed(settings, "t2")
    assert of_t2["plays"] == 1
    assert candidates(settings, "t1", DAY_ONE)[0]["plays"].height == 2

    drop_text(settings, "t1/payments/2025-01-06.csv", BOOKED)
    drop_text(settings, "t1/reviews/2025-01-06.parquet", b"")  # a day without reviews
    (run,) = run_dags_apart(settings, tmp_path, conf(DAY_ONE), "ingest")

    assert run["state"] == "success"
    assert run["announced"]["silver"]["tenants"] == ["t1"], "t2 has nothing new"
    assert landed(settings, "t1") == {**of_t2, "plays": 2, "payments": 3}
    assert landed(settings, "t2") == of_t2
