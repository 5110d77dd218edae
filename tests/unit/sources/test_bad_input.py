"""What is damaged is named or set aside; everything else of the same run arrives."""

from __future__ import annotations

import json
import zipfile

import pytest

from analytics.errors import SchemaError, SettingsError, SourceError
from analytics.lake import bronze, quarantine, read
from tests.landing import (
    BOTH_DAYS,
    DAY_ONE,
    a_line,
    a_tenant,
    drop,
    drop_text,
    events_of,
    run,
    stage,
)  # fmt: skip

PAYMENTS = {
    "name": "payments",
    "format": "csv",
    "table": "payments",
    "path": "{landing}/t1/payments/{date}.csv",
    "columns": {
        "payment_id": "invoice", "listener_id": "user", "paid_at": "at",
        "amount_minor": "amount", "currency": "currency", "kind": "type",
    },
    "units": {"paid_at": "epoch_s", "amount_minor": "major"},
    "owner": "billing",
}  # fmt: skip
HEADER = "invoice,user,at,amount,currency,type\n"


@pytest.fixture
def settings(make_settings):
    """t1 has events and payments, t2 the same events."""
    return make_settings([a_tenant("t1", PAYMENTS, events_of("t1")), a_tenant("t2")])


def both_drop_a_play(settings) -> None:
    for tenant in ("t1", "t2"):
        drop(settings, tenant, "2025-01-06", a_line())


def rules(settings, tenant_id: str = "t1") -> list[str]:
    return quarantine.scan(settings, tenant_id).collect().sort("row_number")["rule"].to_list()


def test_a_line_cut_in_half_a_wrong_type_and_no_utf8_are_set_aside_alone(settings):
    drop(
        settings, "t2", "2025-01-06",
        a_line(), '{"ts": 1736164800000, "userId": "1", "pa', a_line(ts="noon"),
        b'{"page": "Home\xff"}', "[1, 2]", {"ts": 1, "userId": "4"}, "", a_line(itemInSession=1),
    )  # fmt: skip
    landed = run(settings, "t2", DAY_ONE, "run")

    assert rules(settings, "t2") == [
        "row_parses", "type:ts", "row_parses", "row_parses", "page_not_null",
    ]  # fmt: skip
    counts = landed.rows["plays"]
    assert (counts["rows_in"], counts["landed"], counts["quarantined"]) == (7, 2, 5)


def test_csv_values_that_do_not_fit_and_lines_of_the_wrong_width_are_set_aside(settings):
    both_drop_a_play(settings)
    drop_text(
        settings, "t1/payments/2025-01-06.csv",
        HEADER.encode() + b"1,1,1736164800,9.99,EUR,charge\n2,1,soon,9.99,EUR,charge\n"
        b"3,1\n4,1,1736164800,9.99,\xff\xff,charge\n5,1,1736164800,19.99,EUR,charge\n",
    )  # fmt: skip
    run(settings, "t1", DAY_ONE, "run")

    paid = read.scan(settings, "payments").collect().sort("payment_id")
    assert paid["payment_id"].to_list() == ["1", "5"]
    assert paid["amount_minor"].to_list() == [999, 1999]
    assert sorted(rules(settings)) == ["row_parses", "row_parses", "type:at"]
    bad = quarantine.scan(settings).collect().filter(rule="type:at").row(0, named=True)
    assert (bad["value"], bad["column"], json.loads(bad["row"])["invoice"]) == ("soon", "at", "2")


def test_a_missing_required_column_names_source_column_and_owner(settings):
    both_drop_a_play(settings)
    drop_text(
        settings, "t1/payments/2025-01-06.csv", "invoice,user,at,currency,type\n1,1,1,EUR,c\n"
    )
    message = (
        r"t1: source payments: t1/payments/2025-01-06.csv came without amount \(our amount_minor\)"
        r".*\(billing\)"
    )
    with pytest.raises(SchemaError, match=message):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    assert stage(settings, "t1", DAY_ONE)["plays"].height == 1
    assert run(settings, "t2", DAY_ONE, "run").rows["plays"]["landed"] == 1


