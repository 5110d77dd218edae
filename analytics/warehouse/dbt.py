"""Run dbt beside Airflow's models: parse for the DAG, test for the gate, docs for people."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from analytics.errors import WarehouseError
from analytics.interval import Interval
from analytics.settings import PROJECT, Settings
from analytics.warehouse.connect import dbt_environment, dbt_folders

log = logging.getLogger(__name__)
DBT_PROJECT = PROJECT / "dbt_project"


def parse(settings: Settings) -> Path:
    """The project's manifest; parsed only when a file of the project is newer than it."""
    manifest = settings.dbt_target / "manifest.json"
    newest = max(
        f.stat().st_mtime
        for pattern in ("*.yml", "models/**/*", "macros/**/*", "tests/**/*")
        for f in DBT_PROJECT.glob(pattern)
        if f.is_file()
    )
    if not manifest.exists() or manifest.stat().st_mtime < newest:
        _dbt(dbt_folders(settings), "parse")
        manifest.touch()  # dbt leaves an unchanged manifest as old as it was
    return manifest


def test(settings: Settings, interval: Interval) -> Path:
    """Run every data test; the rows that fail are stored with their tenant.

    Returns dbt's results file, whether tests failed or not. Raises
    WarehouseError when dbt itself could not run.
    """
    window = json.dumps(interval.as_extra())
    command = ("test", "--vars", window, "--exclude-resource-type", "unit_test")
    _dbt(dbt_environment(settings), *command, accept=(0, 1))
    return settings.dbt_target / "run_results.json"


def docs(settings: Settings) -> Path:
    """The docs site as one page that needs no network; returns its folder."""
    _dbt(dbt_environment(settings), "docs", "generate", "--static")
    site = settings.var / "dbt_docs"
    site.mkdir(parents=True, exist_ok=True)
    fresh = site / "index.html.fresh"
    shutil.copyfile(settings.dbt_target / "static_index.html", fresh)
    fresh.replace(site / "index.html")
    return site


def _dbt(environment: dict[str, str], *arguments: str, accept: tuple[int, ...] = (0,)) -> None:
    """One dbt command in a process of its own, its login by environment, never in the arguments."""
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments],
        env={**os.environ, **environment},
        cwd=DBT_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    log.info("dbt %s\n%s", arguments[0], done.stdout[-20_000:])
    if done.returncode not in accept:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise WarehouseError(
            f"dbt {' '.join(arguments[:2])} failed (exit {done.returncode}):\n"
            + "\n".join(lines[-25:])
        )
