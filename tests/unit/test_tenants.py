from __future__ import annotations

from pathlib import Path

import pytest

from analytics.errors import SettingsError, UnknownTenant
from analytics.settings import PROJECT
from analytics.tenants import get_tenant, load_tenants

GOOD = """
tenants:
  - id: t1
    name: One
    time_zone: Europe/Berlin
    currency: EUR
    sources:
      - {name: plays, format: csv, table: plays, path: "{landing}/t1/*.csv"}
  - id: t2
    name: Two
    sources: []
"""


def a_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "tenants.yaml"
    file.write_text(text)
    return file


def test_a_tenant_is_its_entry_and_defaults(tmp_path: Path):
    tenants = load_tenants(a_file(tmp_path, GOOD))
    assert list(tenants) == ["t1", "t2"]
    assert tenants["t1"].sources[0].format == "csv"
    assert tenants["t2"].time_zone == "UTC"
    assert tenants["t2"].role == "tenant_t2"


@pytest.mark.parametrize(
    ("was", "now", "complaint"),
    [
        ("Europe/Berlin", "Berlin", r"tenant t1: time_zone: .*'Berlin' is no IANA time zone"),
        ("currency: EUR", "currency: euro", "tenant t1: currency"),
        ("name: One", "nmae: One", "tenant t1: nmae"),
        ("id: t2", "id: t1", "tenant t1 is declared twice"),
        ("id: t2", "id: T 2", "tenant T 2: id"),
        ("sources: []", "sources: [{name: a, format: csv}, {name: a, format: csv}]", "named twice"),
        ("format: csv,", "", r"tenant t1: sources\.0\.format: Field required"),
    ],
)
def test_a_fault_is_named_by_file_tenant_and_field(tmp_path, was, now, complaint):
    file = a_file(tmp_path, GOOD.replace(was, now))
    with pytest.raises(SettingsError, match=complaint) as caught:
        load_tenants(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_says_which_setting_names_it(tmp_path: Path):
    with pytest.raises(SettingsError, match="ANALYTICS_TENANTS_FILE"):
        load_tenants(tmp_path / "none.yaml")


def test_an_unknown_tenant_is_refused_with_those_that_exist(settings):
    with pytest.raises(UnknownTenant, match=r"no tenant 't9' .*known: t1, t2"):
        get_tenant(settings, "t9")


def test_the_sample_tenants_are_valid_and_differ_in_kind():
    tenants = load_tenants(PROJECT / "tenants.yaml")
    assert list(tenants) == ["spotify_premium", "indie_radio", "nordic_beats"]
    assert len({t.currency for t in tenants.values()}) == 3
    assert {"eventsim", "csv", "parquet", "postgres"} <= {
        s.format for t in tenants.values() for s in t.sources
    }
