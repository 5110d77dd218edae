"""Bring the local stack up, take it down, say how it is.

`up` starts from whatever is there: nothing, a running stack, services killed
one by one, a killed supervisor, or the files of a machine that was switched
off. It therefore asks what lives, and never trusts a pid file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import filelock
import psutil
import psycopg

from analytics.errors import AnalyticsError, StackError
from analytics.settings import Settings
from analytics.stack import addresses, airflow, databases, health, mlflow, processes, services
from analytics.stack.addresses import Endpoints
from analytics.stack.health import ServiceStatus
from analytics.stack.postgres import Postgres
from analytics.stack.services import POSTGRES, Service
from analytics.stack.supervision import Supervisor

LEAST_FREE_BYTES = 2**30
PATIENCE_SECONDS = 600
MOST_TRIES = 5
Progress = Callable[[str, str], None]  # service or step, what it is doing


def up(settings: Settings, progress: Progress | None = None) -> Endpoints:
    """Every service healthy; returns where they are. Safe to run again, whatever happened before.

    Raises StackError saying what is in the way: a taken port, a full disk, a
    service that does not start (with the end of its log).
    """
    say = progress or (lambda step, word: None)
    with _disk_errors(settings), _alone(settings):
        _require_disk(settings)
        supervisor = Supervisor(settings)
        alive = _clear_leftovers(settings, supervisor)
        at = addresses.choose(settings, processes.listening(processes.ours(settings)))
        server = services.server_of(settings, at)
        _start_postgres(settings, supervisor, server, at, alive, say)
        programs = services.services(settings, at)
        databases.bootstrap(settings, server)
        _start_others(settings, supervisor, server, programs, say)
        _await_health(settings, at, supervisor, programs, say)
        _ensure_training_pool(settings)
    return at


def down(settings: Settings, progress: Progress | None = None) -> None:
    """No process of the stack is left, and the databases are closed properly."""
    say = progress or (lambda step, word: None)
    with _alone(settings):
        supervisor = Supervisor(settings)
        family = processes.ours(settings)
        states = supervisor.states()
        for name in states:
            if name != POSTGRES:
                supervisor.stop(name, wait=False)
                say(name, "stopping")
        _wait_until(lambda: _stopped(supervisor, but=POSTGRES), 20)
        if states:
            say(POSTGRES, "stopping")
            supervisor.stop(POSTGRES)
            supervisor.shut_down()
            _wait_until(lambda: not processes.ours(settings), 10)
        left = processes.ours(settings)
        if left:
            say("leftovers", "stopping")
            processes.end(left)
        if still := processes.ours(settings):
            pids = ", ".join(str(p.pid) for p in still)
            raise StackError(f"these processes of the stack do not stop: {pids}")
        processes.wait_until_buried([*family, *left])
        processes.forget_session(settings)
        supervisor.socket.unlink(missing_ok=True)
        (supervisor.folder / "supervisord.pid").unlink(missing_ok=True)
        for name in states:
            say(name, "stopped")


def status(settings: Settings) -> list[ServiceStatus]:
    """How each service is, by asking it. Raises StackError when there never was a stack."""
    at = addresses.endpoints(settings)
    programs = services.services(settings, at)
    return health.look(settings, at, Supervisor(settings), programs)


def postgres_of(settings: Settings) -> Postgres:
    """The embedded server of a stack that was brought up."""
    return services.server_of(settings, addresses.endpoints(settings))


# ------------------------------------------------------------------- steps


def _clear_leftovers(settings: Settings, supervisor: Supervisor) -> bool:
    """End what no living supervisor looks after; True when one lives.

    Beside a living one only idle orphans go: a task that outlived its killed
    scheduler is left to finish.
    """
    ours = processes.ours(settings)
    if not supervisor.is_alive():
        processes.end(ours)
        processes.forget_session(settings)
        shutil.rmtree(settings.spool, ignore_errors=True)  # of killed tasks; none lives now
        return False
    kept: set[int] = set()
    for state in supervisor.states().values():
        with contextlib.suppress(psutil.Error):
            if state.pid:
                service = psutil.Process(state.pid)
                family = [service, *service.children(recursive=True), *service.parents()]
                kept |= {p.pid for p in family}
    daemon = processes.daemon(settings, ours)
    strays = [p for p in ours if p.pid not in kept and p.pid != daemon]
    processes.end([p for p in strays if not processes.has_children(p)])
    return True


def _start_postgres(
    settings: Settings,
    supervisor: Supervisor,
    server: Postgres,
    at: Endpoints,
    alive: bool,
    say: Progress,
) -> None:
    say(POSTGRES, "starting")
    state = supervisor.states().get(POSTGRES) if alive else None
    if not (state and state.word in ("RUNNING", "STARTING")):
        server.prepare()
        server.clear_stale_lock()
    airflow.prepare(settings)
    if settings.ml_tracking_uri is None:
        mlflow.prepare(settings, at)
    supervisor.write(services.services(settings, at))
    if alive:
        supervisor.reload()
    else:
        supervisor.start()
    supervisor.run(POSTGRES)
    try:
        server.wait(60)
    except StackError as error:
        raise StackError(f"{error}\n{supervisor.tail(POSTGRES)}") from None
    say(POSTGRES, health.HEALTHY)


def _start_others(
    settings: Settings,
    supervisor: Supervisor,
    server: Postgres,
    programs: list[Service],
    say: Progress,
) -> None:
    """MLflow, docs and the warehouse beside Airflow's migration, then Airflow itself."""
    airflow_names = set(airflow.commands("", addresses.endpoints(settings)))
    for program in programs:
        if program.name not in {POSTGRES, *airflow_names}:
            supervisor.run(program.name)

    def airflow_services() -> None:
        say("api-server", "migrating")
        environment = next(p.environment for p in programs if p.name == "scheduler")
        airflow.migrate(settings, server, sys.executable, {**_inherited(), **environment})
        parsed.result()  # the dag-processor draws `transform` from the manifest
        for program in programs:
            if program.name in airflow_names:
                supervisor.run(program.name)

    with ThreadPoolExecutor(3) as pool:
        parsed = pool.submit(_parse_dbt, settings)
        steps = [pool.submit(airflow_services), pool.submit(_prepare_warehouse, settings), parsed]
        done, _ = wait(steps, return_when=FIRST_EXCEPTION)
        for step in done:
            step.result()


