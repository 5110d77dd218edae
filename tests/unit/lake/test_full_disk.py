"""A disk that is full from any commit on: after room was made, a retry ends as ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.landing import DAY_ONE, run
from tests.unit.lake.test_kills import COMMITS, outcome, prepared

# Counts every commit to the lake; from the one asked for on no file may grow beyond `most` bytes.
VICTIM = """
import resource, sys
from analytics.lake import delta
from analytics.settings import load_settings
from tests.landing import DAY_ONE, run

sys.dont_write_bytecode = True
var, tenants, wanted, most = sys.argv[1:]
commits = 0

def filling(commit):
    def step(*args, **kwargs):
        global commits
        commits += 1
        if commits == int(wanted):
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), hard))
        commit(*args, **kwargs)
    return step

delta.write, delta.upsert = filling(delta.write), filling(delta.upsert)
settings = load_settings(
    {"ANALYTICS_VAR_DIR": var, "ANALYTICS_TENANTS_FILE": tenants}, dotenv=None
)
run(settings, "t1", DAY_ONE, "run-1")
"""

NOTHING, A_LITTLE = 0, 3000  # a little: some files of a commit are whole, others cut short
FEW = [(3, NOTHING), (4, A_LITTLE), (COMMITS, A_LITTLE)]
ALL = [(n, most) for n in range(1, COMMITS + 1) for most in (NOTHING, A_LITTLE)]


@pytest.mark.parametrize(
    ("wanted", "most"),
    [pytest.param(*k, marks=[] if k in FEW else [pytest.mark.long]) for k in ALL],
)
def test_a_retry_after_a_full_disk_ends_like_an_unharmed_run(
    make_settings, tmp_path_factory, wanted, most
):
    harmed = prepared(make_settings)
    tenants = harmed.analytics_tenants_file
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, str(harmed.var), str(tenants), str(wanted), str(most)],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "takes no more: File too large. Make room" in done.stderr, done.stderr
    retry = run(harmed, "t1", DAY_ONE, "run-2")

    whole = prepared(
        lambda tenants: make_settings(tenants, analytics_lake_root=tmp_path_factory.mktemp("whole"))
    )
    unharmed = run(whole, "t1", DAY_ONE, "run-1")

    assert outcome(harmed) == outcome(whole)
    assert retry.touched == unharmed.touched
    assert run(harmed, "t1", DAY_ONE, "run-3").touched is None
