"""A lake that may not be written says so, and goes on where it was once it may be."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.landing import DAY_ONE, run
from tests.unit.lake.test_kills import outcome, prepared

VICTIM = """
import sys
from analytics.settings import load_settings
from tests.landing import DAY_ONE, run

sys.dont_write_bytecode = True
var, tenants = sys.argv[1:]
settings = load_settings(
    {"ANALYTICS_VAR_DIR": var, "ANALYTICS_TENANTS_FILE": tenants}, dotenv=None
)
run(settings, "t1", DAY_ONE, "run-1")
"""
DROP_FROM_BOUND, OVERRIDES = 24, (1, 2)  # prctl; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def minds_modes() -> None:
    """Root, too, may from the next exec on only do what the modes of files allow."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in OVERRIDES:
            libc.prctl(DROP_FROM_BOUND, capability, 0, 0, 0)


@contextmanager
def shut(folder: Path) -> Iterator[None]:
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o755)


@pytest.mark.parametrize("part", ["bronze", "staged", "silver", "ledger"])
def test_a_folder_that_cannot_be_written_is_named_and_the_retry_ends_like_an_unharmed_run(
    make_settings, tmp_path_factory, part
):
    harmed = prepared(make_settings)
    with shut(Path(harmed.lake_root, part)):
        done = subprocess.run(
            [sys.executable, "-c", VICTIM, str(harmed.var), str(harmed.analytics_tenants_file)],
            capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
            preexec_fn=minds_modes,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert f"/{part}" in said, said
    assert "cannot be written: Permission denied" in said, said
    retry = run(harmed, "t1", DAY_ONE, "run-2")

    whole = prepared(
        lambda tenants: make_settings(tenants, analytics_lake_root=tmp_path_factory.mktemp("whole"))
    )
    unharmed = run(whole, "t1", DAY_ONE, "run-1")
    assert outcome(harmed) == outcome(whole)
    assert retry.touched == unharmed.touched
