"""`analytics lake snapshots | as-of | diff | restore | maintain`, as typed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from analytics.cli import app
from analytics.lake import asof, paths
from tests.builders import NOON, a_play
from tests.landing import DAY_ONE, DAY_TWO
from tests.unit.lake.test_snapshots import land, of_run, stored


@pytest.fixture
def two_runs(settings):
    """Run one lands two plays of each tenant, run two corrects one and adds one."""
    for tenant_id in ("t1", "t2"):
        rows = [a_play(tenant_id), a_play(tenant_id, play_id="p2")]
        land(settings, DAY_ONE, "run-1", *rows, tenant_id=tenant_id)
    for tenant_id in ("t1", "t2"):
        rows = [
            a_play(tenant_id, listened_ms=5),
            a_play(tenant_id, play_id="p3", started_at=NOON + timedelta(days=1)),
        ]
        land(settings, DAY_TWO, "run-2", *rows, tenant_id=tenant_id)
    return settings


@pytest.fixture
def analytics(settings):
    """Run a command, with what is typed at its prompt; gives exit code and output."""
    environment = {
        "ANALYTICS_VAR_DIR": str(settings.var),
        "ANALYTICS_TENANTS_FILE": str(settings.analytics_tenants_file),
        "COLUMNS": "200",
    }

    def call(*arguments: str, typed: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(app, ["lake", *arguments], env=environment, input=typed)
        assert "Traceback" not in done.output
        return done.exit_code, done.output

    return call


def test_snapshots_lists_each_tenants_runs_and_whether_they_can_be_read(two_runs, analytics):
    code, printed = analytics("snapshots")
    assert code == 0
    lines = [line.split() for line in printed.splitlines()[1:]]
    assert [(line[0], line[2], line[-1]) for line in lines] == [
        ("t1", "run-1", "yes"), ("t1", "run-2", "yes"),
        ("t2", "run-1", "yes"), ("t2", "run-2", "yes"),
    ]  # fmt: skip
    told = json.loads(analytics("snapshots", "--tenant", "t2", "--last", "1", "--json")[1])
    assert [(s["tenant"], s["run"], s["versions"]["silver/plays"], s["gone"]) for s in told] == [
        ("t2", "run-2", 3, [])
    ]
    for file in Path(paths.table(two_runs, "silver", "plays"), "tenant_id=t1").glob("*"):
        file.unlink()
    assert "gone: silver/plays" in analytics("snapshots", "--tenant", "t1")[1]
    assert "gone" not in analytics("snapshots", "--tenant", "t2")[1]


def test_as_of_prints_rows_and_writes_them_just_as_they_were(two_runs, analytics, tmp_path):
    first = of_run(two_runs, "run-1")
    code, printed = analytics("as-of", first.snapshot_id[:6], "plays", "--limit", "1")
    assert code == 0
    assert "the first 1 of 2 rows; --out writes all" in printed
    for name, read in (("x.parquet", pl.read_parquet), ("x.csv", pl.read_csv)):
        out = tmp_path / name
        assert analytics("as-of", first.snapshot_id, "silver/plays", "--out", str(out))[0] == 0
        assert read(out)["listened_ms"].to_list() == [180_000] * 2
    was = asof.rows(two_runs, first, "silver/plays").collect()
    assert_frame_equal(pl.read_parquet(tmp_path / "x.parquet"), was)
    assert list(tmp_path.glob("*.partial")) == []


def test_diff_counts_by_tenant_and_table_and_shows_examples(two_runs, analytics):
    printed = analytics("diff", "run-1", "run-2", "--tenant", "t1")[1]
    assert "t1" in printed
    assert "t2" not in printed
    assert "+ t1 silver/plays p3" in printed
    assert "~ t1 silver/plays p1: _arrived_on 2025-01-06 → 2025-01-07, listened_ms 180000 → 5" in (
        printed
    )
    told = json.loads(analytics("diff", "run-1", "run-2", "plays", "--json")[1])
    assert [(d["tenant"], d["added"], d["removed"], d["changed"]) for d in told] == [
        ("t1", 1, 0, 1),
        ("t2", 1, 0, 1),
    ]
    assert told[0]["examples"]["now"][0]["listened_ms"] == 5
    assert analytics("diff", "run-2", "run-2")[1] == "no row differs\n"


def test_restore_shows_what_will_change_and_asks(two_runs, analytics):
    before = {t: stored(two_runs, t) for t in ("t1", "t2")}
    code, printed = analytics("restore", "run-1", "--tenant", "t1", typed="n\n")
    assert (code, "Turn these rows back?" in printed) == (1, True)
    assert_frame_equal(stored(two_runs, "t1"), before["t1"])

    code, printed = analytics("restore", "run-1", "--tenant", "t1", typed="y\n")
    assert code == 0
    assert "trigger `features` for t1 from 2025-01-06 to 2025-01-08" in printed
    assert stored(two_runs, "t1")["listened_ms"].to_list() == [180_000] * 2
    assert_frame_equal(stored(two_runs, "t2"), before["t2"])
    assert "restore of" in analytics("snapshots", "--tenant", "t1")[1]
    code, printed = analytics("restore", "run-1", "--tenant", "t1")
    assert (code, "stands as in snapshot" in printed, "?" in printed) == (0, True, False)


def test_restore_of_a_run_turns_each_of_its_tenants_back(two_runs, analytics):
    assert analytics("restore", "run-1", "--table", "plays", "--yes")[0] == 0
    for tenant_id in ("t1", "t2"):
        assert stored(two_runs, tenant_id)["listened_ms"].to_list() == [180_000] * 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["as-of", "run-9", "plays"], "no snapshot 'run-9'; closest: run-"),
        (["as-of", "run-1", "play", "--tenant", "t1"], "did you mean plays"),
        (["as-of", "run-1", "plays", "--out", "x.xlsx"], "must end in .parquet or .csv"),
        (["as-of", "run-1", "plays", "--tenant", "nobody"], "no tenant 'nobody' in"),
        (["restore", "run-1", "--table", "ledger", "-y"], "bronze, quarantine and ledger say"),
        (["snapshots", "--tenant", "nobody"], "no tenant 'nobody' in"),
        (["maintain", "--keep-days", "3"], "greater than or equal to 7"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "says",
)
def test_what_cannot_be_done_is_said_in_a_line(two_runs, analytics, arguments, says):
    code, printed = analytics(*arguments)
    assert code in (1, 2)
    assert says in printed


def test_snapshots_of_two_tenants_are_not_compared(two_runs, analytics):
    ids = [of_run(two_runs, "run-1", t).snapshot_id for t in ("t1", "t2")]
    code, printed = analytics("diff", *ids)
    assert (code, "compare snapshots of one tenant" in printed) == (1, True)


@pytest.mark.parametrize("command", ["snapshots", "as-of x plays", "restore x", "maintain"])
def test_a_lake_that_is_not_there_is_said_to_be_so(analytics, command):
    code, printed = analytics(*command.split())
    assert code == 1
    assert "holds no table yet" in printed or "there is no snapshot yet" in printed


def test_maintain_tells_what_it_did_and_a_dry_run_what_it_would(two_runs, analytics):
    promised = analytics("maintain", "--dry-run")[1]
    assert "would sweep 0 staged files" in promised
    done = analytics("maintain")[1]
    assert "swept 0 staged files" in done
    assert of_ledger(promised)[:2] == of_ledger(done)[:2] == ["4", "2"]
    assert of_ledger(analytics("maintain")[1])[:2] == ["2", "2"]


def of_ledger(printed: str) -> list[str]:
    """The figures on the line of the ledger."""
    (line,) = (words for x in printed.splitlines() if (words := x.split())[:1] == ["ledger"])
    return line[1:]


@pytest.mark.parametrize("command", ["snapshots", "as-of", "diff", "restore", "maintain"])
def test_help_teaches_by_an_example(analytics, command):
    code, printed = analytics(command, "--help")
    assert code == 0
    assert f"analytics lake {command}" in printed
