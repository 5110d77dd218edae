import os
import pwd
import shutil
import stat

import psycopg
import pytest

from analytics.stack import postgres as postgres_module
from analytics.stack.postgres import Postgres, free_port


def a_server_with_lock(tmp_path, pid):
    server = Postgres(tmp_path, 5001, "x")
    (tmp_path / "postgres.home").write_text("postgres")
    server.data.mkdir(parents=True)
    lock = server.data / "postmaster.pid"
    lock.write_text(f"{pid}\n/elsewhere\n")
    return server, lock


def test_a_pid_file_whose_pid_a_stranger_got_is_cleared(tmp_path):
    server, lock = a_server_with_lock(tmp_path, os.getpid())
    server.clear_stale_lock()
    assert not lock.exists()


def test_a_pid_file_cut_short_by_a_power_failure_is_cleared(tmp_path):
    server, lock = a_server_with_lock(tmp_path, "")
    server.clear_stale_lock()
    assert not lock.exists()


def test_the_pid_file_of_a_running_server_stays(postgres):
    postgres.clear_stale_lock()
    assert (postgres.data / "postmaster.pid").exists()


def test_the_home_moves_with_var(tmp_path):
    old = Postgres(tmp_path / "var", 5001, "x").home()
    inside = old.is_relative_to(tmp_path)
    (tmp_path / "var").rename(tmp_path / "moved")
    moved = Postgres(tmp_path / "moved", 5001, "x").home()
    assert moved == (tmp_path / "moved" / "postgres" if inside else old)


def test_a_var_made_anew_never_meets_the_server_of_the_one_before(tmp_path, monkeypatch):
    """Where root's server lives outside `var/`, deleting `var/` deletes its password, too."""
    monkeypatch.setattr(postgres_module, "_account", lambda: pwd.getpwuid(os.getuid()))
    monkeypatch.setattr(postgres_module, "_reachable", lambda path: False)
    server = Postgres(tmp_path / "var", 5001, "x")
    first = server.home()
    assert server.home() == first
    assert not first.is_relative_to(tmp_path)
    shutil.rmtree(tmp_path / "var")
    assert server.home() != first


@pytest.mark.skipif(os.geteuid() != 0, reason="others' servers run as themselves")
def test_roots_server_runs_where_nobody_else_may_look(tmp_path, monkeypatch):
    """As under a root-only home: neither `var/` nor the installed binaries can be reached."""
    monkeypatch.setattr(postgres_module, "_reachable", lambda path: False)
    server = Postgres(tmp_path / "var", free_port(), "x")
    try:
        with server.running(), psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert server.binary("postgres").is_relative_to(server.home())
    finally:
        shutil.rmtree(server.home())


def test_preparing_twice_changes_nothing(postgres):
    before = (postgres.data / "PG_VERSION").stat().st_mtime_ns
    postgres.prepare()
    assert (postgres.data / "PG_VERSION").stat().st_mtime_ns == before
    assert not stat.S_IMODE(postgres.data.stat().st_mode) & 0o077
