"""`analytics run` twice in a fresh place: time, memory, and what came of each tenant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from analytics import stack, warehouse
from analytics.job.outcome import outcomes
from analytics.lake.content import content_hash
from analytics.settings import PROJECT, Settings, load_settings
from analytics.stack.lifecycle import postgres_of
from bench.figure import Figure
from bench.memory import Memory

FIRST, SECOND, MEMORY, SET_UP = 15 * 60, 4 * 60, 10, 5 * 60  # seconds, seconds, GiB, seconds
PLAYS = 2_000_000
ORACLE = (0.75, 0.90)
Say = Callable[[str], None]


def measure(say: Say) -> list[Figure]:
    """Run the chain from nothing, then again with nothing new; the stack is down afterwards."""
    settings = load_settings(
        {**os.environ, "ANALYTICS_VAR_DIR": str(PROJECT / "var" / "claims")}, dotenv=None
    )
    _forget(settings)
    try:
        with Memory(settings) as memory:
            say("the first run, from nothing")
            first = _run(settings, memory)
            peak = memory.peak_gib
        say("hashing what it left")
        before = _hashes(settings)
        rows = outcomes(settings)
        with Memory(settings) as memory:
            say("the second run, with nothing new")
            second = _run(settings, memory)
        after = _hashes(settings)
        tenants = [_tenant(settings, row) for row in rows]
    finally:
        say("stopping the stack")
        stack.down(settings)
    return [*_figures(first, peak, second, before, after, rows), *tenants]


def _forget(settings: Settings) -> None:
    """Delete what an earlier measurement left, its PostgreSQL's data wherever that lies."""
    if settings.var.exists():
        stack.down(settings)
        if (settings.var / "postgres.home").exists():
            shutil.rmtree(postgres_of(settings).home(), ignore_errors=True)
        shutil.rmtree(settings.var)


def set_up(say: Say) -> list[Figure]:
    """`make setup` in a clean copy of the last commit, with a cache that is empty."""
    with tempfile.TemporaryDirectory(prefix="analytics-setup-") as folder:
        copy, cache = Path(folder) / "checkout", Path(folder) / "cache"
        copy.mkdir()
        archive = subprocess.run(
            ["git", "-C", PROJECT, "archive", "HEAD"], check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", copy], input=archive.stdout, check=True)
        say("setting up from nothing")
        started = time.perf_counter()
        environment = {
            **os.environ, "UV_CACHE_DIR": str(cache), "PIP_CACHE_DIR": str(cache / "pip"),
        }  # fmt: skip
        subprocess.run(["make", "-C", copy, "setup"], check=True, env=environment)
        seconds = time.perf_counter() - started
    return [
        Figure(
            "set_up", "set-up from nothing", round(seconds), "s",
            "`make setup` in a clean checkout, caches empty, over this machine's connection",
            aim=f"≤ {SET_UP} s", met=seconds <= SET_UP,
        )
    ]  # fmt: skip


def _run(settings: Settings, memory: Memory) -> float:
    """Wall seconds of one `analytics run`; its last words when it fails."""
    environment = {**os.environ, "ANALYTICS_VAR_DIR": str(settings.var)}
    log = settings.var.with_name("claims.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("analytics"), "run"],
            env=environment, cwd=PROJECT, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        memory.beside.add(process.pid)
        code = process.wait()
    memory.beside.clear()
    if code:
        raise RuntimeError(f"analytics run ended with {code}; see {log}")
    return time.perf_counter() - started


def _hashes(settings: Settings) -> dict[str, dict[tuple[str, str], str]]:
    return {"lake": content_hash(settings), "warehouse": warehouse.content_hash(settings)}


def _figures(
    first: float, peak: float, second: float, before: dict, after: dict, rows: list[dict[str, Any]]
) -> list[Figure]:
    plays = sum(row["plays_in"] for row in rows)
    changed = sorted(
        f"{place} {name} of {tenant}"
        for place in before
        for name, tenant in before[place].keys() | after[place].keys()
        if before[place].get((name, tenant)) != after[place].get((name, tenant))
    )
    count = sum(len(found) for found in before.values())
    drifted = [row["tenant_id"] for row in rows if row["drift"] != "no"]
    return [
        Figure("run_first", "whole run, from nothing", round(first), "s",
               "`analytics run` in an empty place: stack, simulation, three chains of DAG runs",
               aim=f"≤ {FIRST} s", met=first <= FIRST),
        Figure("run_second", "whole run again, nothing new", round(second), "s",
               "the same command once more", aim=f"≤ {SECOND} s", met=second <= SECOND),
        Figure("run_memory", "memory at its peak", peak, "GiB",
               "sum over the stack, its tasks and the command, sampled every 2 s, shared pages "
               "counted once", aim=f"≤ {MEMORY} GiB", met=peak <= MEMORY),
        Figure("run_plays", "plays that came in", plays, "plays",
               f"{len(rows)} tenants, by the ledger", aim="≥ 2 M plays", met=plays >= PLAYS),
        Figure("run_quarantined", "rows set aside", sum(r["quarantined"] for r in rows), "rows",
               "all tables; the simulator damages some on purpose"),
        Figure("run_unchanged", "second run left every table as it was",
               "yes" if not changed else f"no: {', '.join(changed[:5])}", "",
               f"{count} content hashes of lake and warehouse compared", aim="yes",
               met=not changed),
        Figure("run_drift", "drift found", ", ".join(drifted) or "none", "",
               "one tenant drifts on the last simulated day", aim="indie_radio alone",
               met=drifted == ["indie_radio"]),
    ]  # fmt: skip


def _tenant(settings: Settings, row: dict[str, Any]) -> Figure:
    """The champion's forward-holdout AUC beside its baseline's and the oracle's."""
    from ml.outcomes import recorded

    tenant = row["tenant_id"]
    oracle = float(
        pl.read_parquet(settings.var / "truth" / tenant / "oracle.parquet")["auc"].item()
    )
    named, label = f"auc_{tenant}", f"churn AUC, {tenant}"
    judge = f"the simulator's oracle reaches {oracle:.3f}"
    won = [outcome for outcome in recorded(settings, tenant) if outcome.promoted]
    if not won or won[-1].metric is None:
        return Figure(named, label, row["metric"], "", f"no champion; {judge}", aim="a champion",
                      met=False)  # fmt: skip
    metric, baseline = won[-1].metric, won[-1].baseline or 0.5
    lead = (metric - 0.5) / (oracle - 0.5)
    return Figure(
        named, label, round(metric, 3), "",
        f"forward holdout; baseline {baseline:.3f}; {judge}, so {lead:.0%} of its lead over chance",
        aim="above the baseline", met=metric > baseline,
    )  # fmt: skip
