"""What the shop sold, the API answered and listeners agreed to makes sense together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest

from analytics import gates
from analytics.interval import Interval
from analytics.lake import bronze, read
from analytics.settings import PROJECT
from analytics.simulate.layout import relation
from analytics.simulate.operations import HOUR_MS
from analytics.simulate.run import simulate
from analytics.stack.postgres import Postgres
from tests.landing import land_staged
from tests.unit.simulate.small_worlds import DRIFT_DAY, START, profile, small

pytestmark = pytest.mark.integration
OPERATIONS = ("orders", "order_lines", "api_usage", "consents")


@dataclass(frozen=True)
class Service:
    """What forty days left behind."""

    dsn: str
    folder: Path

    def table(self, name: str) -> pl.DataFrame:
        with psycopg.connect(self.dsn) as connection:
            return pl.read_database(f"SELECT * FROM {relation(name)}", connection)  # noqa: S608

    def truth(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"truth/nordic_beats/{name}.parquet")


@pytest.fixture(scope="module")
def busy(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Forty days of the tenant with a shop, with enough listeners for rare fates."""
    folder = tmp_path_factory.mktemp("busy")
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE busy")
        dsn = postgres.dsn("busy")
        config = small(
            40, listeners=400, tenants=(profile("nordic_beats"),), damaged_share=0.0,
            drift={"nordic_beats": DRIFT_DAY},
        )  # fmt: skip
        simulate(config, folder / "landing", folder / "truth", {"nordic_beats": dsn})
        yield Service(dsn, folder)
        connection.execute("DROP DATABASE busy WITH (FORCE)")


def test_the_lines_of_an_order_add_up_to_it(busy):
    orders, lines = busy.table("orders"), busy.table("order_lines")
    summed = lines.group_by("order_id", "ordered_at").agg(pl.col("amount_ore").sum().alias("lines"))
    both = orders.join(
        summed, left_on=["id", "ordered_at"], right_on=["order_id", "ordered_at"], how="left"
    )
    assert (both["amount_ore"] == both["lines"]).all()
    assert set(lines["order_id"]) == set(orders["id"])
    assert lines["id"].n_unique() == len(lines) > orders["id"].n_unique() > 20


def test_an_order_comes_paid_and_again_with_its_end(busy):
    orders = busy.table("orders")
    paid = orders.filter(pl.col("status") == "paid")
    ended = orders.filter(pl.col("status") != "paid")
    assert paid["id"].n_unique() == len(paid) == orders["id"].n_unique()
    assert ended["id"].n_unique() == len(ended) > len(paid) / 2
    assert set(ended["status"]) == {"shipped", "cancelled", "returned"}
    waited = ended.with_columns(
        days=(pl.col("recorded_at").dt.date() - pl.col("ordered_at").dt.date())
    )
    waited = waited.with_columns(pl.col("days").dt.total_days())
    assert waited.filter(pl.col("status") == "shipped")["days"].is_between(1, 3).all()
    assert waited.filter(pl.col("status") == "returned")["days"].is_between(6, 12).all()
    counts = busy.truth("counts")
    assert counts.filter(pl.col("table") == "orders")["resent"].sum() == len(ended)


def test_bots_buy_nothing_and_nobody_buys_before_signing_up(busy):
    people = busy.truth("listeners")
    joined = busy.table("listeners").group_by("id").agg(pl.col("created_at").min())
    orders = busy.table("orders").join(joined, left_on="account_id", right_on="id")
    assert (orders["ordered_at"] > orders["created_at"]).all()
    bots = set(people.filter("is_bot")["listener_id"])
    assert not bots & set(orders["account_id"])


def test_calls_follow_the_plays_of_their_hour_and_a_broken_release_errs(busy):
    usage = busy.table("api_usage")
    assert usage["id"].n_unique() == len(usage)
    assert usage.select("client", "route", "hour_at").is_duplicated().sum() == 0
    assert (usage["hour_at"].dt.epoch("ms") % HOUR_MS == 0).all()
    assert (usage["errors"] <= usage["calls"]).all()
    drifts = pl.col("hour_at").dt.date() >= DRIFT_DAY
    errs = usage.group_by(drifts.alias("drifts")).agg(
        pl.col("errors").sum() / pl.col("calls").sum()
    )
    share = dict(errs.iter_rows())
    assert share[True] > 5 * share[False] > 0
    by_hour = usage.group_by(pl.col("hour_at").dt.hour()).agg(pl.col("calls").sum())
    assert by_hour["calls"].max() > 3 * by_hour["calls"].min()


def test_everybody_is_asked_once_for_each_purpose_and_then_only_changes_are_told(busy):
    answers = busy.table("consents").sort("account_id", "purpose", "answered_at", "id")
    accounts = busy.table("listeners")["id"].n_unique()
    by_question = answers.group_by("account_id", "purpose", maintain_order=True)
    first = by_question.first()
    assert len(first) == 2 * accounts
    assert set(first["purpose"]) == {"marketing", "personalisation"}
    turns = answers.with_columns(
        before=pl.col("given").shift().over("account_id", "purpose")
    ).filter(pl.col("before").is_not_null())
    assert (turns["given"] != turns["before"]).all()
    assert len(turns) > 0


def test_they_pass_the_gate_and_land_to_the_row(busy, make_settings):
    settings = make_settings(analytics_tenants_file=PROJECT / "tenants.yaml")
    settings.secrets.mkdir(parents=True)
    (settings.secrets / "nordic_beats_ops_dsn").write_text(busy.dsn)
    end = START + timedelta(days=8)
    days = Interval.of(START, end)
    bronze.extract(settings, "nordic_beats", days, "run-1")

    report = gates.bronze(settings, "nordic_beats", days, "run-1")
    landed = land_staged(settings, "nordic_beats", days, "run-1")

    told = {
        table: (rows, resent)
        for table, rows, resent in busy.truth("counts")
        .filter(pl.col("arrived_on") < end)
        .group_by("table")
        .agg(pl.col("rows").sum(), pl.col("resent").sum())
        .iter_rows()
    }
    warned = {t.table: [w.rule for w in t.warnings] for t in report.tables}
    for table in OPERATIONS:
        rows, resent = told[table]
        assert landed.rows[table]["rows_in"] == rows > 0
        assert landed.rows[table]["landed"] == rows - resent
        assert landed.rows[table]["quarantined"] == 0
        assert warned[table] == (["keys_are_unique"] if resent else [])
        assert read.scan(settings, table, "nordic_beats").collect().height == rows - resent
    orders = read.scan(settings, "orders", "nordic_beats").collect()
    assert set(orders["status"]) >= {"paid", "shipped"}
    assert orders.filter(pl.col("status") != "paid").height == told["orders"][1]


def test_who_has_no_operational_database_has_no_shop(tmp_path):
    simulate(small(2), tmp_path / "landing", tmp_path / "truth")
    for tenant_id in ("spotify_premium", "indie_radio"):
        counts = pl.read_parquet(tmp_path / f"truth/{tenant_id}/counts.parquet")
        assert not {*counts["table"]} & {*OPERATIONS}
