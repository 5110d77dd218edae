"""`make lint` finds a secret wherever it could be committed, and looks at nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from analytics.settings import PROJECT

TOKEN = "ghp_" + "1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ1"


def look(folder: Path) -> int:
    """What the scan that `make lint` runs says of a folder."""
    recipe = subprocess.run(
        ["make", "--no-print-directory", "-n", "lint"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    command = recipe[recipe.index(".venv/bin/kingfisher") :]
    return subprocess.run(
        ["sh", "-c", f"{PROJECT}/{command}"],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
    ).returncode  # fmt: skip


@pytest.mark.parametrize(
    ("place", "is_found"),
    [
        ("ml/train.py", True),
        ("docs/stack.md", True),
        ("tenants.yaml", True),
        (".github/workflow.yml", True),
        ("var/secrets/token", False),
        (".env", False),
        (".venv/lib/a.py", False),
        ("dbt_project/target/manifest.json", False),
    ],
)
def test_a_secret_is_found_where_it_could_be_committed(tmp_path, place, is_found):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(f'token = "{TOKEN}"\n')
    assert (look(tmp_path) != 0) is is_found
