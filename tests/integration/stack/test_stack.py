"""The whole stack, really running: closed to others, started once, healed after kills."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import stat
import time

import httpx
import psutil
import psycopg
import pytest

from analytics import stack as local_stack
from analytics.errors import StackError
from analytics.secrets import secret
from analytics.stack import AirflowClient, processes

pytestmark = pytest.mark.integration
FORKS = multiprocessing.get_start_method() == "fork"


def pids(settings):
    return {one.service: one.pid for one in local_stack.status(settings)}


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)


def test_every_service_is_healthy_and_says_where_it_is(stack):
    now = {one.service: one for one in local_stack.status(stack)}
    assert set(now) == {
        "postgres", "api-server", "scheduler", "dag-processor", "triggerer", "mlflow", "docs",
    }  # fmt: skip
    assert {one.state for one in now.values()} == {"healthy"}
    assert all(one.memory_mb > 0 for one in now.values())
    assert now["mlflow"].url == local_stack.endpoints(stack).mlflow_url


def test_it_listens_on_loopback_only(stack):
    addresses = set()
    for process in processes.ours(stack):
        with contextlib.suppress(psutil.AccessDenied):  # Airflow shows its workers to root alone
            addresses |= {
                connection.laddr.ip
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    assert addresses == {"127.0.0.1"}


def test_passwords_are_private_files_and_stand_in_no_command_line_or_log(stack):
    passwords = []
    for file in stack.secrets.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        passwords.append(file.read_text())
    shown = [" ".join(p.cmdline()) for p in processes.ours(stack)]
    shown += [log.read_text() for log in (stack.var / "stack" / "logs").iterdir()]
    assert not [p for p in passwords for text in shown if p in text]


def test_a_second_up_starts_nothing_and_asks_airflow_for_no_migration(stack):
    before = pids(stack)
    log = stack.var / "stack" / "logs" / "airflow-migrate.log"
    migrated = log.stat().st_mtime_ns
    local_stack.up(stack)
    assert pids(stack) == before
    assert log.stat().st_mtime_ns == migrated


@pytest.mark.parametrize(
    ("user", "password_name", "database"),
    [
        ("mlflow", "mlflow_db", "airflow"),
        ("airflow", "airflow_db", "warehouse"),
        ("warehouse_pipeline", "warehouse_pipeline", "mlflow"),
        ("t1_ops", "t1_ops", "warehouse"),
        ("t1_ops", "t1_ops", "postgres"),
    ],
)
def test_the_owner_of_one_database_cannot_enter_another(stack, user, password_name, database):
    dsn = local_stack.postgres_of(stack).dsn(database, user, secret(stack.secrets, password_name))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(dsn)


def test_a_tenants_simulated_system_can_be_entered_by_the_dsn_in_its_secret(stack):
    with psycopg.connect((stack.secrets / "t1_ops_dsn").read_text()) as connection:
        row = connection.execute("select current_database(), current_user").fetchone()
    assert row == ("t1_ops", "t1_ops")


def test_a_wrong_password_is_refused_by_the_server(stack):
    guess = "postgres"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(local_stack.postgres_of(stack).dsn(password=guess))


def test_mlflow_shows_nothing_without_a_login(stack):
    url = f"{local_stack.endpoints(stack).mlflow_url}/api/2.0/mlflow/experiments/search"
    body = {"max_results": 1}
    assert httpx.post(url, json=body, timeout=60).status_code == 401
    login = ("admin", secret(stack.secrets, "mlflow_admin"))
    assert httpx.post(url, json=body, auth=login, timeout=60).status_code == 200


def test_airflow_takes_the_generated_password_and_no_other(stack):
    url = f"{local_stack.endpoints(stack).airflow_url}/auth/token"
    guess = {"username": "admin", "password": "admin"}
    assert httpx.post(url, json=guess, timeout=60).status_code == 401
    with AirflowClient(stack) as client:
        pool = client.request("GET", "/pools/training")
    assert pool["slots"] == 1


def test_the_client_logs_in_again_when_its_token_is_refused(stack):
    with AirflowClient(stack) as client:
        client._token = "worn out"  # noqa: S105 - a token that the server refuses
        assert client.dags() is not None


def test_an_unknown_dag_gives_airflows_own_words(stack):
    with AirflowClient(stack) as client, pytest.raises(StackError, match=r"404.*nowhere"):
        client.trigger("nowhere")


def test_a_taken_port_is_named_before_anything_is_touched(stack):
    before = pids(stack)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        changed = stack.model_copy(update={"analytics_mlflow_port": port})
        with pytest.raises(StackError, match=rf"port {port} is taken.*ANALYTICS_MLFLOW_PORT"):
            local_stack.up(changed)
    assert pids(stack) == before


def test_a_full_disk_is_said_so(stack, monkeypatch):
    monkeypatch.setattr("analytics.stack.lifecycle.LEAST_FREE_BYTES", 2**60)
    with pytest.raises(StackError, match=r"nearly full.*make room"):
        local_stack.up(stack)


def test_up_heals_every_service_when_all_are_killed(stack):
    before = pids(stack)
    workers = _workers(stack, before["scheduler"])
    kill(before["scheduler"])
    assert any(_lives(worker) for worker in workers) or not FORKS, "none outlived its scheduler"
    for name in before.keys() - {"scheduler"}:
        kill(before[name])
    local_stack.up(stack)
    after = pids(stack)
    assert not [worker for worker in workers if _lives(worker)]
    assert all(one.is_healthy for one in local_stack.status(stack))
    assert after.keys() == before.keys()
    assert not set(before.values()) & set(after.values())


@pytest.mark.long
def test_up_heals_a_killed_supervisor_and_a_pid_file_whose_pid_was_given_away(stack):
    at = local_stack.endpoints(stack)
    orphans = {p.pid for p in processes.ours(stack)}
    kill(int((stack.var / "stack" / "supervisord.pid").read_text()))
    kill(pids(stack)["postgres"] or _postmaster(stack))
    lock = local_stack.postgres_of(stack).data / "postmaster.pid"
    lock.write_text(lock.read_text().replace(lock.read_text().split("\n")[0], str(os.getpid()), 1))
    left_by_a_task = stack.spool / "bronze-killed" / "rows.parquet"
    left_by_a_task.parent.mkdir(parents=True)
    left_by_a_task.touch()
    local_stack.up(stack)
    assert not left_by_a_task.exists()
    assert local_stack.endpoints(stack) == at
    assert all(one.is_healthy for one in local_stack.status(stack))
    assert not orphans & {p.pid for p in processes.ours(stack)}


def test_every_worker_is_known_also_those_that_show_nothing_of_themselves(stack):
    """Else an ordinary user's `up` and `down` leave the workers of a killed scheduler behind."""
    sessions = {os.getsid(pid) for pid in pids(stack).values() if pid}
    there = [p for p in psutil.process_iter() if _session(p.pid) in sessions]
    known = {p.pid for p in processes.ours(stack)}
    assert len(there) > 6
    assert [p for p in there if p.pid not in known and _lives(p)] == []


def _workers(settings, scheduler):
    """The scheduler's; where it forks it begins all of them, a moment after it is healthy."""
    deadline = time.monotonic() + 60
    wanted = settings.analytics_workers if FORKS else 0
    while len(workers := psutil.Process(scheduler).children(recursive=True)) < wanted:
        assert time.monotonic() < deadline, "the scheduler does not begin its workers"
        time.sleep(0.1)
    return workers


def _lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _postmaster(settings):
    lock = local_stack.postgres_of(settings).data / "postmaster.pid"
    return int(lock.read_text().split("\n")[0])
