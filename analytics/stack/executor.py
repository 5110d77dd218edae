"""Airflow's LocalExecutor, as this stack runs it.

A task runs in a fork of the scheduler. So what all tasks import is imported here
once, before the first fork: a task that began with ten seconds of imports begins
at once, and the memory is shared.

A deferred task may be sent to a worker again before the scheduler has heard that
its first half ended. The scheduler would take that end for the second half's and
fail a task that works (https://github.com/apache/airflow/issues/67287), so it is
passed over here.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from airflow.executors.local_executor import LocalExecutor

log = logging.getLogger(__name__)

# What tasks import and what takes long. None of it may run anything when imported
# that does not survive a fork: a query of Polars, a session of Spark.
IMPORTS = (
    "analytics.lake.bronze",
    "analytics.lake.silver",
    "analytics.gates.duckdb_datasource",
    "great_expectations.expectations",
    "great_expectations.render.renderer",
    "analytics.warehouse",
    "cosmos",
    "dbt.cli.main",
    "spark_jobs.build",
    "pyspark.sql.connect.session",
    "ml.train",
    "ml.score",
    "ml.drift.monitor",
    "mlflow.pyfunc",
    "torch",
    "xgboost",
    "shap",
    "evidently.presets",
    "sklearn.linear_model",
    "optuna",
)
ENDS = frozenset({"success", "failed"})


class StackExecutor(LocalExecutor):
    """LocalExecutor whose workers have the libraries loaded and know late ends from true ones."""

    imports: Sequence[str] = IMPORTS

    def start(self) -> None:
        self._sent: Counter[Any] = Counter()  # workloads at a worker, by key
        import_all(self.imports)
        super().start()

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        self._sent.update(workload.key for workload in workload_items)
        super()._process_workloads(workload_items)

    def change_state(
        self, key: Any, state: Any, info: Any = None, remove_running: bool = True
    ) -> None:
        """Note what a worker said, unless it is the end of what was sent again meanwhile."""
        if str(state) in ENDS and key in self._sent:
            self._sent[key] -= 1
            if self._sent[key] > 0:
                self.log.info("passed over the end of %s: it was sent again since", key)
                return
            del self._sent[key]
        super().change_state(key, state, info, remove_running)


def import_all(names: Iterable[str]) -> None:
    """Import these modules. One that is not there is named in the log: its tasks will fail."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    started = time.perf_counter()
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            log.exception("%s cannot be imported", name)
    log.info("libraries imported in %.1f s", time.perf_counter() - started)
