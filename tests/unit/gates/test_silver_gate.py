"""The door into silver: what did not pass is in no reader's sight, with a real lake."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from deltalake import write_deltalake

from analytics import gates
from analytics.errors import GateFailed
from analytics.gates import engine
from analytics.gates.judge import Judgement, judge
from analytics.gates.silver_door import profile
from analytics.interval import Interval
from analytics.lake import ledger, paths, read, restore, silver, snapshots, staging
from analytics.lake.publication import Prepared, prepared
from analytics.lake.tables import TABLES
from tests.builders import NOON, a_frame, a_play, a_row
from tests.landing import DAY_ONE, DAY_TWO, stage_rows

MANY = 100  # rows of which one may name a listener nobody told of


def arrived(table: str, interval: Interval, *rows: dict) -> pl.DataFrame:
    return a_frame(table, *rows).with_columns(
        pl.lit("events").alias("_source"),
        pl.lit(str(interval)).alias("_file"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        pl.lit(interval.start.date()).alias("_arrived_on"),
    )


def stage(settings, tenant_id: str, table: str, *rows: dict, interval: Interval = DAY_ONE) -> None:
    stage_rows(settings, tenant_id, table, interval, arrived(table, interval, *rows))


def a_landing(table: str, *rows: dict, known: pl.DataFrame | None = None) -> Prepared:
    """What tenant t1 is about to get of new rows."""
    frame = arrived(table, DAY_ONE, *rows)
    counts = {"rows_in": frame.height, "landed": frame.height}
    counts |= {b: 0 for b in ledger.BUCKETS if b != "landed"}
    line = ledger.entry("t1", table, DAY_ONE, counts, "run-1")
    held = frame.clear() if known is None else known
    return prepared("t1", TABLES[table], "nowhere", None, held, frame, DAY_ONE, line)


def clean() -> dict[str, Prepared]:
    return {
        "plays": a_landing("plays", *(a_play(play_id=f"p{n}") for n in range(MANY))),
        "listeners": a_landing("listeners", a_row("listeners", "t1")),
        "tracks": a_landing("tracks", a_row("tracks", "t1")),
    }


def judged(settings, landing: dict[str, Prepared]) -> Judgement:
    engine.context()
    from expectations import silver as suites

    return judge(suites.suite(), profile(settings, "t1", [*landing.values()]))


def broken(settings, landing: dict[str, Prepared]) -> dict[str, str]:
    """By rule at fault, its example."""
    return {
        r.rule: r.examples[0]
        for r in judged(settings, landing).results
        if not r.passed and r.kind != "budget"
    }


def test_a_clean_landing_passes_every_rule_and_one_of_nothing_too(settings):
    landing = clean()
    assert broken(settings, landing) == {}
    nothing = replace(counted(landing["plays"], 0), rows=landing["plays"].rows.clear())
    assert broken(settings, landing | {"plays": nothing}) == {}


def other(plays: Prepared, *ids: str, **values: object) -> Prepared:
    """The plays with these values in place of those of some."""
    chosen = pl.col("play_id").is_in(ids)
    changed = {c: pl.when(chosen).then(pl.lit(v)).otherwise(c) for c, v in values.items()}
    return replace(plays, rows=plays.rows.with_columns(**changed))


def counted(plays: Prepared, landed: int) -> Prepared:
    """The plays with another number in the ledger's line."""
    return replace(plays, line=plays.line | {"landed": landed})


