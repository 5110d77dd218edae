"""Whether each service does its work: asked of the service, not of its supervisor."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil
import psycopg

from analytics.settings import Settings
from analytics.stack.addresses import Endpoints
from analytics.stack.processes import memory_mb
from analytics.stack.services import POSTGRES, Service, server_of
from analytics.stack.supervision import State, Supervisor

HEALTHY = "healthy"
# Airflow's services without a port answer through a heartbeat in the metadata.
_HEARTBEATS = {
    "scheduler": ("scheduler", "latest_scheduler_heartbeat"),
    "dag-processor": ("dag_processor", "latest_dag_processor_heartbeat"),
    "triggerer": ("triggerer", "latest_triggerer_heartbeat"),
}


@dataclass(frozen=True)
class ServiceStatus:
    """One service: `healthy`, `starting`, `restarting`, `failed` or `stopped`."""

    service: str
    state: str
    pid: int | None
    memory_mb: int
    url: str | None

    @property
    def is_healthy(self) -> bool:
        return self.state == HEALTHY


def look(
    settings: Settings,
    addresses: Endpoints,
    supervisor: Supervisor,
    services: list[Service],
    with_memory: bool = True,
) -> list[ServiceStatus]:
    """All services, as they are now."""
    states = supervisor.states()
    monitor = _airflow_monitor(addresses) if _runs(states.get("api-server")) else None
    result = []
    for service in services:
        state = states.get(service.name)
        word = _word(state)
        if state and word == "starting" and _answers(settings, addresses, state, service, monitor):
            word = HEALTHY
        pid = state.pid if state and state.pid else None
        memory = memory_mb(pid) if pid and with_memory else 0
        result.append(ServiceStatus(service.name, word, pid, memory, service.url))
    return result


def _word(state: State | None) -> str:
    if state is None:
        return "stopped"
    return {
        "RUNNING": "starting",  # until it answers
        "STARTING": "starting",
        "BACKOFF": "restarting",
        "FATAL": "failed",
    }.get(state.word, "stopped")


def _runs(state: State | None) -> bool:
    return state is not None and state.word in ("RUNNING", "STARTING")


def _answers(
    settings: Settings, addresses: Endpoints, state: State, service: Service, monitor: dict | None
) -> bool:
    if service.name == POSTGRES:
        with contextlib.suppress(psycopg.Error):
            psycopg.connect(server_of(settings, addresses).dsn(), connect_timeout=5).close()
            return True
        return False
    if service.name in _HEARTBEATS:
        section, key = _HEARTBEATS[service.name]
        told = (monitor or {}).get(section) or {}
        beat = told.get(key)
        return told.get("status") == "healthy" and bool(beat) and _is_of(state.pid, str(beat))
    if service.name == "api-server":
        return monitor is not None
    path = "/health" if service.name == "mlflow" else "/"
    return _get(f"{service.url}{path}") is not None


def _is_of(pid: int, beat: str) -> bool:
    """Whether the heartbeat is of this process, not of the one it replaced."""
    try:
        return datetime.fromisoformat(beat).timestamp() > psutil.Process(pid).create_time()
    except psutil.Error:
        return False


def _airflow_monitor(addresses: Endpoints) -> dict | None:
    answer = _get(f"{addresses.airflow_url}/api/v2/monitor/health")
    return dict(answer.json()) if answer is not None else None


def _get(url: str) -> Any:
    """The answer, or None where nothing good came."""
    import httpx

    try:
        answer = httpx.get(url, timeout=10, trust_env=False)
    except httpx.TransportError:
        return None
    return answer if answer.is_success else None
