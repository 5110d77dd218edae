"""Snapshots, restores and maintenance of a lake that lies in an object store."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from polars.testing import assert_frame_equal

from analytics.lake import asof, content, delta, leftovers, maintenance, paths, restore, snapshots
from tests.landing import DAY_ONE, DAY_TWO, a_line, a_tenant, drop, run

TENANTS = ("t1", "t2")


@pytest.fixture
def settings(make_settings, store):
    root = f"s3://{store.bucket}/{uuid.uuid4().hex}"
    made = make_settings([a_tenant(t) for t in TENANTS], analytics_lake_root=root)
    for tenant_id in TENANTS:
        drop(made, tenant_id, "2025-01-06", a_line(), a_line(itemInSession=1), "{")
        run(made, tenant_id, DAY_ONE, "run-1")
        drop(made, tenant_id, "2025-01-07", a_line(itemInSession=2))
        run(made, tenant_id, DAY_TWO, "run-2")
    return made


def test_every_table_is_bound_at_the_version_it_opens_with(settings):
    (bound,) = snapshots.find(settings, "run-2", "t2")
    assert "bronze/t2/events" in bound.versions
    assert bound.versions == {n: delta.version(paths.named(settings, n)) for n in bound.versions}


def test_a_tidied_store_holds_the_same_rows_and_can_be_turned_back(settings):
    hashes = content.content_hash(settings)
    for group in maintenance.groups(settings, TENANTS):
        for name in group:
            maintenance.maintain(settings, name)
    swept = leftovers.sweep(settings, datetime.now(UTC) + timedelta(days=2))
    assert swept.staged > 0
    assert leftovers.sweep(settings, datetime.now(UTC) + timedelta(days=2)).staged == 0
    assert content.content_hash(settings) == hashes

    (first,) = snapshots.find(settings, "run-1", "t1")
    was = asof.rows(settings, first, "silver/plays").collect()
    done = restore.restore(settings, first, restore.tables_of(settings, first))
    assert [(d.table, d.removed) for d in done.differences] == [("silver/plays", 1)]
    (now,) = snapshots.find(settings, str(done.snapshot_id))
    held = asof.rows(settings, now, "silver/plays").collect()
    assert_frame_equal(held, was, check_row_order=False)
    after = content.content_hash(settings)
    assert {k for k in hashes if hashes[k] != after[k]} == {("silver/plays", "t1")}
