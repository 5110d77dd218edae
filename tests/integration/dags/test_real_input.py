"""Two real exports through every DAG, counted a second way: plain loops over their JSON."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from analytics import warehouse
from analytics.interval import Interval
from analytics.lake import ledger, read
from analytics.sources.sniff import extent
from analytics.tenants import get_tenant
from ml.outcomes import recorded as trainings_of
from tests.integration.dags.world import conf, run_dags

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
REAL = ("dend", "user_a")
STEPS = ("ingest", "features", "transform", "score", "monitor", "train")


@pytest.fixture(scope="module")
def real_runs(real_data, stack, tmp_path_factory) -> list[dict]:
    """The six DAGs over eleven years: the interval of the data of both."""
    spans = [extent(stack, get_tenant(stack, tenant_id)) for tenant_id in REAL]
    folder = tmp_path_factory.mktemp("real")
    return run_dags(stack, folder, conf(Interval.covering(spans), *REAL), *STEPS)


@pytest.fixture(scope="module")
def exports(stack) -> Path:
    return stack.analytics_tenants_file.parent / "exports"


def lines_of_dend(exports: Path) -> list[dict]:
    return [
        json.loads(line)
        for file in (exports / "dend" / "log_data").rglob("*.json")
        for line in file.read_text().splitlines()
    ]


def rows_of_user_a(exports: Path) -> list[str]:
    """Every row of the history as text, so that equal ones are equal."""
    with zipfile.ZipFile(next((exports / "user_a").glob("*.zip"))) as archive:
        return [
            json.dumps(row, sort_keys=True)
            for name in archive.namelist()
            if name.endswith(".json")
            for row in json.loads(archive.read(name))
        ]


def test_every_dag_ends_green_on_real_exports(real_runs):
    assert [(run["step"], run["state"]) for run in real_runs] == [(s, "success") for s in STEPS]


def test_every_play_of_the_event_logs_is_landed_and_published(real_runs, stack, exports):
    lines = lines_of_dend(exports)
    played = sum(line["page"] == "NextSong" for line in lines)
    listeners = {line["userId"] for line in lines if line["page"] == "NextSong"}
    assert read.scan(stack, "plays", "dend").collect().height == played > 4000
    query = "select count(*) as plays, count(distinct listener_id) as who from serve.fct_plays"
    assert warehouse.read(stack, query, tenant_id="dend").rows() == [(played, len(listeners))]


def test_every_play_of_the_history_is_landed_and_published_once(real_runs, stack, exports):
    rows = rows_of_user_a(exports)
    heard = sum(json.loads(row)["ms_played"] for row in set(rows))
    line = ledger.read(stack, "user_a").filter(pl.col("table") == "plays").row(0, named=True)
    assert (line["rows_in"], line["landed"]) == (len(rows), len(set(rows)))
    assert line["duplicates"] == len(rows) - len(set(rows)) > 0
    query = "select count(*) as plays, sum(listened_ms)::bigint as heard from serve.fct_plays"
    assert warehouse.read(stack, query, tenant_id="user_a").rows() == [(len(set(rows)), heard)]


@pytest.mark.parametrize("tenant_id", REAL)
def test_too_little_to_learn_from_is_green_and_on_record(real_runs, stack, tenant_id):
    (outcome,) = trainings_of(stack, tenant_id)
    assert not outcome.trained
    assert outcome.outcome == f"not trained: {outcome.listeners} listeners, needs 200"
