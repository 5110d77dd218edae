"""What every DAG of this project promises, checked on the files themselves."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("ingest", "features", "transform", "score", "monitor", "train", "maintain")


@pytest.fixture(scope="module")
def dags(dbt_manifest) -> dict:
    from airflow.sdk import DAG

    found = {}
    for name in NAMES:
        module = importlib.import_module(f"dags.{name}")
        function = getattr(module, name)
        dag = function()
        assert isinstance(dag, DAG)
        found[name] = dag
    return found


def test_every_file_of_the_room_is_a_dag_or_the_assets():
    files = {f.stem for f in (ROOT / "dags").glob("*.py")} - {"__init__", "assets"}
    assert files == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_function_and_id_are_one_word(dags, name):
    assert dags[name].dag_id == name


@pytest.mark.parametrize("name", NAMES)
def test_the_doc_says_grain_rerun_and_what_red_means(dags, name):
    doc = dags[name].doc_md or ""
    assert all(f"\n{word}" in doc for word in ("Grain", "Re-run", "On call"))
    runbooks = re.findall(r"docs/runbooks/\S+\.md", doc)
    assert runbooks, f"{name}: on-call has nowhere to look"
    for runbook in runbooks:
        assert (ROOT / runbook).exists(), f"{name}: {runbook} is missing"


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_has_owner_tier_group_and_retries(dags, name):
    dag = dags[name]
    assert any(t.startswith("tier:") for t in dag.tags)
    assert any(t.startswith("group:") for t in dag.tags)
    for task in dag.tasks:
        assert task.owner != "airflow", f"{name}.{task.task_id} has no owner"
        assert task.retries == 2, f"{name}.{task.task_id} gives up at the first lost connection"
        assert task.retry_policy is not None, f"{name}.{task.task_id} tries bad data again"


@pytest.mark.parametrize("name", NAMES)
def test_the_form_asks_for_tenants_from_and_to(dags, name):
    assert list(dags[name].params) == ["tenants", "from", "to"]


@pytest.mark.parametrize("name", NAMES)
def test_tenants_are_mapped_tasks(dags, name):
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    mapped = [
        t
        for t in dags[name].tasks
        if isinstance(t, MappedOperator) or t.task_group.node_id == "one_tenant"
    ]
    assert mapped, f"{name} maps no tenant"


@pytest.mark.parametrize("name", NAMES)
def test_a_last_task_keeps_the_run_red_when_a_tenant_failed(dags, name):
    leaf = dags[name].get_task("fail_if_any_tenant_failed")
    assert leaf.trigger_rule == "one_failed"
    assert not leaf.downstream_task_ids


@pytest.mark.parametrize("name", NAMES)
def test_a_file_does_no_work_when_parsed(name):
    """Only Airflow, Cosmos and the light parts of the platform at the top of a file."""
    tree = ast.parse((ROOT / "dags" / f"{name}.py").read_text())
    tops = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            tops |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            tops.add(node.module or "")
    light = {
        "__future__", "airflow.sdk", "airflow.sdk.exceptions", "analytics.settings", "cosmos",
        "cosmos.constants", "dags.assets", "pendulum",
    }  # fmt: skip
    assert tops <= light


def test_parsing_all_dags_loads_no_heavy_library(dbt_manifest):
    code = (
        f"import sys, {', '.join(f'dags.{name}' for name in NAMES)};"
        "print([m for m in ('torch','mlflow','polars','great_expectations','pyspark','deltalake')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_is_short(name):
    assert len((ROOT / "dags" / f"{name}.py").read_text().splitlines()) <= 220


def test_assets_join_the_dags_into_one_chain(dags):
    """ingest → features → transform → score → monitor → train → score."""

    def announces(name: str) -> set[str]:
        return {o.name for t in dags[name].tasks for o in getattr(t, "outlets", ())}

    def named(condition) -> set[str]:
        parts = getattr(condition, "objects", None)
        return {condition.name} if parts is None else set().union(*map(named, parts))

    def listens(name: str) -> set[str]:
        return named(dags[name].timetable.asset_condition)

    assert announces("ingest") == listens("features") == {"silver"}
    assert announces("features") == listens("transform") == {"features"}
    assert announces("transform") | announces("train") == listens("score")
    assert announces("score") == listens("monitor") == {"predictions"}
    assert announces("monitor") == listens("train") == {"retraining"}


def test_all_files_parse_within_seconds(dbt_manifest):
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import dags.ingest, dags.transform"],
        cwd=ROOT, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert time.monotonic() - started < 60
