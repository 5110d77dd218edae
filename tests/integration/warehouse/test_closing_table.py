"""The closing table of a warehouse to which nobody has published."""

from __future__ import annotations

import pytest

from analytics.job.outcome import outcome_table, outcomes

pytestmark = pytest.mark.integration


def test_tenants_that_never_came_as_far_as_a_publication_have_a_row_of_nothing(warehouse):
    rows = outcomes(warehouse)
    assert [(r["tenant_id"], r["plays_in"], r["published"]) for r in rows] == [
        ("t1", 0, 0), ("t2", 0, 0),
    ]  # fmt: skip
    assert {(r["model"], r["metric"], r["drift"]) for r in rows} == {("none", "not trained", "no")}
    assert outcome_table(warehouse).row_count == 2