def test_a_log_without_times_names_the_missing_field(settings):
    drop(settings, "t2", "2025-01-06", {"page": "Home", "userId": "1"})
    with pytest.raises(SchemaError, match=r"t2: source events: .* has no field 'ts'.*app team"):
        bronze.extract(settings, "t2", DAY_ONE, "run")


def test_an_empty_file_brings_nothing_and_stops_nothing(settings):
    both_drop_a_play(settings)
    for empty in ("", HEADER):
        drop_text(settings, "t1/payments/2025-01-06.csv", empty)
        landed = run(settings, "t1", DAY_ONE, "run")
        assert landed.rows["payments"]["rows_in"] == 0
    assert read.scan(settings, "plays", "t1").collect().height == 1


def test_a_source_that_is_not_there_is_named_and_the_rest_arrives(settings):
    both_drop_a_play(settings)
    with pytest.raises(SourceError, match=r"source payments: no file for any day .*\(billing\)"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    assert stage(settings, "t1", DAY_ONE)["plays"].height == 1


def test_a_truncated_parquet_is_named_and_the_other_days_arrive(make_settings, tmp_path):
    import polars as pl

    plays = {
        "name": "plays", "format": "parquet", "table": "plays",
        "path": "{landing}/t1/{date}.parquet",
        "columns": {"listener_id": "who", "track_id": "song", "started_at": "at",
                    "listened_ms": "seconds"},
        "units": {"listened_ms": "seconds", "started_at": "epoch_ms"},
    }  # fmt: skip
    settings = make_settings([a_tenant("t1", plays)])
    frame = pl.DataFrame({"who": [1], "song": ["s"], "at": [1736164800000], "seconds": [1.5]})
    frame.write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    drop_text(settings, "t1/2025-01-06.parquet", content[:-20])
    drop_text(settings, "t1/2025-01-07.parquet", content)

    with pytest.raises(SourceError, match=r"t1/2025-01-06.parquet is damaged or cut off"):
        bronze.extract(settings, "t1", BOTH_DAYS, "run")

    found = stage(settings, "t1", BOTH_DAYS)["plays"].row(0, named=True)
    assert (found["listener_id"], found["listened_ms"], len(found["play_id"])) == ("1", 1500, 32)


def test_a_truncated_zip_and_a_cut_off_history_are_named(make_settings, tmp_path):
    history = {"name": "history", "format": "spotify_extended", "path": "{landing}/{}/*"}
    tenants = [
        a_tenant(t, {**history, "path": f"{{landing}}/{t}/history*"}) for t in ("t1", "t2", "t3")
    ]
    settings = make_settings(tenants)
    play = {"ts": "2025-01-06T12:00:00Z", "ms_played": 60_000, "username": "u",
            "spotify_track_uri": "spotify:track:1"}  # fmt: skip
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("My Data/endsong_0.json", json.dumps([play, {**play, "ms_played": "x"}]))
    content = (tmp_path / "whole.zip").read_bytes()
    drop_text(settings, "t1/history.zip", content[:-30])
    drop_text(settings, "t2/history.zip", content)
    drop_text(settings, "t3/history_endsong_0.json", json.dumps([play])[:-20])

    with pytest.raises(SourceError, match=r"t1: source history: t1/history.zip is damaged"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    with pytest.raises(SourceError, match="is not whole JSON"):
        bronze.extract(settings, "t3", DAY_ONE, "run")
    landed = run(settings, "t2", DAY_ONE, "run").rows["plays"]
    assert (landed["landed"], landed["quarantined"]) == (1, 1)
    assert rules(settings, "t2") == ["type:ms_played"]


def test_a_declaration_that_cannot_work_says_why(make_settings):
    for change, message in (
        ({"units": {"amount_minor": "furlongs"}}, "amount_minor cannot be in 'furlongs'"),
        ({"columns": {"payment_id": "invoice"}}, "payments needs `columns` for"),
        ({"table": "invoices"}, "`table` must be one of"),
        ({"format": "excel"}, "no source format 'excel'"),
    ):
        settings = make_settings([a_tenant("t1", {**PAYMENTS, **change})])
        with pytest.raises(SettingsError, match=message):
            bronze.extract(settings, "t1", DAY_ONE, "run")
