"""Talk to the stack's Airflow: trigger a run, look at it, wait for the chain it sets off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from analytics.errors import StackError
from analytics.secrets import secret
from analytics.settings import Settings
from analytics.stack.addresses import endpoints

FINISHED = ("success", "failed")
Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One DAG run of a chain, as last seen."""

    dag_id: str
    run_id: str
    state: str

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


class AirflowClient:
    """The REST interface as user `admin`. Usable from several threads."""

    def __init__(self, settings: Settings, timeout: float = 60) -> None:
        import httpx

        self._password = secret(settings.secrets, "airflow_admin")
        self._url = endpoints(settings).airflow_url
        self._http = httpx.Client(base_url=self._url, timeout=timeout, trust_env=False)
        self._token = ""

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> AirflowClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ requests

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The answer of `/api/v2{path}`. Logs in first, and again when the login ran out."""
        import httpx

        fresh = False
        for attempt in range(5):
            try:
                if not self._token:
                    self._log_in()
                    fresh = True
                headers = {"Authorization": f"Bearer {self._token}"}
                answer = self._http.request(method, f"/api/v2{path}", headers=headers, **options)
            except httpx.TransportError as error:
                # The api-server may be restarting; a POST may have arrived, so it is not repeated.
                if attempt == 4 or method != "GET":
                    raise StackError(
                        f"Airflow does not answer at {self._url} ({error}); see `analytics status`"
                    ) from None
                time.sleep(2**attempt)
                continue
            if answer.status_code in (401, 403) and not fresh:  # a worn-out token gives either
                self._token = ""
                continue
            if answer.status_code >= 500 and method == "GET" and attempt < 4:
                time.sleep(2**attempt)
                continue
            if answer.is_error:
                raise StackError(f"Airflow refused {method} {path}: {_detail(answer)}")
            return answer.json() if answer.content else None
        raise StackError(f"Airflow does not answer at {self._url}; see `analytics status`")

    def _log_in(self) -> None:
        body = {"username": "admin", "password": self._password}
        answer = self._http.post("/auth/token", json=body)
        if answer.is_error:
            raise StackError(f"Airflow refuses the login of admin: {_detail(answer)}")
        self._token = answer.json()["access_token"]

    def _all(self, path: str, key: str, **params: Any) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self.request("GET", path, params={**params, "limit": 100, "offset": len(found)})
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    # ---------------------------------------------------------------- runs

    def trigger(self, dag_id: str, conf: Json | None = None, run_id: str | None = None) -> str:
        """Start a run by hand and return its id. `conf` fills the trigger form's params."""
        body: Json = {"logical_date": None, "conf": conf or {}}
        if run_id:
            body["dag_run_id"] = run_id
        return str(self.request("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> Json:
        return dict(self.request("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))

    def runs(self, dag_id: str, **params: Any) -> list[Json]:
        return self._all(f"/dags/{dag_id}/dagRuns", "dag_runs", **params)

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return self._all(path, "task_instances")

    def asset_events(self, dag_id: str, run_id: str) -> list[Json]:
        """What one run announced, each with the runs it set off (`created_dagruns`)."""
        return self._all(
            "/assets/events", "asset_events", source_dag_id=dag_id, source_run_id=run_id
        )

    # ---------------------------------------------------------------- DAGs

    def dags(self) -> list[Json]:
        return self._all("/dags", "dags")

    def import_errors(self) -> list[Json]:
        return self._all("/importErrors", "import_errors")

    def unpause(self, dag_id: str) -> None:
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def wait_for_dags(self, *dag_ids: str, seconds: float = 120) -> None:
        """Return once all are parsed; else raise StackError with the import errors."""
        deadline = time.monotonic() + seconds
        while missing := set(dag_ids) - {dag["dag_id"] for dag in self.dags()}:
            if time.monotonic() > deadline:
                errors = "\n".join(
                    f"{e['filename']}: {e['stack_trace']}" for e in self.import_errors()
                )
                raise StackError(
                    f"Airflow does not know the DAGs {', '.join(sorted(missing))}\n{errors}"
                )
            time.sleep(1)

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Make the pool, or set its slots."""
        if any(pool["name"] == name for pool in self._all("/pools", "pools")):
            self.request("PATCH", f"/pools/{name}", json={"slots": slots, "pool": name,
                         "description": description, "include_deferred": False})  # fmt: skip
        else:
            body = {"name": name, "slots": slots, "description": description}
            self.request("POST", "/pools", json=body)

    # -------------------------------------------------------------- chains

    def wait_chain(
        self,
        dag_id: str,
        run_id: str,
        seconds: float = 3600,
        patience: float = 30,
        seen: Callable[[list[Run]], None] | None = None,
        every: float = 1.0,
    ) -> list[Run]:
        """Every run that this one set off through assets, itself first, once all have finished.

        A run's events are followed to the runs they created. An event that waits
        for others (or for a free place) counts as answered after `patience`
        seconds in which nothing of its reader ran. `seen` gets the runs so far at
        each look. Raises StackError when the chain takes longer than `seconds`.
        """
        deadline = time.monotonic() + seconds
        chain = _Chain(self, patience)
        chain.add(dag_id, run_id)
        while True:
            settled = chain.look()
            if seen:
                seen(chain.runs())
            if settled:
                return chain.runs()
            if time.monotonic() > deadline:
                open_runs = [f"{r.dag_id} {r.run_id} ({r.state})" for r in chain.runs()
                             if not r.is_finished]  # fmt: skip
                raise StackError(
                    f"the chain of {dag_id} did not end within {seconds:.0f} s; "
                    f"still open: {', '.join(open_runs) or 'asset events not read yet'}"
                )
            time.sleep(every)


class _Chain:
    """The runs found so far and the events whose readers have not run yet."""

    def __init__(self, client: AirflowClient, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._runs: dict[tuple[str, str], Run] = {}
        self._closed: set[tuple[str, str]] = set()  # finished, and all their events answered
        self._quiet_since: dict[int, float] = {}
        self._readers: dict[int, list[str]] = {}

    def add(self, dag_id: str, run_id: str) -> None:
        self._runs.setdefault((dag_id, run_id), Run(dag_id, run_id, "queued"))

    def runs(self) -> list[Run]:
        return list(self._runs.values())

    def look(self) -> bool:
        """Look once at everything open; True when nothing is."""
        for key in [k for k in self._runs if k not in self._closed]:
            if not self._runs[key].is_finished:
                self._runs[key] = Run(*key, self._client.run(*key)["state"])
            # Events first seen while the run still goes on are followed at once.
            answered = [self._follow(e) for e in self._client.asset_events(*key)]
            if self._runs[key].is_finished and all(answered):
                self._closed.add(key)
        return self._closed == set(self._runs)

    def _follow(self, event: Json) -> bool:
        created = {run["dag_id"] for run in event["created_dagruns"]}
        for run in event["created_dagruns"]:
            self.add(run["dag_id"], run["run_id"])
        waiting = [d for d in self._readers_of(event["asset_id"]) if d not in created]
        if not waiting:
            return True
        if any(self._is_busy(dag_id) for dag_id in waiting):
            self._quiet_since.pop(event["id"], None)
            return False
        since = self._quiet_since.setdefault(event["id"], time.monotonic())
        return time.monotonic() - since > self._patience

    def _readers_of(self, asset_id: int) -> list[str]:
        """The DAGs that this asset starts; paused ones will not."""
        if asset_id not in self._readers:
            asset = self._client.request("GET", f"/assets/{asset_id}")
            ids = [dag["dag_id"] for dag in asset["scheduled_dags"]]
            self._readers[asset_id] = [
                i for i in ids if not self._client.request("GET", f"/dags/{i}")["is_paused"]
            ]
        return self._readers[asset_id]

    def _is_busy(self, dag_id: str) -> bool:
        return bool(self._client.runs(dag_id, state=["running", "queued"]))


def _detail(answer: Any) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:500]
    return f"{answer.status_code} {detail}"
