"""A proposed suite is a real one: it lets clean days pass and catches damaged ones."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from typer.testing import CliRunner

from analytics import gates
from analytics.cli import app
from analytics.gates.bronze_door import lacking, owing
from analytics.gates.judge import judge
from analytics.interval import Interval
from analytics.lake import bronze, read
from analytics.lake.candidates import candidates
from analytics.settings import PROJECT, Settings
from analytics.simulate.run import simulate
from analytics.tenants import get_tenant
from tests.landing import land_staged
from tests.unit.simulate.small_worlds import START, small

SEEN = Interval.of(START, START + timedelta(days=8))
NEXT = Interval.day(SEEN.end.date())
TENANTS = ("spotify_premium", "indie_radio")
OPTIONS = ("expectations", "propose", "--tenant", "indie_radio")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Nine clean simulated days of two tenants, eight of them in silver; do not change it."""
    from analytics.settings import load_settings

    var = tmp_path_factory.mktemp("proposals") / "var"
    settings = load_settings(
        {"ANALYTICS_VAR_DIR": str(var), "ANALYTICS_TENANTS_FILE": str(PROJECT / "tenants.yaml")},
        dotenv=None,
    )
    simulate(small(9, damaged_share=0.0), settings.landing, var / "truth")
    for tenant_id in TENANTS:
        bronze.extract(settings, tenant_id, Interval(SEEN.start, NEXT.end), "run-1")
        gates.bronze(settings, tenant_id, SEEN, "run-1")
        land_staged(settings, tenant_id, SEEN, "run-1")
    return settings


@pytest.fixture
def analytics(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("ANALYTICS_VAR_DIR", str(lake.var))
    monkeypatch.setenv("ANALYTICS_TENANTS_FILE", str(lake.analytics_tenants_file))

    def call(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.output

    return call


@pytest.fixture
def written(analytics, tmp_path: Path) -> ModuleType:
    """The proposal for indie_radio, imported from the file that was written."""
    file = tmp_path / "proposed.py"
    code, said = analytics(*OPTIONS, "--write", str(file))
    assert code == 0, said
    spec = importlib.util.spec_from_file_location("proposed", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failed(
    lake: Settings, module: ModuleType, table: str, days: Interval, frame: pl.DataFrame
) -> set[str]:
    """The rules of the proposed suite that the rows break."""
    tenant = get_tenant(lake, "indie_radio")
    suite = module.suite(table, days, owing(tenant, table), lacking(tenant, table))
    results = judge(suite, frame, tenant.bad_row_budget).results
    return {r.rule for r in results if not r.passed} - {"bad_rows_within_budget"}


DAMAGE = {
    "platform_is_given": pl.lit(None, pl.String).alias("platform"),
    "platform_is_known": pl.lit("toaster").alias("platform"),
    "listened_ms_is_plausible": pl.col("listened_ms") * 1000,
    "listened_ms_within_track_ms": pl.col("listened_ms") + 2 * pl.col("track_ms"),
    "listener_id_has_its_shape": pl.lit("anonymous").alias("listener_id"),
    "started_at_arrives_in_time": pl.col("started_at") - pl.duration(days=30),
}


def test_what_was_written_judges_the_days_seen_and_the_next_and_catches_damage(
    lake, written
) -> None:
    for days in (SEEN, NEXT):
        came, _ = candidates(lake, "indie_radio", days)
        for table in written.PROPOSED:
            broken = failed(lake, written, table, days, came[table])
            assert broken <= {"keys_are_unique"}, (table, days)  # rows are sent twice

    plays = candidates(lake, "indie_radio", NEXT)[0]["plays"]
    for rule, change in DAMAGE.items():
        assert rule in failed(lake, written, "plays", NEXT, plays.with_columns(change)), rule
    half = plays.head(plays.height // 3)
    assert "enough_rows" in failed(lake, written, "plays", NEXT, half)


def test_the_listing_shows_each_change_with_what_was_observed_and_writes_nothing(
    lake, analytics, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = read.content_hash(lake)
    code, said = analytics(*OPTIONS, "--table", "plays")

    assert code == 0
    own = candidates(lake, "indie_radio", SEEN)[0]["plays"]  # the other has the same ids
    assert f"+++ plays, proposed from {own.height:,} rows of indie_radio" in said
    assert "2025-01-01 to 2025-01-09" in said
    assert "@@ tighten listened_ms_is_plausible (critical)\n-   listened_ms 0 to 21,600,000" in said
    assert "@@ tighten enough_rows (critical)\n-   rows at least 20 a day\n" in said
    assert "@@ add platform_is_known (warning)\n+   platform is one of android" in said
    assert "Observed:" in said
    assert "--- listeners" not in said
    assert list(tmp_path.iterdir()) == []
    assert read.content_hash(lake) == before


def test_what_is_written_is_in_the_projects_style(written) -> None:
    for step in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *step, "--config", str(PROJECT / "pyproject.toml")]
        done = subprocess.run([*ruff, written.__file__], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--table", "playz"), "there is no table 'playz'; there are plays, app_events"),
        (("--from", "2025-01-01"), "give both --from and --to, or neither"),
        (("--from", "2031-01-01", "--to", "2031-01-02"), "too few to tell a habit"),
        (("--tenant", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_proposed_is_said_in_one_sentence(analytics, options, message) -> None:
    code, said = analytics(*OPTIONS, *options)
    assert code == 1
    assert message in said.replace("\n", " ")
    assert "Traceback" not in said


def test_a_tenant_with_nothing_in_silver_is_told_what_to_run(analytics) -> None:
    code, said = analytics("expectations", "propose", "--tenant", "nordic_beats")
    assert code == 1
    assert "run `ingest` for it first" in said
