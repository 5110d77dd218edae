"""What a chain on the stack wrote down: no password stands in any of it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from analytics import stack as local_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
# Where Airflow keeps what runs, tasks and people handed to it or to one another.
HANDED_OVER = (
    ("xcom", "value"), ("rendered_task_instance_fields", "rendered_fields"), ("dag_run", "conf"),
    ("asset_event", "extra"), ("log", "extra"),
)  # fmt: skip


def passwords(secrets: Path) -> set[str]:
    """Those in plain files, in DSNs and in the file of Airflow's logins."""
    found = set()
    for file in secrets.iterdir():
        text = file.read_text().strip()
        if "://" in text:
            found.add(str(conninfo_to_dict(text)["password"]))
        elif text.startswith("{"):
            found |= set(json.loads(text).values())
        else:
            found.add(text)
    return found


def test_no_password_stands_in_a_log_of_the_chain(chain, stack):
    known = passwords(stack.secrets)
    logs = [file for file in stack.var.rglob("*") if "log" in file.suffix and file.is_file()]
    of_tasks = [file for file in logs if file.is_relative_to(stack.var / "airflow" / "logs")]
    assert min(map(len, known)) > 15
    assert {"ingest", "transform", "train"} <= {
        part.removeprefix("dag_id=") for file in of_tasks for part in file.parts
    }
    assert [
        str(file)
        for file in logs
        if any(password in file.read_text(errors="replace") for password in known)
    ] == []


@pytest.mark.parametrize(("table", "column"), HANDED_OVER)
def test_no_password_is_handed_from_task_to_task_or_kept_by_airflow(chain, stack, table, column):
    known = passwords(stack.secrets)
    query = sql.SQL("select {}::text from {}").format(sql.Identifier(column), sql.Identifier(table))
    with psycopg.connect(local_stack.postgres_of(stack).dsn("airflow")) as connection:
        texts = [text for (text,) in connection.execute(query) if text]
    assert texts, f"nothing in {table}: is it still where Airflow keeps it?"
    assert [text for text in texts if any(password in text for password in known)] == []
