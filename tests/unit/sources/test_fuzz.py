"""A coverage-guided fuzzer on each reader: a sample of its runs here, many in `make test-long`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fresh import fresh
from tests.unit.sources.samples import formats_of_files

pytest.importorskip("atheris", reason="Atheris has wheels for Linux on x86-64 alone")

PROJECT = Path(__file__).parents[3]
FEW, MANY = 15, 20_000


def fuzz(format_: str, *options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        fresh(sys.executable, "-m", "tests.unit.sources.fuzz", format_, "-seed=1", *options),
        cwd=PROJECT, env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("format_", sorted(formats_of_files()))
@pytest.mark.parametrize(
    "runs", [FEW, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_the_fuzzer_finds_nothing(format_, runs, tmp_path):
    done = fuzz(format_, f"-runs={runs}", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {runs} runs" in done.stderr


def test_what_the_fuzzer_finds_is_red(tmp_path):
    done = fuzz("eventsim", "-runs=2000", "-rss_limit_mb=10", folder=tmp_path)
    assert done.returncode != 0
    assert "out-of-memory" in done.stderr
