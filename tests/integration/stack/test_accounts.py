"""An ordinary user where we are root, and root where nobody else may look.

The tests themselves run as whoever starts them; root's temporary folders are
closed to others, so root's run is one under a root-only folder already.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from analytics.settings import PROJECT

pytestmark = pytest.mark.integration
ORDINARY = "nobody"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

AS_ANOTHER = """
import importlib, os, sys
from pathlib import Path

import psycopg

from analytics.secrets import secret
from analytics.settings import load_settings
from analytics.stack.addresses import choose
from analytics.stack.postgres import Postgres
from analytics.stack.services import services

folder = Path(sys.argv[1])
settings = load_settings({"ANALYTICS_VAR_DIR": str(folder / "var")}, dotenv=None)
(settings.var / "stack").mkdir(parents=True)
at = choose(settings)
server = Postgres(settings.var, at.postgres_port, secret(settings.secrets, "superuser"))
with server.running(), psycopg.connect(server.dsn()) as connection:
    print("logged in as", connection.execute("select current_user").fetchone()[0])
programs = {program.name: program for program in services(settings, at)}
os.environ |= programs["dag-processor"].environment
settings.dbt_target.mkdir()
(folder / "manifest.json").rename(settings.dbt_target / "manifest.json")
for name in ("ingest", "features", "transform", "score", "monitor", "train"):
    print("parsed", getattr(importlib.import_module(f"dags.{name}"), name)().dag_id)
"""


@pytest.fixture
def others_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the ordinary user, outside root's own temporary ones."""
    folder = Path("/tmp") / f"analytics-of-{ORDINARY}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    shutil.chown(folder, ORDINARY)
    yield folder
    shutil.rmtree(folder)


def become(account: str) -> dict[str, object]:
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def reachable(*paths: str | Path) -> bool:
    """Whether the ordinary user may read all of them."""
    return all(
        subprocess.run(["/bin/test", "-r", path], **become(ORDINARY)).returncode == 0
        for path in paths
    )


def interpreter() -> str:
    """A Python of our version that the ordinary user may start."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    usual = shutil.which(version, path="/usr/local/bin:/usr/bin:/bin")
    for found in filter(None, (sys.executable, usual)):
        if subprocess.run(["/bin/test", "-x", found], **become(ORDINARY)).returncode == 0:
            return found
    pytest.skip(f"no {version} that {ORDINARY} may start")


@root_only
def test_an_ordinary_user_has_a_server_and_every_dag_beside_roots(others_folder, dbt_manifest):
    """Nothing of ours in a shared place keeps a second user of the machine out."""
    packages = sysconfig.get_path("purelib")
    if not reachable(PROJECT / "dags" / "ingest.py", packages):
        pytest.skip(f"the checkout is closed to {ORDINARY}")
    shutil.copyfile(dbt_manifest, others_folder / "manifest.json")
    done = subprocess.run(
        [interpreter(), "-c", AS_ANOTHER, others_folder],
        cwd=others_folder, capture_output=True, text=True,
        env={"HOME": str(others_folder), "PATH": "/usr/bin:/bin",
             "PYTHONPATH": f"{PROJECT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        **become(ORDINARY),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "logged in as postgres" in done.stdout
    assert done.stdout.count("parsed ") == 6
    private = list((others_folder / "var" / "secrets").iterdir())
    assert private
    assert all(p.stat().st_mode & 0o077 == 0 for p in private)


@root_only
@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("account", [ORDINARY, "root"])
def test_a_clean_checkout_comes_up_by_make_alone(account, others_folder):
    """Set-up, stack and all DAGs, as an ordinary user and under a folder only root may enter."""
    shutil.chown(others_folder, account)
    checkout = others_folder / "project"
    subprocess.run(["git", "clone", "-q", PROJECT, checkout], check=True)
    subprocess.run(["chown", "-R", account, checkout], check=True)
    network = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "NO_")
    environment = {
        **{name: value for name, value in os.environ.items() if name.upper().startswith(network)},
        "HOME": str(others_folder), "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHON": interpreter() if account == ORDINARY else sys.executable,
    }  # fmt: skip

    def make(chore: str) -> str:
        done = subprocess.run(
            ["make", chore], cwd=checkout, env=environment, capture_output=True, text=True,
            **become(account),
        )  # fmt: skip
        assert done.returncode == 0, f"make {chore}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    try:
        assert "the stack is up" in make("up")
        assert make("status").count("healthy") == 7
    finally:
        make("down")
        make("clean")
    mine = [p for p in Path("/proc").glob("[0-9]*/cwd") if _inside(p, checkout)]
    assert mine == []


def _inside(link: Path, folder: Path) -> bool:
    try:
        return Path(os.readlink(link)).is_relative_to(folder)
    except OSError:
        return False
