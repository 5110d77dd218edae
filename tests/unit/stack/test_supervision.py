import configparser
import resource
import stat
import sys
import time
from pathlib import Path

import pytest

from analytics.secrets import secret
from analytics.settings import load_settings
from analytics.stack import processes
from analytics.stack.addresses import Endpoints
from analytics.stack.services import Service, services, settings_environment
from analytics.stack.supervision import Supervisor

AT = Endpoints.of({"postgres": 5001, "airflow": 5002, "mlflow": 5003, "docs": 5004})


def a_service(settings, **changes):
    return Service(
        **{
            "name": "docs",
            "command": ["/bin/true"],
            "folder": settings.var,
            "environment": {"PASSWORD": "s3cret %(here)s \"'"},
            **changes,
        }
    )


def test_every_service_is_configured_and_restarted_when_it_dies(settings):
    config = configparser.RawConfigParser()
    config.read_string(Supervisor(settings).render(services(settings, AT)))
    programs = [s for s in config.sections() if s.startswith("program:")]
    assert [p.removeprefix("program:") for p in programs] == [
        "postgres", "api-server", "scheduler", "dag-processor", "triggerer", "mlflow", "docs",
    ]  # fmt: skip
    assert {config[p]["autorestart"] for p in programs} == {"true"}


def test_passwords_stand_in_private_start_files_and_nowhere_else(settings):
    supervisor = Supervisor(settings)
    programs = services(settings, AT)
    supervisor.write(programs)
    passwords = [file.read_text() for file in settings.secrets.iterdir()]
    assert len(passwords) > 5
    conf = (supervisor.folder / "supervisord.conf").read_text()
    commands = " ".join(part for p in programs for part in p.command)
    assert not [p for p in passwords if p in conf or p in commands]
    assert not [p for p in passwords if p in repr(programs)]
    for file in supervisor.folder.rglob("*"):
        assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file


def test_a_changed_environment_changes_the_configuration_though_it_is_not_in_it(settings):
    supervisor = Supervisor(settings)
    before = supervisor.render([a_service(settings)])
    assert before == supervisor.render([a_service(settings)])
    assert before != supervisor.render([a_service(settings, environment={"PASSWORD": "other"})])


def test_a_percent_sign_in_a_path_is_not_expanded(make_settings, tmp_path):
    odd = tmp_path / "50%(here)s off"
    conf = Supervisor(make_settings(analytics_var_dir=odd)).render([])
    assert "50%%(here)s off" in conf


def test_a_path_too_long_for_a_socket_gets_a_private_short_one(make_settings, tmp_path):
    deep = tmp_path / ("d" * 100)
    socket = Supervisor(make_settings(analytics_var_dir=deep)).socket
    assert len(str(socket)) < 100
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    socket.parent.rmdir()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"analytics_workers": 3, "ml_gpu_enabled": False},
        {"analytics_warehouse_dsn": "postgresql://u:p'\"%@h/d"},
    ],
)
def test_a_service_builds_the_same_settings(make_settings, changes):
    settings = make_settings(**changes)
    assert load_settings(settings_environment(settings), dotenv=None) == settings


def test_airflow_tasks_share_the_cores(make_settings):
    environment = {
        s.name: s.environment for s in services(make_settings(analytics_workers=4096 // 4), AT)
    }
    assert environment["scheduler"]["OMP_NUM_THREADS"] == "1"
    assert environment["scheduler"]["AIRFLOW__CORE__PARALLELISM"] == "1024"


def test_a_secret_survives_the_way_into_the_process(settings):
    assert secret(settings.secrets, "airflow_db") in next(
        s.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        for s in services(settings, AT)
        if s.name == "scheduler"
    )


def test_dbt_caches_of_two_users_do_not_meet(settings):
    """Cosmos' own default is one folder in /tmp, closed to whoever comes second."""
    for service in services(settings, AT):
        if service.name in ("scheduler", "dag-processor"):
            cache = Path(service.environment["AIRFLOW__COSMOS__CACHE_DIR"])
            assert cache.is_relative_to(settings.var.resolve())


def test_no_mlflow_is_started_beside_ones_own(make_settings):
    own = make_settings(ml_tracking_uri="http://127.0.0.1:5000")
    names = {s.name for s in services(make_settings(), AT)}
    assert {s.name for s in services(own, AT)} == names - {"mlflow"}


MOST_BYTES = 2**20  # more than any compiled module takes: Python keeps one that was cut short
TALKER = """
import sys, time
for n in range(2000):
    print("x" * 1000, flush=True)
open("said", "w").write("all")
time.sleep(300)
"""


def test_a_log_that_cannot_be_written_ends_neither_daemon_nor_service(settings):
    """As on a full disk: their logs may not grow any more."""
    supervisor = Supervisor(settings)
    folder = supervisor.folder / "run" / "docs"
    command = [sys.executable, "-c", TALKER]
    supervisor.write([a_service(settings, command=command, folder=folder)])
    supervisor.log("supervisord").write_bytes(bytes(MOST_BYTES))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, before[1]))  # inherited by what starts
    try:
        supervisor.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    try:
        supervisor.run("docs")
        deadline = time.monotonic() + 30
        while not (folder / "said").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert supervisor.is_alive()
        assert (folder / "said").read_text() == "all"
        assert supervisor.states()["docs"].word in ("STARTING", "RUNNING")
        assert supervisor.log("docs").stat().st_size == MOST_BYTES
        assert processes.daemon(settings, processes.ours(settings))
    finally:
        processes.end(processes.ours(settings), grace=3)
