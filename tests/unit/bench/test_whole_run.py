"""What a whole run claims: memory that was really there, and a change that is named."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.memory import Memory
from bench.whole_run import _figures

HOLDS_100_MIB = "held = bytearray(b'x') * (100 << 20); print('ready', flush=True); input()"
OUTCOME = {"tenant_id": "t1", "plays_in": 2_500_000, "quarantined": 12, "drift": "no"}
BEFORE = {"lake": {("silver/plays", "t1"): "a", ("silver/plays", "t2"): "b"}, "warehouse": {}}


def by_id(after, rows=(OUTCOME,)):
    return {f.id: f for f in _figures(800.4, 9.5, 300.0, BEFORE, after, list(rows))}


def test_the_peak_holds_what_a_task_beside_the_stack_took(settings):
    command = [sys.executable, "-c", HOLDS_100_MIB]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as task,
        Memory(settings) as memory,
    ):
        assert task.stdin is not None
        assert task.stdout is not None
        task.stdout.readline()
        memory.beside.add(task.pid)
        so_far = memory.samples
        while memory.samples < so_far + 2:
            time.sleep(0.05)
        task.stdin.close()
    assert 0.09 < memory.peak_gib < 0.5


def test_equal_hashes_are_said_to_be_unchanged():
    same = by_id(BEFORE)["run_unchanged"]
    assert (same.value, same.met, same.how) == (
        "yes", True, "2 content hashes of lake and warehouse compared",
    )  # fmt: skip


def test_a_table_that_changed_vanished_or_appeared_is_named():
    lake = {("silver/plays", "t1"): "a", ("silver/plays", "t2"): "c", ("gold", "t1"): "d"}
    changed = by_id({"lake": lake, "warehouse": {("marts.x", "t1"): "e"}})["run_unchanged"]
    assert changed.met is False
    assert changed.value == (
        "no: lake gold of t1, lake silver/plays of t2, warehouse marts.x of t1"
    )


def test_aims_are_judged_by_what_was_measured():
    figures = by_id(BEFORE)
    assert (figures["run_first"].value, figures["run_first"].met) == (800, True)
    assert (figures["run_second"].value, figures["run_second"].met) == (300, False)
    assert figures["run_memory"].met
    assert figures["run_plays"].met


def test_drift_on_any_but_the_one_tenant_misses_the_aim():
    indie = {**OUTCOME, "tenant_id": "indie_radio", "drift": "yes, 2025-08-30"}
    assert by_id(BEFORE, [OUTCOME, indie])["run_drift"].met
    assert not by_id(BEFORE, [{**OUTCOME, "drift": "yes, 2025-08-30"}, indie])["run_drift"].met
    assert by_id(BEFORE)["run_drift"].value == "none"