@pytest.mark.parametrize(
    ("change", "rule", "example"),
    [
        (
            lambda p: replace(counted(p, 101), rows=pl.concat([p.rows, p.rows.head(1)])),
            "keys_are_unique", "table=plays, repeated=p0, keys=100, held=101",
        ),
        (
            lambda p: replace(counted(p, 99), known=pl.concat([p.rows.head(1)] * 2)),
            "keys_are_unique", "table=plays, repeated=p0, keys=100, held=101",
        ),
        (
            lambda p: other(p, "p7", tenant_id="t2"),
            "rows_are_the_tenants_own", "table=plays, others=t2, own=99, rows=100",
        ),
        (
            lambda p: other(p, "p7", tenant_id=None),
            "rows_are_the_tenants_own", "table=plays, others=null, own=99, rows=100",
        ),
        (
            lambda p: other(p, "p7", started_at=NOON + timedelta(days=1)),
            "times_are_in_the_touched_days",
            "table=plays, untimely=2025-01-07T12:00:00Z, timely=99, rows=100",
        ),
        (
            lambda p: other(p, "p7", started_at=None),
            "times_are_in_the_touched_days", "table=plays, untimely=null, timely=99, rows=100",
        ),
        (
            lambda p: replace(p, rows=p.rows.cast({"listened_ms": pl.Float64})),
            "types_are_canonical",
            "table=plays, mistyped=listened_ms Float64, typed=14, columns=15",
        ),
        (
            lambda p: replace(p, rows=p.rows.drop("country")),
            "types_are_canonical", "table=plays, mistyped=country missing, typed=14, columns=15",
        ),
        (
            lambda p: counted(p, 99),
            "ledger_balances", "table=plays, grows_by=100, landed=99",
        ),
        (
            lambda p: other(p, "p7", "p8", listener_id="l7"),
            "references_are_known", "table=plays, strangers=l7, may_be_unknown=1, unknown=2",
        ),
        (
            lambda p: other(p, "p7", "p8", track_id="s7"),
            "references_are_known", "table=plays, strangers=s7, may_be_unknown=1, unknown=2",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_caught_by_its_own_rule_and_named(settings, change, rule, example):
    landing = clean()
    assert broken(settings, landing | {"plays": change(landing["plays"])}) == {rule: example}


def test_every_rule_says_why_it_is_one_and_all_but_one_stop(settings):
    results = [r for r in judged(settings, clean()).results if r.kind == "row"]
    assert all(len(r.reason) > 20 for r in results)
    assert [r.rule for r in results if r.severity == "warning"] == ["references_are_known"]


def test_a_state_may_be_old_but_not_from_after_the_landing(settings):
    track = a_row("tracks", "t1")
    late = a_landing("tracks", {**track, "updated_at": DAY_ONE.end + timedelta(microseconds=1)})
    assert broken(settings, clean() | {"tracks": a_landing("tracks", track)}) == {}
    assert [*broken(settings, clean() | {"tracks": late})] == ["times_are_in_the_touched_days"]


def test_a_few_plays_may_come_before_their_listener_and_only_their_own_tenants_counts(settings):
    play = a_landing("plays", *(a_play(play_id=f"p{n}", listener_id="l7") for n in range(MANY)))
    stage(settings, "t2", "listeners", a_row("listeners", "t2", listener_id="l7"))
    silver.land(settings, "t2", DAY_ONE, "run-1")
    assert [*broken(settings, clean() | {"plays": play})] == ["references_are_known"]

    stage(settings, "t1", "listeners", a_row("listeners", "t1", listener_id="l7"))
    silver.land(settings, "t1", DAY_ONE, "run-1")
    assert broken(settings, clean() | {"plays": play}) == {}


def test_who_has_no_catalogue_is_not_asked_for_it(settings):
    assert broken(settings, {"plays": clean()["plays"]}) == {}


NUMBER = {"plays": "listened_ms", "payments": "amount_minor"}


def damage(settings, tenant_id: str, table: str) -> None:
    """Write a staged number anew as a text, as nothing of ours ever would."""
    staged = staging.read(settings, tenant_id, table, DAY_ONE)
    assert staged is not None
    for file in staged.files:
        known = {staging.STATISTICS: file.statistics}
        rows = pl.read_parquet(file.rows_uri).cast({NUMBER[table]: pl.String})
        rows.write_parquet(file.rows_uri, metadata=known)


def test_rows_that_say_another_tenant_are_not_even_staged(settings):
    with pytest.raises(GateFailed, match="t1: 1 rows of plays say that they are of another tenant"):
        stage(settings, "t1", "plays", a_play(), a_row("plays", "t2", play_id="p2"))
    assert staging.read(settings, "t1", "plays", DAY_ONE) is None


def test_what_is_stopped_is_seen_by_nobody_and_the_others_land(settings):
    for tenant_id in ("t1", "t2"):
        stage(settings, tenant_id, "plays", a_row("plays", tenant_id))
        stage(settings, tenant_id, "payments", a_row("payments", tenant_id))
    damage(settings, "t1", "payments")

    with pytest.raises(GateFailed) as stopped:
        silver.land(settings, "t1", DAY_ONE, "run-1")
    silver.land(settings, "t2", DAY_ONE, "run-1")

    said = str(stopped.value)
    assert "the silver gate stopped tenant t1 for 2025-01-06" in said
    assert "types_are_canonical failed for 1 of 2 rows" in said
    assert "table=payments, mistyped=amount_minor String" in said
    assert "data_docs/index.html" in said
    for table in ("plays", "payments"):
        assert read.scan(settings, table).collect()["tenant_id"].to_list() == ["t2"]
    assert ledger.read(settings, "t1").is_empty()
    assert snapshots.snapshots(settings, "t1") == []


def test_once_mended_the_same_interval_lands_as_if_nothing_had_been(settings):
    stage(settings, "t1", "plays", a_play())
    damage(settings, "t1", "plays")
    with pytest.raises(GateFailed):
        silver.land(settings, "t1", DAY_ONE, "run-1")
    stage(settings, "t1", "plays", a_play(), a_play(play_id="p2"))
    landed = silver.land(settings, "t1", DAY_ONE, "run-1")

    assert landed.touched == DAY_ONE
    assert read.scan(settings, "plays", "t1").collect().height == 2
    assert [s.number for s in snapshots.snapshots(settings, "t1")] == [1]


def test_a_key_that_silver_holds_twice_stops_until_the_last_snapshot_is_restored(settings):
    for tenant_id in ("t1", "t2"):
        stage(settings, tenant_id, "plays", a_row("plays", tenant_id))
        silver.land(settings, tenant_id, DAY_ONE, "run-1")
    uri = paths.table(settings, "silver", "plays")
    held = pl.scan_delta(uri).filter(tenant_id="t1").collect()
    write_deltalake(uri, held, mode="append")  # by hand, past every door
    stage(settings, "t1", "plays", a_play(listened_ms=1), interval=DAY_TWO)

    with pytest.raises(GateFailed, match=r"keys_are_unique .* repeated=p1"):
        silver.land(settings, "t1", DAY_TWO, "run-2")
    good = snapshots.snapshots(settings, "t1")[-1]
    restore.restore(settings, good, restore.tables_of(settings, good))
    silver.land(settings, "t1", DAY_TWO, "run-2")

    rows = read.scan(settings, "plays").sort("tenant_id").collect()
    assert rows.select("tenant_id", "listened_ms").rows() == [("t1", 1), ("t2", 180_000)]


def test_what_a_lost_race_decides_anew_is_judged_anew(settings):
    stage(settings, "t1", "plays", a_play(), a_play(play_id="p2"))
    judged_rows: list[int] = []

    def audit(settings, tenant_id, interval, run_id, landing) -> None:
        gates.silver(settings, tenant_id, interval, run_id, landing)
        judged_rows.append(sum(one.height for one in landing))
        if len(judged_rows) == 1:  # a rival lands one of the rows after the verdict
            stage(settings, "t1", "plays", a_play(), interval=DAY_TWO)
            silver.land(settings, "t1", DAY_TWO, "rival")

    silver.land(settings, "t1", DAY_ONE, "run-1", audit=audit)

    assert judged_rows == [2, 1]
    assert sorted(read.scan(settings, "plays", "t1").collect()["play_id"]) == ["p1", "p2"]
