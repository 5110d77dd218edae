from __future__ import annotations

from pathlib import Path

import pytest

from analytics.errors import SettingsError, UnknownTenant
from analytics.settings import PROJECT
from analytics.sources.faults import checked_tenants
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
        ("format: csv,", "", "tenant t1: source plays: format: Field required"),
    ],
)
def test_a_fault_is_named_by_file_tenant_and_field(tmp_path, was, now, complaint):
    file = a_file(tmp_path, GOOD.replace(was, now))
    with pytest.raises(SettingsError, match=complaint) as caught:
        load_tenants(file)
    assert str(file) in str(caught.value)


def test_a_dsn_in_place_of_its_files_name_is_refused_and_not_echoed(tmp_path: Path):
    dsn = "dsn_secret: postgresql://bob:hunter2@db/ops, format: csv"
    with pytest.raises(SettingsError, match="source plays: dsn_secret") as caught:
        load_tenants(a_file(tmp_path, GOOD.replace("format: csv", dsn)))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path):
    (tmp_path / "latin").write_bytes("tenants: [Café]".encode("latin-1"))
    (tmp_path / "broken").write_text("tenants: [\n  {a: b\n")
    for name, says in (
        (".", r"cannot be read \(Is a directory\); set ANALYTICS_TENANTS_FILE"),
        ("latin", r"is not UTF-8 text \(byte 13\); save it as UTF-8"),
        ("broken", "is not YAML: .*line 3"),
    ):
        with pytest.raises(SettingsError, match=says) as caught:
            load_tenants(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


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


PAYMENTS = (
    "format: csv, table: payments, path: p, columns: {payment_id: a, listener_id: b, paid_at: c, "
    "amount_minor: d, currency: e, kind: f}"
)


@pytest.mark.parametrize(
    ("source", "field", "says"),
    [
        ("format: excel", "format", "no source format 'excel'; known: eventsim"),
        ("format: csv, table: invoices, path: p", "table", "must be one of plays, .*'invoices'"),
        ("format: csv, path: p", "table", "must be one of"),
        (PAYMENTS.replace(" path: p,", ""), "path", "format csv needs it"),
        ("format: eventsim", "path", "format eventsim needs it"),
        ("format: eventsim, path: '{lading}/x'", "path", "{lading} stands for nothing; known"),
        ("format: eventsim, path: p, units: {a: ms}", "units", "eventsim does not read it"),
        (PAYMENTS.replace("csv", "postgres"), "relation", "format postgres needs it"),
        (PAYMENTS.replace("kind: f", "kynd: f"), "columns", "has no column kynd; it has"),
        (PAYMENTS.replace(", kind: f", ""), "columns", "needs `columns` for kind"),
        (PAYMENTS + ", units: {amount_minor: furlongs}", "units", "amount_minor cannot be in"),
        (PAYMENTS + ", units: {amount_minor: seconds}", "units", "known: minor, major"),
        (PAYMENTS + ", units: {paid_at: ms}", "units", "known: epoch_ms, epoch_s, epoch_us, iso"),
        (PAYMENTS + ", units: {kind: ms}", "units", "kind cannot be in 'ms'"),
        (PAYMENTS + ", constants: {kind: charge}", "constants", "kind has a place in `columns`"),
        (
            PAYMENTS.replace("amount_minor: d, ", "") + ", constants: {amount_minor: dear}",
            "constants",
            "amount_minor cannot be 'dear'; it is Int64",
        ),
    ],
)
def test_a_source_that_could_not_be_read_is_found_by_the_check(tmp_path, source, field, says):
    file = a_file(tmp_path, f"tenants: [{{id: t1, name: One, sources: [{{name: a, {source}}}]}}]")
    assert list(load_tenants(file)) == ["t1"]
    with pytest.raises(SettingsError, match=says) as caught:
        checked_tenants(file)
    assert f"{file}: tenant t1: source a: {field}: " in str(caught.value)


def test_the_check_names_every_fault_of_the_file_at_once(tmp_path: Path):
    text = GOOD.replace("    name: Two\n", "")
    file = a_file(tmp_path, text + "  - {id: t3, name: Three, sources: [{name: b, format: xml}]}\n")
    with pytest.raises(SettingsError) as caught:
        checked_tenants(file)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["tenant t2", "tenant t1", "tenant t3"]


def test_the_check_passes_what_can_be_read():
    assert checked_tenants(PROJECT / "tenants.yaml") == load_tenants(PROJECT / "tenants.yaml")
