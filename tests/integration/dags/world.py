"""A small music service on the stack, what is true of it, and ways to run DAGs over it.

Only these tests may read the truth: it is moved out of the pipeline's reach
before anything runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from pydantic import SecretStr

from analytics import stack as local_stack
from analytics.interval import Interval
from analytics.settings import PROJECT, Settings
from analytics.simulate.config import SimulationConfig
from analytics.simulate.operational import dsn_of
from analytics.simulate.profiles import SAMPLE, Profile
from analytics.simulate.run import simulate
from analytics.simulate.words import DAMAGES
from analytics.stack import AirflowClient
from analytics.stack.services import NOT_INHERITED, services

START = date(2025, 1, 1)
HISTORY = Interval.of(START, date(2025, 3, 21))  # seven Mondays with a known label
DAYS = 82  # and three days more, for what comes after history
# What runs by dag.test(): each DAG, and scoring again once there is a champion.
STEPS = ("ingest", "features", "transform", "score", "monitor", "train", "score:models")
BY_HAND = ("spotify_premium", "indie_radio")
DRIVER = Path(__file__).with_name("run_dags.py")
METADATA = "airflow_by_hand"  # what dag.test() writes must not start the stack's scheduler

# Two tenants large enough to learn from, one that is not; payers leave often, for a small world.
LISTENERS = {"spotify_premium": 60, "indie_radio": 300, "nordic_beats": 300}


def day(number: int) -> Interval:
    """The n-th day after history."""
    return Interval.day(HISTORY.end.date() + timedelta(days=number))


@dataclass(frozen=True)
class World:
    """The stack's settings and the truth about what its sources hold."""

    settings: Settings
    truth: Path

    def handed_over(self, tenant_id: str, table: str, interval: Interval) -> dict[str, int]:
        """What arrived in the interval: rows, duplicates, resent, and each kind of damage."""
        counts = pl.read_parquet(self.truth / tenant_id / "counts.parquet").filter(
            pl.col("table") == table,
            pl.col("arrived_on").is_between(interval.days()[0], interval.days()[-1]),
        )
        numbers = ["rows", "late", "duplicates", "resent", *DAMAGES[1:]]
        return {name: int(counts[name].sum()) for name in numbers}

    def damaged(self, tenant_id: str, interval: Interval) -> int:
        handed_over = self.handed_over(tenant_id, "plays", interval)
        return sum(handed_over[kind] for kind in DAMAGES[1:])

    def good(self, tenant_id: str, table: str, interval: Interval) -> int:
        """Distinct sound rows that arrived in the interval."""
        of = self.handed_over(tenant_id, table, interval)
        return of["rows"] - of["duplicates"] - of["resent"] - sum(of[d] for d in DAMAGES[1:])


def simulated(settings: Settings, truth: Path) -> World:
    """The world's files and tables where its tenants' sources are; its truth elsewhere."""
    config = SimulationConfig(
        seed=7, start=START, days=DAYS, tenants=_profiles(), drift={}, damaged_share=0.003
    )
    dsns = {
        p.id: dsn_of(settings.secrets, p.dsn_secret, p.id) for p in config.tenants if p.dsn_secret
    }
    simulate(config, settings.landing, settings.var / "truth", dsns)
    (settings.var / "truth").rename(truth)
    world = World(settings, truth)
    _let_leavers_skip(world, dsns)
    return world


def _let_leavers_skip(world: World, dsns: dict[str, str]) -> None:
    """Who will leave within five weeks skips every track.

    So few listeners teach no model more than the baseline sees; this, which the
    baseline does not look at, makes the champion a certainty.
    """
    for file in (world.settings.landing / "indie_radio" / "plays").glob("*.parquet"):
        plays = pl.read_parquet(file)
        played_on = pl.from_epoch("played_at", time_unit="ms").dt.date()
        left = _leavers(world, "indie_radio")
        joined = plays.with_columns(played_on.alias("on")).join(
            left, left_on="member_no", right_on="listener_id"
        )
        leaving = joined.filter(_within_five_weeks(pl.col("on")))["spin_no"].unique()
        skips = pl.col("spin_no").is_in(leaving.implode())
        plays.with_columns(pl.col("skipped") | skips).write_parquet(file)
    with psycopg.connect(dsns["nordic_beats"]) as database:
        database.execute("create temporary table leavers (listener_id bigint, left_on date)")
        with database.cursor() as cursor:
            rows = _leavers(world, "nordic_beats").rows()
            cursor.executemany("insert into leavers values (%s, %s)", rows)
        database.execute(
            "update app.plays set skipped = true from leavers where account_id = listener_id "
            "and left_on - started_at::date between 0 and 35"
        )


