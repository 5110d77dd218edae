"""A process killed between any two steps, then run again, ends where an unharmed one ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.lake import ledger, quarantine, read, snapshots
from tests.landing import DAY_ONE, a_line, a_tenant, drop, run

# Counts every commit to the lake and kills the process before or after the one asked for.
VICTIM = """
import os, signal, sys
from pathlib import Path
from analytics.lake import delta
from analytics.settings import load_settings
from tests.landing import DAY_ONE, run

var, tenants, wanted, moment = sys.argv[1:]
commits = 0

def deadly(commit):
    def step(*args, **kwargs):
        global commits
        commits += 1
        if commits == int(wanted) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(*args, **kwargs)
        if commits == int(wanted) and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
    return step

delta.write, delta.upsert = deadly(delta.write), deadly(delta.upsert)
settings = load_settings(
    {"ANALYTICS_VAR_DIR": var, "ANALYTICS_TENANTS_FILE": tenants}, dotenv=None
)
run(settings, "t1", DAY_ONE, "run-1")
print(commits)
"""


def prepared(make_settings):
    """Day two is in already, so day one brings rejects, new rows, corrections and states."""
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    registration = a_line(page="Submit Registration", itemInSession=9)
    drop(settings, "t1", "2025-01-05", a_line(listenedMs=1), registration)
    run(settings, "t1", type(DAY_ONE).of("2025-01-05", "2025-01-06"), "run-0")
    drop(
        settings, "t1", "2025-01-06",
        a_line(), a_line(), a_line(itemInSession=1), a_line(page="Home", itemInSession=2),
        a_line(userId="2", country="SE"), a_line(ts="never"), '{"cut": ',
    )  # fmt: skip
    return settings


def outcome(settings) -> tuple:
    lines = ledger.read(settings).drop("ingest_run").rows()
    return read.content_hash(settings), lines, quarantine.scan(settings).collect().height


def killed(settings, wanted: int, moment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            sys.executable, "-c", VICTIM, str(settings.var),
            str(settings.analytics_tenants_file), str(wanted), moment,
        ],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip


COMMITS = 8  # rejects, quarantine, bronze, plays, app_events, listeners, ledger, snapshots
FEW = [(3, "before"), (3, "after"), (4, "after")]
ALL = [(n, moment) for n in range(1, COMMITS + 1) for moment in ("before", "after")]


@pytest.mark.parametrize(
    ("wanted", "moment"),
    [pytest.param(*k, marks=[] if k in FEW else [pytest.mark.long]) for k in ALL],
)
def test_a_retry_after_a_kill_ends_like_an_unharmed_run(
    make_settings, tmp_path_factory, wanted, moment
):
    harmed = prepared(make_settings)
    death = killed(harmed, wanted, moment)
    assert death.returncode == -signal.SIGKILL, death.stdout + death.stderr
    retry = run(harmed, "t1", DAY_ONE, "run-2")  # even under another run's name

    whole = prepared(
        lambda tenants: make_settings(tenants, analytics_lake_root=tmp_path_factory.mktemp("whole"))
    )
    unharmed = run(whole, "t1", DAY_ONE, "run-1")

    assert outcome(harmed) == outcome(whole)
    announced = wanted == COMMITS and moment == "after"  # bound, so closed, before the death
    assert retry.touched == (None if announced else unharmed.touched)
    assert run(harmed, "t1", DAY_ONE, "run-3").touched is None
    bound = snapshots.snapshots(harmed, "t1")
    assert {s.run_id for s in bound[1:]} == set(ledger.read(harmed, "t1")["ingest_run"]) - {"run-0"}
