"""Who may load whom: the light rooms stay light, learning knows no orchestrator."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "mlflow", "airflow", "xgboost", "sklearn", "shap", "evidently", "optuna")


@pytest.mark.parametrize("module", ["analytics", "analytics.ml", "ml", "ml.problems.churn"])
def test_importing_it_loads_no_heavy_library(module):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"


def test_the_managers_two_names_are_one():
    import analytics
    from analytics.ml import MLManager

    assert analytics.MLManager is MLManager


@pytest.mark.parametrize("file", sorted((ROOT / "ml").rglob("*.py")), ids=lambda f: f.stem)
def test_learning_imports_no_airflow(file):
    imported = {
        name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert not {name for name in imported if name.split(".")[0] in {"airflow", "dags"}}
