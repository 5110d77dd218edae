"""A longer run takes no more memory: days are streamed to disk."""

from __future__ import annotations

import subprocess
import sys

from analytics.settings import PROJECT

CHILD = """
import re, resource, sys
from pathlib import Path
from analytics.simulate.config import SimulationConfig
from analytics.simulate.profiles import SAMPLE
from analytics.simulate.run import simulate
out = Path(sys.argv[1])
config = SimulationConfig(days=int(sys.argv[2]), listeners=2000, tenants=SAMPLE[1:2], drift={})
report = simulate(config, out / "landing", out / "truth")
# getrusage also counts what the parent held when it forked; the kernel's own mark does not.
status = Path("/proc/self/status")
marks = re.findall(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.exists() else []
kibibytes = int(marks[0]) if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(report.plays, kibibytes // 1024)
"""


def peak(folder, days: int) -> tuple[int, int]:
    """Plays written and the peak memory in MiB of a process that lives so many days."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(days)],
        check=True, capture_output=True, text=True, cwd=PROJECT,
    )  # fmt: skip
    plays, mebibytes = done.stdout.split()
    return int(plays), int(mebibytes)


def test_five_times_the_days_take_hardly_more_memory(tmp_path):
    few, short = peak(tmp_path / "short", 8)
    many, long = peak(tmp_path / "long", 40)
    assert many > 4 * few
    assert long < short + 120
    assert long < 700
