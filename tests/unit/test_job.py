"""The main job's own words."""

from __future__ import annotations

import shlex

from analytics.job.main import _named, settings_for
from analytics.settings import load_settings


def test_commands_for_a_folder_of_exports_name_its_world(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("analytics.job.main.load_settings", lambda: settings)
    exports = tmp_path / "exports"
    exports.mkdir()
    own = settings_for(settings, exports)
    given = dict(word.split("=", 1) for word in shlex.split(_named(own)))
    again = load_settings(given, dotenv=None)
    assert again.analytics_var_dir == own.analytics_var_dir != settings.analytics_var_dir
    assert again.analytics_tenants_file == own.analytics_tenants_file
    assert _named(settings) == ""
