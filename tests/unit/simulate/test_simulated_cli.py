from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from polars.exceptions import ComputeError
from typer.testing import CliRunner

from analytics.errors import AnalyticsError, SettingsError, StackError
from analytics.simulate.cli import app

SMALL = ["--days", "2", "--listeners", "60", "--without", "nordic_beats"]


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_it_writes_files_and_closes_with_a_table(tmp_path):
    result = run(*SMALL, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "indie_radio" in result.output
    assert (tmp_path / "landing/indie_radio/plays/2025-01-02.parquet").exists()
    assert (tmp_path / "truth/indie_radio/counts.parquet").exists()


def test_until_counts_the_last_day_in(tmp_path):
    run(*SMALL, "--until", "2025-01-03", "--out", str(tmp_path))
    assert len(list((tmp_path / "landing/indie_radio/plays").iterdir())) == 3


def test_help_shows_examples():
    assert "analytics simulate --until" in run("--help").output


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--tenants", "nobody"], AnalyticsError, "no tenant 'nobody'"),
        (["--start", "yesterday"], AnalyticsError, "'yesterday' is not a day"),
        (["--drift", "indie_radio:soon"], AnalyticsError, "'soon' is not a day"),
        (["--drift", "nobody:2025-01-01"], AnalyticsError, "write TENANT:DATE"),
        (["--late", "2"], SettingsError, "late_share"),
        (["--until", "2024-12-01"], SettingsError, "days"),
        (["--scale", "inf"], SettingsError, "scale: Input should be a finite number"),
        (["--scale", "nan"], SettingsError, "scale: Input should be a finite number"),
        (["--scale", "1e308", "--listeners", "50000"], SettingsError, "scale"),
        (["--scale", "100000"], SettingsError, "choose a smaller scale or fewer listeners"),
        (["--listeners", "9" * 400], SettingsError, "listeners"),
        (["--start", "9999-12-31", "--days", "2"], SettingsError, "start"),
        (["--start", "2099-12-31", "--days", "2"], SettingsError, "2 days from 2099-12-31 reach"),
        (["--start", "0001-01-01"], SettingsError, "start"),
        (["--until", "9999-12-31"], SettingsError, "days"),
    ],
)
def test_bad_options_are_refused_by_name(tmp_path, arguments, error, says):
    result = run(*arguments, "--without", "nordic_beats", "--out", str(tmp_path))
    assert isinstance(result.exception, error)
    assert says in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["a_file", "a_file/below", "/proc/nowhere"])
def test_a_place_that_cannot_hold_files_is_named(tmp_path, out):
    (tmp_path / "a_file").touch()
    result = run(*SMALL, "--out", str(tmp_path / out))
    assert isinstance(result.exception, AnalyticsError)
    assert f"--out {tmp_path / out}: " in str(result.exception)
    assert "give another folder" in str(result.exception)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def fill(*_: object, **__: object) -> None:
        raise ComputeError("parquet: No space left on device (os error 28)")

    monkeypatch.setattr("analytics.simulate.cli.run_simulation", fill)
    result = run(*SMALL, "--out", str(tmp_path))
    assert isinstance(result.exception, AnalyticsError)
    assert f"the disk of {tmp_path / 'landing'} is full" in str(result.exception)


def test_an_operational_database_that_is_not_up_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ANALYTICS_VAR_DIR", str(tmp_path))
    result = run("--tenants", "nordic_beats", "--out", str(tmp_path))
    assert isinstance(result.exception, StackError)
    assert "analytics up" in str(result.exception)
    assert "--without nordic_beats" in str(result.exception)


def test_ctrl_c_ends_every_process_and_says_what_stays(tmp_path):
    """As in a terminal: the signal reaches the command and all its processes."""
    command = [
        sys.executable, "-c", "from analytics.cli import app; app()", "simulate",
        "--days", "400", "--without", "nordic_beats", "--out", str(tmp_path),
    ]  # fmt: skip
    with subprocess.Popen(
        command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        plays = tmp_path / "landing" / "indie_radio" / "plays"
        deadline = time.monotonic() + 60
        while not any(plays.glob("2*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    left = [p for p in psutil.process_iter() if _in_session(p.pid, running.pid)]
    assert psutil.wait_procs(left, timeout=10)[1] == []
    assert 0 < len(list(plays.iterdir())) < 400


def _in_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session
    except ProcessLookupError:
        return False
