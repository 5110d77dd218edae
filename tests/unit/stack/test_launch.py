import json
import os
import subprocess
import sys

from analytics.stack import launch
from analytics.stack.services import Service


def launched(tmp_path, **changes):
    code = "import os, json; print(json.dumps([dict(os.environ), os.getcwd(), os.geteuid()]))"
    service = Service(
        name="x",
        command=[sys.executable, "-c", code],
        folder=changes.pop("folder", tmp_path),
        environment={"ODD": "a \"b\" 'c' %(d)s ;#\n"},
        **changes,
    )
    spec = tmp_path / "x.json"
    spec.write_text(service.specification())
    caller = {"PATH": os.environ["PATH"], "ANALYTICS_WORKERS": "9", "PYTHONPATH": "/x", "KEEP": "1"}
    done = subprocess.run(
        [sys.executable, "-I", launch.__file__, spec], env=caller, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_any_password_arrives_unchanged(tmp_path):
    environment, *_ = launched(tmp_path)
    assert environment["ODD"] == "a \"b\" 'c' %(d)s ;#\n"


def test_the_callers_settings_do_not_leak_into_a_service(tmp_path):
    environment, *_ = launched(tmp_path)
    assert "ANALYTICS_WORKERS" not in environment
    assert "PYTHONPATH" not in environment
    assert environment["KEEP"] == "1"


def test_it_runs_in_its_own_folder(tmp_path):
    _, folder, _ = launched(tmp_path)
    assert folder == str(tmp_path.resolve())