def _leavers(world: World, tenant_id: str) -> pl.DataFrame:
    left = pl.read_parquet(world.truth / tenant_id / "churn.parquet")
    return left.select(pl.col("listener_id").cast(pl.Int64), "left_on")


def _within_five_weeks(day: pl.Expr) -> pl.Expr:
    return (pl.col("left_on") - day).dt.total_days().is_between(0, 35)


def _profiles() -> tuple[Profile, ...]:
    return tuple(
        profile.model_copy(
            update={
                "listeners": LISTENERS[profile.id], "paid_share": 0.85, "churn": 0.004,
                "tracks": 400,
            }
        )
        for profile in SAMPLE
    )  # fmt: skip


def conf(interval: Interval, *tenants: str) -> dict[str, Any]:
    """A filled trigger form."""
    first, last = interval.start.date(), interval.end.date()
    return {"tenants": list(tenants), "from": first.isoformat(), "to": last.isoformat()}


def run_dags(settings: Settings, folder: Path, form: dict[str, Any], *names: str) -> list[dict]:
    """The DAGs by `dag.test()`, with the environment that the stack gives its Airflow.

    Airflow's own tables are in a database beside: the stack's scheduler would
    take up the runs of its own.
    """
    server = local_stack.postgres_of(settings)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        known = admin.execute("select 1 from pg_database where datname = %s", [METADATA])
        if not known.fetchone():
            create = "create database {} owner airflow"
            admin.execute(sql.SQL(create).format(sql.Identifier(METADATA)))
    programs = services(settings, local_stack.endpoints(settings))
    given = next(program.environment for program in programs if program.name == "scheduler")
    environment = {**_inherited(), **given, "AIRFLOW_HOME": str(folder / "airflow")}
    for name in ("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC"):
        key = f"AIRFLOW__DATABASE__{name}"
        environment[key] = environment[key].removesuffix("/airflow") + f"/{METADATA}"
    return _drive(environment, folder, form, names)


def run_dags_apart(
    settings: Settings, folder: Path, form: dict[str, Any], *names: str
) -> list[dict]:
    """The DAGs by `dag.test()` without a stack: of Airflow no more than a file of its own."""
    given = {
        name.upper(): str(value.get_secret_value() if isinstance(value, SecretStr) else value)
        for name in settings.model_fields_set
        if (value := getattr(settings, name)) is not None
    }
    airflow = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    return _drive({**_inherited(), **given, **airflow}, folder, form, names)


def _inherited() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}


def _drive(
    environment: dict[str, str], folder: Path, form: dict[str, Any], names: tuple[str, ...]
) -> list[dict]:
    """What came of each DAG; everything the tasks logged is in `output.log` of the folder."""
    result = folder / "runs.json"
    result.unlink(missing_ok=True)
    with (folder / "output.log").open("w") as output:
        done = subprocess.run(
            [sys.executable, DRIVER, json.dumps(form), result, *names],
            env=environment, cwd=PROJECT, stdout=output, stderr=output,
        )  # fmt: skip
    assert done.returncode == 0, (folder / "output.log").read_text()[-12000:]
    return json.loads(result.read_text())


@contextmanager
def paused(airflow: AirflowClient, dag_id: str) -> Iterator[None]:
    """For a while nothing is handed on: what is asked for here is `ingest` alone."""
    airflow.request("PATCH", f"/dags/{dag_id}", json={"is_paused": True})
    try:
        yield
    finally:
        airflow.unpause(dag_id)
