"""What the shop sold, the API answered and listeners agreed to makes sense together."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from analytics import gates
from analytics.interval import Interval
from analytics.lake import bronze, read, silver
from analytics.settings import PROJECT, load_settings
from analytics.simulate.operations import HOUR_MS
from analytics.simulate.run import simulate
from tests.unit.simulate.small_worlds import DRIFT_DAY, START, small

OPERATIONS = ("orders", "order_lines", "api_usage", "consents")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of both tenants, with enough listeners for rare fates."""
    folder = tmp_path_factory.mktemp("busy")
    simulate(
        small(40, listeners=400, drift={"indie_radio": DRIFT_DAY}),
        folder / "landing",
        folder / "truth",
    )
    return folder


def radio(folder: Path, table: str) -> pl.DataFrame:
    """All drops of one table of the radio, with the day they arrived on."""
    days = sorted((folder / "landing/indie_radio" / table).glob("*.parquet"))
    return pl.concat(
        [pl.read_parquet(f).with_columns(arrived=pl.lit(f.stem).str.to_date()) for f in days]
    )


def test_the_lines_of_an_order_add_up_to_it(busy):
    orders, lines = radio(busy, "orders"), radio(busy, "order_lines")
    summed = lines.group_by("order_no", "ordered_at").agg(pl.col("cents").sum().alias("lines"))
    both = orders.join(summed, on=["order_no", "ordered_at"], how="left")
    assert (both["cents"] == both["lines"]).all()
    assert set(lines["order_no"]) == set(orders["order_no"])
    assert lines["line_no"].n_unique() == len(lines) > orders["order_no"].n_unique() > 20


def test_an_order_comes_paid_and_again_with_its_end(busy):
    orders = radio(busy, "orders")
    paid = orders.filter(pl.col("step") == "paid")
    ended = orders.filter(pl.col("step") != "paid")
    assert paid["order_no"].n_unique() == len(paid) == orders["order_no"].n_unique()
    assert ended["order_no"].n_unique() == len(ended) > len(paid) / 2
    assert set(ended["step"]) == {"shipped", "cancelled", "returned"}
    waited = ended.with_columns(days=(pl.col("arrived") - pl.col("ordered_at").dt.date()))
    waited = waited.with_columns(pl.col("days").dt.total_days())
    assert waited.filter(pl.col("step") == "shipped")["days"].is_between(1, 3).all()
    assert waited.filter(pl.col("step") == "returned")["days"].is_between(6, 12).all()
    counts = pl.read_parquet(busy / "truth/indie_radio/counts.parquet")
    assert counts.filter(pl.col("table") == "orders")["resent"].sum() == len(ended)


def test_bots_buy_nothing_and_nobody_buys_before_signing_up(busy):
    people = pl.read_parquet(busy / "truth/indie_radio/listeners.parquet")
    joined = radio(busy, "listeners").group_by("member_no").agg(pl.col("joined_at").min())
    orders = radio(busy, "orders").join(joined, on="member_no")
    assert (orders["ordered_at"] > orders["joined_at"]).all()
    bots = set(people.filter("is_bot")["listener_id"])
    assert not bots & set(orders["member_no"])


def test_calls_follow_the_plays_of_their_hour_and_a_broken_release_errs(busy):
    usage = radio(busy, "api_usage")
    assert usage["entry_no"].n_unique() == len(usage)
    assert usage.select("caller", "path", "hour_begins_at").is_duplicated().sum() == 0
    assert (usage["hour_begins_at"].dt.epoch("ms") % HOUR_MS == 0).all()
    assert (usage["failures"] <= usage["requests"]).all()
    drifts = pl.col("hour_begins_at").dt.date() >= DRIFT_DAY
    errs = usage.group_by(drifts.alias("drifts")).agg(
        pl.col("failures").sum() / pl.col("requests").sum()
    )
    share = dict(errs.iter_rows())
    assert share[True] > 5 * share[False] > 0
    by_hour = usage.group_by(pl.col("hour_begins_at").dt.hour()).agg(pl.col("requests").sum())
    assert by_hour["requests"].max() > 3 * by_hour["requests"].min()


def test_everybody_is_asked_once_for_each_purpose_and_then_only_changes_are_told(busy):
    answers = radio(busy, "consents").sort("member_no", "question", "happened_at", "answer_no")
    accounts = radio(busy, "listeners")["member_no"].n_unique()
    by_question = answers.group_by("member_no", "question", maintain_order=True)
    first = by_question.first()
    assert len(first) == 2 * accounts
    assert set(first["question"]) == {"marketing", "personalisation"}
    turns = answers.with_columns(
        before=pl.col("said_yes").shift().over("member_no", "question")
    ).filter(pl.col("before").is_not_null())
    assert (turns["said_yes"] != turns["before"]).all()
    assert len(turns) > 0


@pytest.mark.parametrize("tenant_id", ["spotify_premium", "indie_radio"])
def test_they_pass_the_gate_and_land_to_the_row(tenant_id, tmp_path):
    config = small(8, damaged_share=0.0)
    simulate(config, tmp_path / "landing", tmp_path / "truth")
    environment = {
        "ANALYTICS_VAR_DIR": str(tmp_path),
        "ANALYTICS_TENANTS_FILE": str(PROJECT / "tenants.yaml"),
    }
    settings, week = load_settings(environment, dotenv=None), Interval.of(START, config.end)
    bronze.extract(settings, tenant_id, week, "run-1")

    report = gates.bronze(settings, tenant_id, week, "run-1")
    landed = silver.land(settings, tenant_id, week, "run-1")

    counts = pl.read_parquet(tmp_path / "truth" / tenant_id / "counts.parquet")
    told = {t: (rows, resent) for t, rows, resent in counts.group_by("table").agg(
        pl.col("rows").sum(), pl.col("resent").sum()).iter_rows()}  # fmt: skip
    warned = {t.table: [w.rule for w in t.warnings] for t in report.tables}
    for table in OPERATIONS:
        rows, resent = told[table]
        assert landed.rows[table]["rows_in"] == rows > 0
        assert landed.rows[table]["landed"] == rows - resent
        assert landed.rows[table]["quarantined"] == 0
        assert warned[table] == (["keys_are_unique"] if resent else [])
        there = read.scan(settings, table, tenant_id).collect()
        assert there.height == rows - resent
    orders = read.scan(settings, "orders", tenant_id).collect()
    assert set(orders["status"]) >= {"paid", "shipped"}
    assert orders.filter(pl.col("status") != "paid").height == told["orders"][1]
