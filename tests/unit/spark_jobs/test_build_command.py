"""`python -m spark_jobs.build`: what is typed wrong is said, not traced."""

from __future__ import annotations

import pytest

from spark_jobs import build


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "python -m spark_jobs.build TENANT FROM TO"),
        (["t1", "2025-01-xx", "2025-01-02"], 1, "'from' is not a date: '2025-01-xx'"),
        (["t1", "2025-01-02", "2025-01-01"], 1, "must be later than"),
        (["nobody", "2025-01-01", "2025-01-02"], 1, "no tenant 'nobody'"),
    ],
)
def test_what_is_typed_wrong_is_said(settings, monkeypatch, capsys, arguments, code, says):
    monkeypatch.setattr(build, "load_settings", lambda: settings)
    assert build.main(arguments) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


def test_a_misspelt_setting_is_said(monkeypatch, capsys):
    monkeypatch.setenv("ANALYTICS_WORKRES", "4")
    assert build.main(["t1", "2025-01-01", "2025-01-02"]) == 1
    assert "Did you mean ANALYTICS_WORKERS" in capsys.readouterr().err
