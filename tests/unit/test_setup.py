"""Set-up on a made-up machine: which Python, which torch, what it says, when it does nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from analytics.settings import PROJECT

TOOLS = ("sh", "cat", "cksum", "chmod", "cp", "dirname", "grep", "mkdir", "rm", "sed")
LOCK = "polars==2.1.0\n"
PROJECT_FILE = 'dependencies = [\n    "polars==2.1.0",\n    "torch==2.13.0",\n]\n'

# A Python of some version: answers -c as that version, makes environments, installs uv by pip.
PYTHON = """#!/bin/sh
case "$1 $2" in
-c*) PYTHONPATH="$MACHINE/site" exec {real} -S -c "import sys
sys.version_info = ({version}, 1)
sys.version = '{version} {name}'
$2" ;;
--version*) echo "Python $(echo '{version}' | sed 's/, /./').1" ;;
"-m venv")
    echo "{name} $*" >>"$MACHINE/calls"
    for folder in "$@"; do :; done
    mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
"-m pip")
    [ "$3" = --version ] && {{ [ ! -e "$MACHINE/no-pip" ]; exit; }}
    echo "{name} $*" >>"$MACHINE/calls"
    [ ! -e "$MACHINE/no-index" ] || exit 1
    mkdir -p .venv/uv/bin && cp "$MACHINE/uv" .venv/uv/bin/uv ;;
*) exit 2 ;;
esac
"""
# Notes what it is asked for; the files beside it say what it plans and what it fails at.
UV = """#!/bin/sh
case "$*" in
*--dry-run*) echo "plan $*" >>"$MACHINE/calls"; cat "$MACHINE/plan" >&2; exit ;;
*"-e ."*) kind=editable ;;
*) kind=install ;;
esac
echo "$kind $*" >>"$MACHINE/calls"
[ ! -e "$MACHINE/no-$kind" ]
"""


@dataclass
class Machine:
    """A checkout and a PATH of our own making."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    def has(self, name: str, text: str = "") -> None:
        """A file that changes what the stubs do."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def command(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def python(self, name: str, version: str) -> None:
        text = PYTHON.format(real=sys.executable, version=version.replace(".", ", "), name=name)
        self.command(name, text)

    def set_up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "deploy/setup.sh"],
            cwd=self.checkout,
            env={"PATH": f"{self.folder / 'bin'}", "MACHINE": str(self.folder), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self) -> list[str]:
        """What was asked of the stubs since the last look."""
        file = self.folder / "calls"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    def interpreter(self) -> str:
        """The name of the Python that made the environment."""
        text = (self.checkout / ".venv/bin/python").read_text()
        return re.findall(r"echo \"(\S+) \$\*\"", text)[0]


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A machine without any Python."""
    machine = Machine(tmp_path)
    for folder in ("bin", "site", "checkout/deploy"):
        (tmp_path / folder).mkdir(parents=True)
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    shutil.copy(PROJECT / "deploy" / "setup.sh", machine.checkout / "deploy")
    (machine.checkout / "pyproject.toml").write_text(PROJECT_FILE)
    (machine.checkout / "requirements.lock").write_text(LOCK)
    machine.has("uv", UV)
    (tmp_path / "uv").chmod(0o755)
    machine.has("plan", " + torch==2.13.0+cpu\n")
    return machine


@pytest.fixture
def machine(bare: Machine) -> Machine:
    bare.python("python3.11", "3.11")
    return bare


def kinds(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls]


def test_from_nothing_it_makes_an_environment_and_installs_what_is_locked(machine: Machine):
    done = machine.set_up()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("setup: done\n")
    calls = machine.calls()
    assert kinds(calls) == ["python3.11", "python3.11", "install", "editable"]
    assert "-r requirements.lock torch==2.13.0" in calls[2]
    assert "--torch-backend=auto" in calls[2]


def test_the_second_time_it_says_and_does_nothing(machine: Machine):
    machine.set_up()
    machine.calls()
    again = machine.set_up()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert machine.calls() == []


@pytest.mark.parametrize("file", ["pyproject.toml", "requirements.lock"])
def test_a_changed_pin_is_installed_into_the_environment_there_is(machine: Machine, file: str):
    machine.set_up()
    machine.calls()
    with (machine.checkout / file).open("a") as pins:
        pins.write("# changed\n")
    assert machine.set_up().returncode == 0
    assert kinds(machine.calls()) == ["install", "editable"]


