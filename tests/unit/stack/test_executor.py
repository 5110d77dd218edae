"""The stack's executor: libraries loaded before the first fork, late ends passed over."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState

from analytics.stack.executor import IMPORTS, StackExecutor, import_all

# Two tenants' tasks of one run differ by their index alone.
KEYS = [TaskInstanceKey("transform", "dbt.plays", "run", 1, index) for index in (0, 1)]


class WithoutWorkers(StackExecutor):
    imports = ()


@pytest.fixture
def executor():
    executor = WithoutWorkers(parallelism=1)
    executor.parallelism = 0  # no worker is made: what is sent stays unread
    executor.start()
    yield executor
    executor.end()


def send(executor, key):
    workload = SimpleNamespace(key=key)
    executor.queued_tasks[key] = workload
    executor._process_workloads([workload])


def said(executor, key, state):
    executor.result_queue.put((key, state, None))
    executor.sync()
    return executor.get_event_buffer()


def test_the_end_of_a_task_is_told(executor):
    send(executor, KEYS[0])
    assert said(executor, KEYS[0], TaskInstanceState.RUNNING) == {KEYS[0]: ("running", None)}
    assert said(executor, KEYS[0], TaskInstanceState.SUCCESS) == {KEYS[0]: ("success", None)}


@pytest.mark.parametrize("state", [TaskInstanceState.SUCCESS, TaskInstanceState.FAILED])
def test_the_end_of_what_was_sent_again_since_is_passed_over(executor, state):
    for _ in range(2):  # deferred, and resumed before the scheduler heard of it
        send(executor, KEYS[0])
    send(executor, KEYS[1])
    assert said(executor, KEYS[0], state) == {}
    assert said(executor, KEYS[1], state) == {KEYS[1]: (state, None)}  # another tenant's
    assert said(executor, KEYS[0], state) == {KEYS[0]: (state, None)}


def test_an_end_of_something_unknown_is_told(executor):
    """As after a restart of the scheduler, whose executor has sent nothing yet."""
    assert said(executor, KEYS[0], TaskInstanceState.FAILED) == {KEYS[0]: ("failed", None)}


def test_a_library_that_is_not_there_is_named_and_the_others_are_imported(caplog):
    import_all(["no_such_library", "analytics.interval"])
    assert "no_such_library cannot be imported" in caplog.text


COMPUTE_IN_A_FORK = """
import os, signal, sys
from analytics.stack.executor import IMPORTS, import_all
import_all(IMPORTS)
missing = [name for name in IMPORTS if name not in sys.modules]
assert not missing, missing
child = os.fork()
if not child:
    signal.alarm(60)
    import polars, torch, xgboost, numpy
    frame = polars.LazyFrame({"tenant_id": ["a", "b"] * 50_000, "n": range(100_000)})
    assert frame.group_by("tenant_id").agg(polars.col("n").sum()).collect().height == 2
    assert torch.ones(300, 300).mm(torch.ones(300, 300)).sum() == 300 ** 3
    xgboost.train({}, xgboost.DMatrix(numpy.ones((50, 2)), label=numpy.ones(50)), 2)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_all_libraries_can_be_used_in_a_fork_of_their_importer():
    assert len(set(IMPORTS)) == len(IMPORTS)
    done = subprocess.run(
        [sys.executable, "-c", COMPUTE_IN_A_FORK], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
