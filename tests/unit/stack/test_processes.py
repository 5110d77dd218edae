import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from analytics.stack import processes
from analytics.stack.processes import MARK
from analytics.stack.services import run_folder, settings_environment

SLEEP = "import time; print('up', flush=True); time.sleep(300)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


def start(code=SLEEP, **options):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **options)
    assert process.stdout
    process.stdout.readline()
    return process


def pids(settings):
    return {p.pid for p in processes.ours(settings)}


def a_run_folder(settings):
    folder = run_folder(settings, "scheduler")
    folder.mkdir(parents=True)
    return folder


def test_a_process_is_known_by_its_folder_even_when_its_environment_is_gone(settings):
    process = start(cwd=a_run_folder(settings), env={})
    try:
        assert pids(settings) == {process.pid}
    finally:
        process.kill()


def test_a_process_that_changed_folder_is_known_by_its_mark(settings, tmp_path):
    process = start(cwd=tmp_path, env={MARK: str(settings.var.resolve())})
    try:
        assert pids(settings) == {process.pid}
    finally:
        process.kill()


def test_an_orphan_whose_parent_was_killed_is_still_found_and_ended(settings):
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {DEAF!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(300)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=a_run_folder(settings), stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout
    orphan = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert pids(settings) == {orphan}
    processes.end(processes.ours(settings), grace=1)  # it does not hear SIGTERM
    assert pids(settings) == set()


def test_another_stacks_processes_are_left_alone(make_settings, settings):
    other = settings.var.parent / "elsewhere"
    folder = other / "stack" / "run" / "scheduler"
    folder.mkdir(parents=True)
    process = start(cwd=folder, env={MARK: str(other)})
    try:
        assert pids(settings) == set()
    finally:
        process.kill()


def test_whoever_asks_is_never_among_them(settings):
    folder = a_run_folder(settings)
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert os.getpid() not in pids(settings)
    finally:
        os.chdir(before)


def test_a_tree_memory_counts_children(settings):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
    process = start(code)
    try:
        time.sleep(0.1)
        alone = psutil.Process(process.pid).memory_info().rss / 2**20
        assert 0 < processes.memory_mb(process.pid) < 3 * alone + 50
    finally:
        processes.end([psutil.Process(process.pid), *psutil.Process(process.pid).children()])


# ---------------------------------------------- workers that show nothing of themselves

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="Airflow closes workers on Linux")
TITLE = "import setproctitle; setproctitle.setproctitle('airflow worker -- 1'); "
PR_CAPBSET_DROP = 24
CLOSED = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); "  # as Airflow does it
BESIDE = (  # a session's leader and one worker
    "import subprocess, sys, time\n"
    "worker = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE)\n"
    "worker.stdout.readline(); print(worker.pid, flush=True); time.sleep(300)"
)
ASK = """
from analytics.settings import load_settings
from analytics.stack import processes
print(*(p.pid for p in processes.ours(load_settings(dotenv=None))))
"""


def as_an_ordinary_user() -> None:
    """Before an exec: root too then finds closed what is closed."""
    if os.geteuid() == 0:
        for capability in range(64):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@contextlib.contextmanager
def a_session(settings, code: str, leader: str = "gone") -> Iterator[int]:
    """A noted session of one worker: its leader lives, is a zombie or is gone, as after a kill."""
    first = subprocess.Popen(
        [sys.executable, "-c", BESIDE, code],
        cwd="/", env={"PATH": os.defpath}, stdout=subprocess.PIPE, start_new_session=True,
        preexec_fn=as_an_ordinary_user,
    )  # fmt: skip
    assert first.stdout
    worker = psutil.Process(int(first.stdout.readline()))
    a_run_folder(settings)
    processes.remember_session(settings, first.pid)
    try:
        if leader != "alive":
            first.kill()
        if leader == "gone":
            first.wait()
        yield worker.pid
    finally:
        first.kill()
        worker.kill()
        first.wait()


def seen(settings) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, **settings_environment(settings)},
        preexec_fn=as_an_ordinary_user, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {int(pid) for pid in done.stdout.split()}


@only_linux
@pytest.mark.parametrize("leader", ["gone", "zombie"])
def test_a_closed_worker_of_a_killed_supervisor_is_known_by_the_session(settings, leader):
    with a_session(settings, TITLE + CLOSED + SLEEP, leader) as worker:
        assert seen(settings) == {worker}
        processes.forget_session(settings)
        assert seen(settings) == set()


@only_linux
@pytest.mark.parametrize("code", [TITLE + SLEEP, CLOSED + SLEEP], ids=["readable", "not airflow's"])
def test_of_the_session_only_closed_workers_of_airflow_are_taken(settings, code):
    with a_session(settings, code):
        assert seen(settings) == set()


@only_linux
def test_a_session_noted_before_the_machine_started_anew_is_over(settings):
    with a_session(settings, TITLE + CLOSED + SLEEP):
        record = settings.var / "stack" / "session"
        record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "an earlier one"}))
        assert seen(settings) == set()


@only_linux
def test_a_session_whose_number_a_stranger_has_is_over(settings):
    with a_session(settings, TITLE + CLOSED + SLEEP, leader="alive"):
        assert seen(settings) == set()


@only_linux
@pytest.mark.parametrize("kept", [0, 14, -1])
def test_a_record_cut_short_counts_as_none(settings, kept):
    with a_session(settings, TITLE + CLOSED + SLEEP):
        record = settings.var / "stack" / "session"
        record.write_text(record.read_text()[:kept])
        assert seen(settings) == set()


def test_without_a_boot_id_its_time_is_taken_within_what_a_clock_moves(settings, monkeypatch):
    monkeypatch.setattr(processes, "BOOT_ID", settings.var / "none")
    noted = processes._boot()
    monkeypatch.setattr(psutil, "boot_time", lambda: float(noted) + 2)
    assert processes._is_this_boot(noted)
    monkeypatch.setattr(psutil, "boot_time", lambda: float(noted) + 3600)
    assert not processes._is_this_boot(noted)