def _prepare_warehouse(settings: Settings) -> None:
    from analytics import warehouse

    warehouse.prepare(settings)


def _parse_dbt(settings: Settings) -> None:
    from analytics.warehouse import dbt

    dbt.parse(settings)


def _await_health(
    settings: Settings,
    at: Endpoints,
    supervisor: Supervisor,
    programs: list[Service],
    say: Progress,
) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    tries: dict[str, set[int]] = {}  # a service that dies slowly never counts as failed elsewhere
    while True:
        now = health.look(settings, at, supervisor, programs, with_memory=False)
        for one in now:
            say(one.service, one.state)
            tries.setdefault(one.service, set()).update({one.pid} if one.pid else ())
        if all(one.is_healthy for one in now):
            return
        failed = [
            one for one in now if one.state == "failed" or len(tries[one.service]) > MOST_TRIES
        ]
        late = [one for one in now if not one.is_healthy]
        if failed or time.monotonic() > deadline:
            name = (failed or late)[0].service
            what = "keeps failing" if failed else f"is not healthy after {PATIENCE_SECONDS} s"
            raise StackError(f"{name} {what}; see `analytics logs {name}`\n{supervisor.tail(name)}")
        _require_disk(settings)
        time.sleep(0.5)


def _ensure_training_pool(settings: Settings) -> None:
    with airflow.AirflowClient(settings) as client:
        client.ensure_pool(airflow.TRAINING_POOL, 1, "one training at a time")


# ------------------------------------------------------------------ guards


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One `up` or `down` at a time; the lock of a killed one is free."""
    folder = settings.var / "stack"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / "lifecycle.lock")
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except filelock.Timeout:
        raise StackError("another `analytics up` or `down` is at work; wait for it") from None
    try:
        yield
    finally:
        lock.release()


def _require_disk(settings: Settings) -> None:
    free = shutil.disk_usage(settings.var).free
    if free < LEAST_FREE_BYTES:
        raise StackError(
            f"the disk of {settings.var} is nearly full: {free / 2**20:.0f} MiB free, "
            f"{LEAST_FREE_BYTES // 2**20} MiB needed; make room, then run `analytics up` again"
        )


@contextlib.contextmanager
def _disk_errors(settings: Settings) -> Iterator[None]:
    """Say 'the disk is full' for every way a full disk shows."""
    full = f"the disk of {settings.var} is full; make room, then run `analytics up` again"
    try:
        yield
    except psycopg.errors.DiskFull:
        raise StackError(full) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StackError(full) from None
        if error.errno in (errno.EACCES, errno.EROFS):
            raise StackError(f"{error.filename} cannot be written: {error.strerror}") from None
        raise
    except AnalyticsError as error:
        if "No space left on device" in str(error):
            raise StackError(f"{full}\n{error}") from None
        raise


def _inherited() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(services.NOT_INHERITED)}


def _stopped(supervisor: Supervisor, but: str) -> bool:
    living = ("RUNNING", "STARTING", "STOPPING", "BACKOFF")
    return not any(s.word in living for s in supervisor.states().values() if s.name != but)


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)
