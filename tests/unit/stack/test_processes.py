import os
import signal
import subprocess
import sys
import time

import psutil

from analytics.stack import processes
from analytics.stack.processes import MARK
from analytics.stack.services import run_folder

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