def test_another_python_makes_the_environment_anew_and_is_then_kept(machine: Machine):
    machine.python("python3.12", "3.12")
    machine.set_up()
    assert machine.interpreter() == "python3.11"
    assert machine.set_up(PYTHON="python3.12").returncode == 0
    assert machine.interpreter() == "python3.12"
    machine.calls()
    for chosen in ({"PYTHON": "python3.12"}, {}):
        assert machine.set_up(**chosen).returncode == 0
        assert machine.interpreter() == "python3.12"
        assert machine.calls() == []


def test_an_environment_whose_python_is_gone_is_made_again(machine: Machine):
    machine.set_up()
    (machine.checkout / ".venv/bin/python").unlink()
    machine.calls()
    assert machine.set_up().returncode == 0
    assert kinds(machine.calls()) == ["python3.11", "python3.11", "install", "editable"]


@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_a_wrong_python_is_refused_with_what_to_do(machine: Machine, version: str):
    machine.python("python-other", version)
    said = machine.set_up(PYTHON="python-other")
    assert said.returncode == 1
    assert said.stderr == (
        "setup: 'python-other' is not Python 3.11 or 3.12; "
        "name one: make setup PYTHON=/path/to/python3.11\n"
    )
    assert machine.calls() == []
    assert not (machine.checkout / ".venv").exists()


def test_no_fitting_python_on_the_path_is_said(bare: Machine):
    bare.python("python3", "3.9")
    said = bare.set_up()
    assert said.returncode == 1
    assert "Python 3.11 or 3.12 is needed and not on the PATH; install it, or name one" in (
        said.stderr
    )


def no_gpu_wheels(machine: Machine) -> None:
    machine.has("plan", " + nvidia-cublas==13.1.1.3\n + torch==2.13.0\n")


def a_gpu(machine: Machine) -> None:
    no_gpu_wheels(machine)
    machine.command("nvidia-smi", "#!/bin/sh\n")


@pytest.mark.parametrize("variable", ["UV_FIND_LINKS", "PIP_FIND_LINKS"])
@pytest.mark.parametrize(
    ("given", "planned", "asks_driver"),
    [(lambda _: None, True, False), (no_gpu_wheels, True, True), (a_gpu, False, False)],
    ids=["a CPU build", "only CUDA", "a GPU"],
)
def test_a_folder_of_wheels_never_brings_cuda_to_a_machine_without_gpu(
    machine: Machine,
    given: Callable[[Machine], None],
    planned: bool,
    asks_driver: bool,
    variable: str,
):
    given(machine)
    done = machine.set_up(**{variable: "/wheels"})
    assert done.returncode == 0
    calls = machine.calls()
    assert kinds(calls)[2:] == [*(["plan"] if planned else []), "install", "editable"]
    assert ("--torch-backend=auto" in calls[-2]) is asks_driver
    assert ("/wheels has no CPU build of torch" in done.stdout) is asks_driver


def test_cuda_that_came_all_the_same_ends_red(machine: Machine):
    machine.has("site/nvidia_cublas-13.dist-info/METADATA", "Name: nvidia-cublas\nVersion: 13\n")
    for _ in range(2):
        said = machine.set_up()
        assert said.returncode == 1
        assert "CUDA packages were installed on a machine without a GPU" in said.stderr
    machine.command("nvidia-smi", "#!/bin/sh\n")
    assert machine.set_up().returncode == 0


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("no-pip", "pip is missing; install it"),
        ("no-index", "could not install uv; is the package index reachable?"),
        ("no-install", "some packages could not be installed (see above); run the same command"),
        ("no-editable", "the project itself could not be installed (see above); run the same"),
    ],
)
def test_what_is_missing_is_said_and_the_next_call_goes_on(
    machine: Machine, missing: str, said: str
):
    machine.has(missing)
    red = machine.set_up()
    assert red.returncode == 1
    assert f"setup: {said}" in red.stderr
    (machine.folder / missing).unlink()
    assert machine.set_up().returncode == 0
    machine.calls()
    assert machine.set_up().returncode == 0
    assert machine.calls() == []


def test_help_lists_every_target():
    text = (PROJECT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert targets
    said = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    listed = re.findall(r"^  make (\S+) +\S", said, re.M)
    assert sorted(listed) == sorted(targets[1].split())
    assert set(re.findall(r"^([a-z0-9-]+):", text, re.M)) == set(listed)
