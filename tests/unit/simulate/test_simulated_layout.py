"""tenants.yaml declares what the simulator writes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from analytics.lake.tables import TABLES
from analytics.settings import PROJECT
from analytics.simulate import layout
from analytics.simulate.profiles import SAMPLE
from analytics.tenants import load_tenants

TENANTS = load_tenants(PROJECT / "tenants.yaml")


@pytest.mark.parametrize("profile", SAMPLE, ids=lambda p: p.id)
def test_every_sample_tenant_is_declared_with_its_currency_and_a_zone_of_its_own(profile):
    tenant = TENANTS[profile.id]
    assert tenant.currency == profile.currency
    assert tenant.time_zone == profile.markets[0].zone


@pytest.mark.parametrize(
    ("tenant_id", "columns", "units"),
    [
        ("spotify_premium", layout.CSV, {}),
        ("indie_radio", layout.PARQUET, layout.PARQUET_UNITS),
        ("nordic_beats", layout.POSTGRES, {}),
    ],
)
def test_declared_columns_and_units_are_those_written(tenant_id, columns, units):
    declared = {s.table: s for s in TENANTS[tenant_id].sources if s.table}
    assert {t: s.columns for t, s in declared.items()} == columns
    assert {t: s.units for t, s in declared.items() if s.units} == units
    for table, names in columns.items():
        assert set(names) == set(TABLES[table].columns) - {"tenant_id"}
    for table, source in declared.items():
        if source.relation:
            assert (source.relation, source.cursor) == (layout.relation(table), layout.CURSOR)


@pytest.mark.parametrize(
    ("tenant_id", "columns", "read"),
    [
        ("spotify_premium", layout.CSV, pl.read_csv),
        ("indie_radio", layout.PARQUET, pl.read_parquet),
    ],
)
def test_files_carry_exactly_the_declared_columns(sent, tenant_id, columns, read):
    _, folder = sent
    for table, names in columns.items():
        found = sorted((folder / "landing" / tenant_id / table).iterdir())
        assert len(found) == 12
        for file in found:
            assert read(file).columns == list(names.values()), file


def test_an_event_log_lies_where_it_is_declared(sent):
    _, folder = sent
    (events,) = [s for s in TENANTS["spotify_premium"].sources if s.format == "eventsim"]
    path = events.path.replace("{landing}", str(folder / "landing")).replace("{date}", "2025-01-03")
    assert Path(path).stat().st_size > 0
