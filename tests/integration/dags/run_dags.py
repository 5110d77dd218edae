"""Run DAGs one after another by `dag.test()` and write down what came of each.

    python run_dags.py CONF RESULT dag[:asset] …

Started by the tests in a process of its own, because Airflow takes its settings
when it is first imported. CONF is the trigger form of the first DAG; each
following one is triggered with what the asset it reads (or the one named after
the colon) was announced with, and left out when nothing was announced.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow import settings
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import inspect

READS = {
    "features": "silver",
    "transform": "features",
    "score": "marts",
    "monitor": "predictions",
    "train": "retraining",
}


def main(conf: str, result: str, *steps: str) -> None:
    if not inspect(settings.engine).has_table("dag_run"):
        initdb()
    _make_pool()
    announced: dict[str, dict[str, Any]] = {}
    runs = []
    for number, step in enumerate(steps):
        name, _, asset = step.partition(":")
        read = announced.get(asset or READS.get(name, ""))
        form = json.loads(conf) if number == 0 else _form(read)
        if form is None:
            continue
        run = {"step": step, **_run(name, form)}
        announced |= run["announced"]
        runs.append(run)
    Path(result).write_text(json.dumps(runs))


def _form(extra: dict[str, Any] | None) -> dict[str, Any] | None:
    if extra is None:
        return None
    return {"tenants": extra["tenants"], "from": extra["from"][:10], "to": extra["to"][:10]}


def _run(name: str, form: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    dag = getattr(importlib.import_module(f"dags.{name}"), name)()
    _put_watchers_behind_their_producer(dag)
    _try_again_at_once(dag)
    run = dag.test(logical_date=None, run_conf=form)
    with create_session() as session:
        tasks = {
            (t.task_id if t.map_index < 0 else f"{t.task_id}[{t.map_index}]"): str(t.state)
            for t in run.get_task_instances(session=session)
        }
        announced = _announced(session, name, run.run_id)
    return {
        "dag": name,
        "run_id": run.run_id,
        "form": form,
        "state": str(run.state),
        "tasks": tasks,
        "announced": announced,
        "seconds": time.monotonic() - began,
    }


def _put_watchers_behind_their_producer(dag: Any) -> None:
    """`dag.test()` runs one task at a time, and a task that watches another would wait forever."""
    producer = dag.task_dict.get("dbt.dbt_producer_watcher")
    for task in dag.tasks if producer else ():
        first = task.task_id.endswith("_run") and not task.upstream_task_ids & {producer.task_id}
        if task.task_id.startswith("dbt.") and first:
            task.set_upstream(producer)


def _try_again_at_once(dag: Any) -> None:
    for task in dag.tasks:
        task.retry_delay = timedelta(0)


def _announced(session: Any, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
    """What the run's events carry, by asset."""
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select

    events = select(AssetModel.name, AssetEvent.extra).where(
        AssetModel.id == AssetEvent.asset_id,
        AssetEvent.source_dag_id == dag_id,
        AssetEvent.source_run_id == run_id,
    )
    return {row.name: row.extra for row in session.execute(events)}


def _make_pool() -> None:
    from airflow.models.pool import Pool

    Pool.create_or_update_pool("training", 1, "one training at a time", include_deferred=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
