"""Another process that commits between a look at a table and the commit: nothing comes twice.

The rival runs where it hurts most: when everything is decided and about to be written,
also into a table that was not there a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import polars as pl
import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from analytics.lake import delta, ledger, paths, quarantine, read, snapshots
from tests.landing import DAY_ONE, a_line, a_tenant, drop, run

LINES = (a_line(), a_line(itemInSession=1), a_line(ts="never"), '{"cut": ')


@pytest.fixture
def just_before(monkeypatch):
    """Run the rival once, just before the commit of the given number reaches the library."""

    def arrange(number: int, rival: Callable[[], object]) -> list[str]:
        written: list[str] = []
        commit = delta.write

        def late(target, *args, **kwargs):
            written.append(target if isinstance(target, str) else target.table_uri)
            if len(written) == number:
                rival()
            return commit(target, *args, **kwargs)

        monkeypatch.setattr(delta, "write", late)
        return written

    return arrange


def test_a_first_writer_that_lost_the_race_is_told(tmp_path):
    uri = str(tmp_path / "table")
    frame = pl.DataFrame({"tenant_id": ["t1"], "x": [1]})
    schema = frame.to_arrow().schema

    def batches():
        rival = Thread(target=delta.write, args=(uri, frame))
        rival.start()
        rival.join()
        yield from frame.to_arrow().cast(schema).to_batches()

    with pytest.raises(DeltaError, match="already exists"):
        delta.write(uri, pa.RecordBatchReader.from_batches(schema, batches()))
    assert pl.scan_delta(delta.open_table(uri)).collect().height == 1


COMMITS = ("rejects", "quarantine", "bronze", "plays", "ledger", "snapshots")


@pytest.mark.parametrize("commit", range(1, len(COMMITS) + 1), ids=COMMITS)
@pytest.mark.parametrize("new_lake", [True, False], ids=["new", "kept"])
def test_the_same_day_run_twice_at_once_counts_once(make_settings, just_before, commit, new_lake):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in ("t1", "t2"):
        drop(settings, tenant_id, "2025-01-06", *LINES)
        drop(settings, tenant_id, "2025-01-05", *(a_line(itemInSession=n) for n in (7, 8)), "{")
    if not new_lake:
        for tenant_id in ("t1", "t2"):
            run(settings, tenant_id, type(DAY_ONE).of("2025-01-05", "2025-01-06"), "run-0")
    before = read.scan(settings, "plays", "t1").collect().height

    written = just_before(commit, lambda: run(settings, "t1", DAY_ONE, "rival"))
    run(settings, "t1", DAY_ONE, "run-1")

    assert len(written) >= len(COMMITS)
    plays = read.scan(settings, "plays", "t1").collect()
    assert plays.height == plays.n_unique("play_id") == before + 2
    bronze = pl.scan_delta(paths.bronze(settings, "t1", "events")).collect()
    assert bronze.n_unique(["_file", "_row"]) == bronze.height
    rejects = pl.scan_delta(paths.bronze_rejects(settings, "t1", "events")).collect()
    assert rejects.n_unique(["file", "row"]) == rejects.height
    held = quarantine.scan(settings, "t1").collect()
    assert held.n_unique("quarantine_id") == held.height
    lines = ledger.read(settings, "t1")
    assert lines.n_unique(["table", "interval_from"]) == lines.height
    assert lines.filter(table="plays")["landed"].sum() == plays.height
    bound = [s.run_id for s in snapshots.snapshots(settings, "t1")]
    assert sorted(bound) == sorted(set(lines["ingest_run"]))
