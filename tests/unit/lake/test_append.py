"""Rows appended as files of our own: other readers read them, statistics skip no row."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.errors import LakeError
from analytics.lake import delta
from analytics.lake.append import statistics

INSTANT = datetime(2025, 1, 6, 12, 0, 0, 123_456, tzinfo=UTC)


def a_frame(*tenants: str) -> pl.DataFrame:
    """The same ids for every tenant, a column of each type that the lake knows."""
    return pl.DataFrame(
        {
            "tenant_id": tenants,
            "id": ["1"] * len(tenants),
            "count": [None, *range(1, len(tenants))],
            "share": [0.5] * len(tenants),
            "flag": [True] * len(tenants),
            "day": [date(2025, 1, 6)] * len(tenants),
            "at": [INSTANT] * len(tenants),
            "words": [[{"word": "a", "share": 1.0}]] * len(tenants),
        },
        schema_overrides={"count": pl.Int64},
    )


def test_what_was_appended_is_what_every_reader_reads(tmp_path):
    uri, frame = str(tmp_path / "table"), a_frame("t1", "t2")
    delta.write(uri, frame, partition_by=["tenant_id"])
    delta.write(delta.open_table(uri), frame)

    twice = pl.concat([frame, frame]).sort("tenant_id")
    columns = frame.columns
    by_polars = pl.scan_delta(uri).select(columns).sort("tenant_id").collect()
    assert by_polars.equals(twice)
    by_arrow = pl.DataFrame(pl.from_arrow(DeltaTable(uri).to_pyarrow_table()))
    assert by_arrow.select(columns).sort("tenant_id").equals(twice)
    by_duckdb = duckdb.arrow(DeltaTable(uri).to_pyarrow_dataset()).query(
        "t", "select count(*), count(distinct tenant_id), max(epoch_us(t.at)) from t"
    )
    assert by_duckdb.fetchall() == [(4, 2, int(INSTANT.timestamp()) * 1_000_000 + 123_456)]
    files = DeltaTable(uri).file_uris()
    assert {f.split("/")[-2] for f in files} == {"tenant_id=t1", "tenant_id=t2"}


def test_the_library_itself_goes_on_where_we_appended(tmp_path):
    uri, frame = str(tmp_path / "table"), a_frame("t1", "t2")
    delta.write(uri, frame, partition_by=["tenant_id"])
    write_deltalake(uri, frame, mode="append")
    delta.write(delta.open_table(uri), a_frame("t1"), predicate="tenant_id = 't1'")
    DeltaTable(uri).optimize.compact()
    assert pl.scan_delta(uri).group_by("tenant_id").len().sort("tenant_id").collect().rows() == [
        ("t1", 1),
        ("t2", 2),
    ]


def test_other_columns_are_refused_and_nothing_is_written(tmp_path):
    uri = str(tmp_path / "table")
    delta.write(uri, a_frame("t1", "t2"), partition_by=["tenant_id"])
    for wrong in (
        a_frame("t1").drop("share"),
        a_frame("t1").with_columns(pl.lit("x").alias("more")),
        a_frame("t1").with_columns(pl.col("id").cast(pl.Int64)),
    ):
        with pytest.raises(LakeError, match="has the columns"):
            delta.write(delta.open_table(uri), wrong)
    assert DeltaTable(uri).version() == 0


def test_no_rows_make_a_table_that_can_be_read(tmp_path):
    uri = str(tmp_path / "table")
    delta.write(uri, a_frame("t1").clear(), partition_by=["tenant_id"])
    assert pl.scan_delta(uri).collect().is_empty()
    delta.write(delta.open_table(uri), a_frame("t1", "t2"))
    assert pl.scan_delta(uri).collect().height == 2


VALUES = {
    "n": st.integers(-(2**63), 2**63 - 1),
    "x": st.floats(allow_nan=False, allow_infinity=False),
    "s": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    "at": st.datetimes(
        datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
    ),
}  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(VALUES)).flatmap(
    lambda c: st.tuples(st.just(c), st.lists(st.none() | VALUES[c], min_size=1, max_size=6))
))  # fmt: skip
def test_the_bounds_of_a_file_hold_all_its_values(column_and_values):
    column, values = column_and_values
    rows = pl.DataFrame({"c": values}, strict=False)
    if rows.schema["c"] == pl.Null:
        return
    found = statistics(rows)
    assert found["numRecords"] == len(values)
    assert found["nullCount"] == {"c": sum(value is None for value in values)}
    if not found["minValues"]:
        return
    least, greatest = found["minValues"]["c"], found["maxValues"]["c"]
    for value in values:
        if value is None:
            continue
        if column == "at":
            least_at, greatest_at = map(datetime.fromisoformat, (least, greatest))
            assert least_at <= value <= greatest_at
        elif column == "s":
            assert least.encode() <= value.encode() <= greatest.encode()
        else:
            assert least <= value <= greatest


def test_a_value_in_no_order_gives_no_bounds():
    assert statistics(pl.DataFrame({"x": [float("inf")]}))["maxValues"] == {}
    assert statistics(pl.DataFrame({"x": [None]}, schema={"x": pl.Float64}))["minValues"] == {}
