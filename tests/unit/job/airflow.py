"""An Airflow that ends each chain as it was told to."""

from __future__ import annotations

from analytics.errors import StackError
from analytics.stack.airflow_client import Run

GREEN = [Run("ingest", "r1", "success")]
TIMEOUT = StackError("the chain of ingest did not end within 3600 s; still open: transform r2")
REFUSED = StackError("Airflow refused POST /dags/ingest/dagRuns: 409")


def red(dag_id: str) -> list[Run]:
    """A chain that ended in a red run of that DAG."""
    if dag_id == "ingest":
        return [Run("ingest", "r1", "failed")]
    return [*GREEN, Run(dag_id, "r2", "failed")]


class FakeAirflow:
    """Ends a chain as told for the first tenant it is triggered for (`all`: for none)."""

    def __init__(self):
        self.endings: dict[str, list[Run] | StackError] = {}
        self.triggered: list[dict] = []
        self.failed_tasks: list[dict] = []

    def __call__(self, settings):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait_for_dags(self, *dag_ids, seconds):
        pass

    def trigger(self, dag_id, conf):
        self.triggered.append({"dag_id": dag_id, **conf})
        if self._ending() is REFUSED:
            raise REFUSED
        return "r1"

    def wait_chain(self, dag_id, run_id, seconds, seen, every):
        ending = self._ending()
        if isinstance(ending, StackError):
            seen([*GREEN, Run("transform", "r2", "running")])
            raise ending
        seen(ending)
        return ending

    def task_instances(self, dag_id, run_id):
        return [{"state": "success", "rendered_fields": {}}, *self.failed_tasks]

    def tenants(self) -> list[str]:
        """The tenant of each chain, in the order of their triggers."""
        return [conf["tenants"][0] for conf in self.triggered]

    def _ending(self) -> list[Run] | StackError:
        (who, *_) = self.triggered[-1]["tenants"] or ["all"]
        return self.endings.get(who, GREEN)
