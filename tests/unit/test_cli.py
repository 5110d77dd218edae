"""What goes wrong on the command line: a clear line that says what to do, never a trace."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from polars.exceptions import ComputeError
from typer.testing import CliRunner

from analytics import cli
from analytics.stack.addresses import Endpoints
from analytics.stack.postgres import free_port

TENANT = {"id": "t1", "name": "One", "sources": []}
FILE = "is a file where a folder is needed; move it away, or set ANALYTICS_VAR_DIR"
NEVER_UP = "the local stack is not up; run `analytics up`"
NO_ANSWER = "does not answer"
NO_LAKE = "holds no table yet; `make run` fills it"
UNKNOWN = "no tenant 'nobody' in"
TENANTS_FILE = "set ANALYTICS_TENANTS_FILE"


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """An environment of a place where nothing was ever started, with one tenant."""
    file = tmp_path / "tenants.yaml"
    file.write_text(yaml.safe_dump({"tenants": [TENANT]}))
    return {"ANALYTICS_VAR_DIR": str(tmp_path / "var"), "ANALYTICS_TENANTS_FILE": str(file)}


def nothing(world: dict[str, str]) -> None:
    """No stack was ever up, no data ever came."""


def var_a_file(world: dict[str, str]) -> None:
    Path(world["ANALYTICS_VAR_DIR"]).touch()


def stack_down(world: dict[str, str]) -> None:
    """It was up once; nobody listens on its ports now."""
    at = Endpoints.of({name: free_port() for name in ("postgres", "airflow", "mlflow", "docs")})
    folder = Path(world["ANALYTICS_VAR_DIR"]) / "stack"
    folder.mkdir(parents=True)
    (folder / "endpoints.json").write_text(json.dumps(asdict(at)))


def tenants_a_folder(world: dict[str, str]) -> None:
    world["ANALYTICS_TENANTS_FILE"] = str(Path(world["ANALYTICS_TENANTS_FILE"]).parent)


def tenants_faulty(world: dict[str, str]) -> None:
    faulty = {**TENANT, "sources": [{"name": "plays", "format": "excel"}]}
    file = Path(world["ANALYTICS_TENANTS_FILE"])
    file.write_text(yaml.safe_dump({"tenants": [faulty]}))


def setting_misspelt(world: dict[str, str]) -> None:
    world["ANALYTICS_WORKRES"] = "4"


def login_in_an_address(world: dict[str, str]) -> None:
    world["ML_TRACKING_URI"] = "https://bob:hunter2@mlflow.example"


REPORT = ["report", "--tenant"]
SELECT = ["sql", "select 1"]


@pytest.mark.parametrize(
    ("situation", "arguments", "says"),
    [
        (nothing, ["status"], NEVER_UP),
        (nothing, ["status", "--json"], NEVER_UP),
        (nothing, ["logs"], NEVER_UP),
        (nothing, ["docs"], NEVER_UP),
        (nothing, [*REPORT, "t1"], NEVER_UP),
        (nothing, SELECT, NEVER_UP),
        (nothing, [*SELECT, "--tenant", "t1"], NEVER_UP),
        (nothing, ["lake", "hash"], NO_LAKE),
        (nothing, ["lake", "ledger"], NO_LAKE),
        (nothing, ["lake", "tables"], NO_LAKE),
        (var_a_file, ["status"], FILE),
        (var_a_file, ["down"], FILE),
        (var_a_file, ["logs"], FILE),
        (var_a_file, ["docs"], FILE),
        (var_a_file, [*REPORT, "t1"], FILE),
        (var_a_file, SELECT, FILE),
        (var_a_file, ["lake", "hash"], FILE),
        (var_a_file, ["lake", "ledger"], FILE),
        (var_a_file, ["lake", "tables"], FILE),
        (var_a_file, ["simulate", "--days", "1", "--tenants", "indie_radio"], FILE),
        (stack_down, ["status"], "stopped"),
        (stack_down, ["logs", "nonsense"], "no service 'nonsense'; there are postgres"),
        (stack_down, ["docs"], NO_ANSWER),
        (stack_down, [*REPORT, "t1"], NO_ANSWER),
        (stack_down, SELECT, NO_ANSWER),
        (stack_down, [*SELECT, "--tenant", "t1"], NO_ANSWER),
        (nothing, [*REPORT, "nobody"], UNKNOWN),
        (nothing, [*SELECT, "--tenant", "nobody"], UNKNOWN),
        (nothing, ["lake", "ledger", "--tenant", "nobody"], UNKNOWN),
        (nothing, ["simulate", "--tenants", "nobody"], "the simulator has no tenant 'nobody'"),
        (nothing, ["simulate", "--out", "/proc/nowhere", "--tenants", "indie_radio"], "--out"),
        (nothing, ["simulate", "--scale", "inf"], "scale: Input should be a finite number"),
        (nothing, ["simulate"], "Run `analytics up` first, or leave the tenant out"),
        (nothing, [*REPORT, "t1", "--days", "1000000"], "--days"),
        (nothing, [*REPORT, "t1", "--until", "0001-01-05"], "no data is older than 2000-01-01"),
        (nothing, ["sources", "nonsense"], "No such command"),
        (nothing, ["run", "--data", "/nowhere"], "/nowhere is no folder"),
        (tenants_a_folder, ["tenants", "check"], TENANTS_FILE),
        (tenants_a_folder, [*REPORT, "t1"], TENANTS_FILE),
        (tenants_a_folder, ["lake", "ledger", "--tenant", "t1"], TENANTS_FILE),
        (tenants_faulty, ["tenants", "check"], "source plays: format: no source format 'excel'"),
        (tenants_faulty, ["tenants", "check", "--json"], "no source format 'excel'"),
        (setting_misspelt, ["status"], "Did you mean ANALYTICS_WORKERS"),
        (setting_misspelt, ["lake", "hash"], "Did you mean ANALYTICS_WORKERS"),
        (login_in_an_address, ["down"], "ML_TRACKING_URI holds a login"),
        (login_in_an_address, ["status"], "ML_TRACKING_URI holds a login"),
    ],
    ids=lambda value: (
        getattr(value, "__name__", None) or (" ".join(value) if isinstance(value, list) else "says")
    ),
)
def test_a_command_that_cannot_work_says_what_to_do(world, situation, arguments, says):
    situation(world)
    result = CliRunner().invoke(cli.app, arguments, env=world)
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert says in result.output
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output
    if "error" in result.output:
        assert len(result.output.strip().splitlines()) <= 2  # the simulator's bar is the other


def test_down_where_nothing_is_up_is_no_fault(world):
    result = CliRunner().invoke(cli.app, ["down"], env=world)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "a disk is full, likely that of {var}; m",
        ),
        (ComputeError("parquet: No space left on device (os error 28)"), "a disk is full, likely"),
        (OSError(errno.ENOSPC, "No space left on device", "/big/file"), "the disk of /big/file"),
        (PermissionError(errno.EACCES, "Permission denied", "/var"), "for user root; run this as"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/gone/x"), "/gone/x: no such file; cor"),
        (OSError("a store that is away"), "error a store that is away"),
    ],
)
def test_what_the_system_refuses_is_one_line(world, monkeypatch, error, says):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("analytics.stack.console.status", fail)
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    result = CliRunner().invoke(cli.app, ["status"], env=world)
    assert result.exit_code == 1
    assert says.format(var=world["ANALYTICS_VAR_DIR"]) in result.output
    assert len(result.output.splitlines()) == 1


def test_where_nothing_is_free_any_fault_is_a_full_disk(world, monkeypatch):
    """Libraries tell it in many words; those of Polars, as they were."""

    def fail(*_: object) -> None:
        raise ComputeError("parquet: File out of specification: Invalid thrift: transport error")

    monkeypatch.setattr("analytics.stack.console.status", fail)
    monkeypatch.setattr("analytics.file_system.FEW_BYTES", 2**60)
    result = CliRunner().invoke(cli.app, ["status"], env=world)
    assert result.exit_code == 1
    assert f"likely that of {world['ANALYTICS_VAR_DIR']}; make room" in result.output
    assert "(ComputeError: parquet: File out of specification" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code"), [(["status"], 1), (["status", "--wrong"], 2), (["wrong"], 2)]
)
def test_a_full_disk_is_not_blamed_for_what_a_command_has_to_say(
    world, monkeypatch, arguments, code
):
    monkeypatch.setattr("analytics.stack.console.status", lambda *_: False)
    monkeypatch.setattr("analytics.file_system.FEW_BYTES", 2**60)
    result = CliRunner().invoke(cli.app, arguments, env=world)
    assert result.exit_code == code
    assert "disk" not in result.output


def test_a_fault_of_our_own_keeps_its_trace(world, monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("analytics.stack.console.status", fail)
    assert isinstance(
        CliRunner().invoke(cli.app, ["status"], env=world).exception, ZeroDivisionError
    )
