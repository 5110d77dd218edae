"""Where the stack's services listen: chosen ports, kept from one `up` to the next."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from analytics.errors import StackError
from analytics.settings import Settings
from analytics.stack.postgres import free_port

HOST = "127.0.0.1"
NAMES = ("postgres", "airflow", "mlflow", "docs")


@dataclass(frozen=True)
class Endpoints:
    """The addresses of a stack that was brought up."""

    postgres_port: int
    airflow_url: str
    mlflow_url: str
    docs_url: str

    @classmethod
    def of(cls, ports: dict[str, int]) -> Endpoints:
        urls = {f"{n}_url": f"http://{HOST}:{ports[n]}" for n in NAMES if n != "postgres"}
        return cls(postgres_port=ports["postgres"], **urls)

    def ports(self) -> dict[str, int]:
        urls = {"airflow": self.airflow_url, "mlflow": self.mlflow_url, "docs": self.docs_url}
        return {
            "postgres": self.postgres_port,
            **{name: int(url.rsplit(":", 1)[1]) for name, url in urls.items()},
        }


def endpoints(settings: Settings) -> Endpoints:
    """The addresses the last `up` wrote down. Raises StackError when there was none."""
    recorded = _read(settings)
    if recorded is None:
        raise StackError("the local stack is not up; run `analytics up`")
    return recorded


def choose(settings: Settings, ours: Collection[int] = ()) -> Endpoints:
    """A port for each service, written down: the configured one, the last one, or a free one.

    `ours` are ports on which our own services listen already. Raises StackError
    naming the port and its setting when a configured port belongs to somebody else.
    """
    recorded = _read(settings)
    last = recorded.ports() if recorded else {}
    ports: dict[str, int] = {}
    for name in NAMES:
        configured = int(getattr(settings, f"analytics_{name}_port"))
        if configured:
            if configured in ports.values():
                raise StackError(
                    f"port {configured} is configured twice; "
                    f"set ANALYTICS_{name.upper()}_PORT to another port, or to 0 for a free one"
                )
            if configured not in ours and not is_free(configured):
                raise StackError(
                    f"port {configured} is taken by another process; stop that process, or set "
                    f"ANALYTICS_{name.upper()}_PORT to another port, or to 0 for a free one"
                )
            ports[name] = configured
    reserved = set(ports.values())
    for name in NAMES:
        if name in ports:
            continue
        port = last.get(name, 0)
        if not port or port in reserved or not (port in ours or is_free(port)):
            port = free_port(avoid=reserved | set(last.values()))
        ports[name] = port
        reserved.add(port)
    chosen = Endpoints.of(ports)
    if chosen != recorded:
        file = _file(settings)
        fresh = file.with_suffix(".fresh")
        fresh.write_text(json.dumps(asdict(chosen), indent=2) + "\n")
        fresh.rename(file)
    return chosen


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _file(settings: Settings) -> Path:
    return settings.var / "stack" / "endpoints.json"


def _read(settings: Settings) -> Endpoints | None:
    try:
        return Endpoints(**json.loads(_file(settings).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def logins(settings: Settings, at: Endpoints) -> dict[str, str]:
    """Where Airflow and MLflow are met, as whom, and which file holds the password."""
    secrets = settings.secrets.resolve()
    own = settings.ml_tracking_uri
    return {
        "Airflow": f"{at.airflow_url}  user admin, password in {secrets / 'airflow_admin'}",
        "MLflow": own or f"{at.mlflow_url}  user admin, password in {secrets / 'mlflow_admin'}",
    }
