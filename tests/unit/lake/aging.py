"""Make a Delta table look older: what its log says and when its files were written."""

from __future__ import annotations

import json
import os
from pathlib import Path

DAY = 86_400


def age(uri: str, days: int) -> None:
    """Shift every commit, removal and file of the table into the past."""
    log = Path(uri, "_delta_log")
    for summary in (*log.glob("*.checkpoint.parquet"), log / "_last_checkpoint"):
        summary.unlink(missing_ok=True)  # it remembers the true times
    for commit in log.glob("*.json"):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for action in actions:
            for kind, field in (("commitInfo", "timestamp"), ("remove", "deletionTimestamp")):
                if kind in action:
                    action[kind][field] -= days * DAY * 1000
        commit.write_text("".join(json.dumps(action) + "\n" for action in actions))
    for file in Path(uri).rglob("*"):
        if file.is_file():
            before = file.stat().st_mtime - days * DAY
            os.utime(file, (before, before))
