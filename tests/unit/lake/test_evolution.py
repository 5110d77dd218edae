"""A source's columns change: what flows on, what is announced, what stops at the door."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from analytics.errors import SchemaError, SettingsError
from analytics.lake import bronze, delta, ingest, paths, read, schemas
from analytics.lake.candidates import candidates
from analytics.lake.cli import app
from analytics.lake.settling import settle
from analytics.lake.tables import TABLES
from analytics.sources.base import Came, Unit
from analytics.sources.faults import checked_tenants
from analytics.tenants import get_tenant
from tests.builders import a_frame, a_row
from tests.landing import BOTH_DAYS, DAY_ONE, DAY_TWO, a_line, a_tenant, drop, events_of, run

FORMATS = ("csv", "jsonl", "parquet")
ONE_FORMAT = ("csv", *(pytest.param(kind, marks=pytest.mark.long) for kind in FORMATS[1:]))
MAPPED = {
    "payment_id": "invoice", "listener_id": "user", "paid_at": "at", "amount_minor": "cents",
    "currency": "currency", "kind": "type", "plan": "product",
}  # fmt: skip
ROW = {
    "invoice": "1", "user": "u1", "at": "2025-01-06T12:00:00Z", "cents": 999, "currency": "EUR",
    "type": "charge", "product": "premium",
}  # fmt: skip
Row = dict[str, Any]


def payments(tenant_id: str, kind: str = "csv", **declared: Any) -> dict[str, Any]:
    return {
        "name": "payments", "format": kind, "table": "payments", "owner": "billing",
        "path": f"{{landing}}/{tenant_id}/payments/{{date}}.{kind}", "columns": MAPPED, **declared,
    }  # fmt: skip


def two_tenants(make_settings, kind: str = "csv", **declared: Any):
    """t1 as declared, t2 with the same rows and nothing but the mapping."""
    return make_settings(
        [
            a_tenant("t1", payments("t1", kind, **declared), events_of("t1")),
            a_tenant("t2", payments("t2", kind), events_of("t2")),
        ]
    )


def came(settings, day: str, *rows: Row, kind: str = "csv", tenants=("t1", "t2")) -> None:
    """The same file, and a play, for each tenant."""
    for tenant_id in tenants:
        path = settings.landing / tenant_id / "payments" / f"{day}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = pl.DataFrame(list(rows))
        if kind == "csv":
            frame.write_csv(path)
        elif kind == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            frame.write_parquet(path)
        drop(settings, tenant_id, day, a_line(itemInSession=int(day[-2:])))


def table_came(settings, day: str, table: pa.Table) -> None:
    path = settings.landing / "t1" / "payments" / f"{day}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)
    drop(settings, "t1", day, a_line(itemInSession=int(day[-2:])))


def of_silver(settings, tenant_id: str) -> dict[str, str | None]:
    """payment → extras"""
    rows = read.scan(settings, "payments", tenant_id).collect()
    return dict(rows.select("payment_id", "extras").iter_rows())


def changed(settings, tenant_id: str = "t1") -> list[tuple[str, str]]:
    rows = schemas.read(settings, tenant_id, "payments").filter(pl.col("change").is_not_null())
    return list(rows.select("column", "change").iter_rows())


def versions(settings, tenant_id: str = "t1") -> list[int | None]:
    layers = (paths.bronze, paths.bronze_rejects, paths.bronze_schemas)
    return [
        *(delta.version(layer(settings, tenant_id, "payments")) for layer in layers),
        read.version(settings, "silver", "payments"),
    ]


# ------------------------------------------------------------------ a new column


@pytest.mark.parametrize("kind", FORMATS)
def test_a_declared_extra_flows_from_the_file_on_that_has_it(make_settings, kind, caplog):
    settings = two_tenants(make_settings, kind, extras=["mood", "till"])
    came(settings, "2025-01-06", ROW, kind=kind)
    second = [{**ROW, "invoice": "2", "mood": 'so "so"', "till": 7}]
    second.append({**ROW, "invoice": "3", "mood": None, "till": None})
    came(settings, "2025-01-07", *second, kind=kind)
    for tenant_id in ("t1", "t2"):
        run(settings, tenant_id, DAY_ONE, "one")
        run(settings, tenant_id, DAY_TWO, "two")

    whole = '{"mood":"so \\"so\\"","till":"7"}'
    assert of_silver(settings, "t1") == {"1": None, "2": whole, "3": None}
    assert of_silver(settings, "t2") == {"1": None, "2": None, "3": None}
    assert changed(settings) == [("mood", "added"), ("till", "added")]
    assert (
        "t1: source payments: t1/payments/2025-01-07."
        f"{kind}: new column mood, carried in `extras`; new column till, carried in `extras`"
    ) in caplog.messages
    assert any("t2: " in m and "mood, not carried; declare it" in m for m in caplog.messages)


@pytest.mark.parametrize("kind", ONE_FORMAT)
def test_the_first_file_of_a_source_is_no_news_and_neither_is_the_same_again(
    make_settings, kind, caplog
):
    settings = two_tenants(make_settings, kind)
    came(settings, "2025-01-06", {**ROW, "mood": "calm"}, kind=kind)
    came(settings, "2025-01-07", {**ROW, "mood": "wild"}, kind=kind)
    run(settings, "t1", BOTH_DAYS, "one")
    left = versions(settings)
    run(settings, "t1", BOTH_DAYS, "two")

    assert versions(settings) == left
    assert changed(settings) == []
    assert schemas.last(settings, "t1", "payments")["mood"] == "string"
    assert not [m for m in caplog.messages if "mood" in m]


def test_an_undeclared_column_is_read_from_all_its_files_once_it_is_declared(make_settings):
    settings = two_tenants(make_settings)
    came(settings, "2025-01-06", ROW)
    came(settings, "2025-01-07", {**ROW, "invoice": "2", "mood": "calm"})
    run(settings, "t1", BOTH_DAYS, "one")
    assert "mood" not in pl.read_delta(paths.bronze(settings, "t1", "payments")).columns

    settings = two_tenants(make_settings, extras=["mood"])
    landed = run(settings, "t1", BOTH_DAYS, "two").rows["payments"]

    assert (landed["landed"], landed["corrected"], landed["duplicates"]) == (0, 1, 1)
    assert of_silver(settings, "t1") == {"1": None, "2": '{"mood":"calm"}'}
    assert pl.read_delta(paths.bronze(settings, "t1", "payments")).height == 2
    assert changed(settings) == [("mood", "added")]


def test_a_correction_of_an_extra_replaces_it_and_keeps_the_id(make_settings):
    """Without a declared key the id is a hash of what is mapped, never of an extra."""
    columns = {ours: theirs for ours, theirs in MAPPED.items() if ours != "payment_id"}
    settings = two_tenants(make_settings, extras=["mood"], columns=columns)
    came(settings, "2025-01-06", {**ROW, "mood": "calm"})
    run(settings, "t1", DAY_ONE, "one")
    came(settings, "2025-01-06", {**ROW, "mood": "wild"})
    landed = run(settings, "t1", DAY_ONE, "two").rows["payments"]

    assert landed["corrected"] == 1
    assert list(of_silver(settings, "t1").values()) == ['{"mood":"wild"}']


def test_json_that_leaves_a_key_out_has_not_lost_it(make_settings, caplog):
    settings = two_tenants(make_settings, "jsonl", extras=["mood"])
    came(settings, "2025-01-06", {**ROW, "mood": "calm", "note": "x"}, kind="jsonl")
    without = {k: v for k, v in ROW.items() if k != "product"}
    came(settings, "2025-01-07", without, kind="jsonl")
    run(settings, "t1", BOTH_DAYS, "one")
    assert changed(settings) == []


# ------------------------------------------------------------- a column that goes


@pytest.mark.parametrize("kind", ["csv", pytest.param("parquet", marks=pytest.mark.long)])
def test_an_optional_column_that_goes_is_announced(make_settings, kind, caplog):
    settings = two_tenants(make_settings, kind)
    came(settings, "2025-01-06", ROW, kind=kind)
    came(
        settings, "2025-01-07",
        {k: v for k, v in ROW.items() if k != "product"} | {"invoice": "2"}, kind=kind,
    )  # fmt: skip
    run(settings, "t1", BOTH_DAYS, "one")

    assert changed(settings) == [("product", "dropped")]
    assert any("column product is gone" in m for m in caplog.messages)
    plans = read.scan(settings, "payments", "t1").collect().sort("payment_id")["plan"]
    assert plans.to_list() == ["premium", None]


@pytest.mark.parametrize("kind", ONE_FORMAT)
def test_a_required_column_that_goes_stops_its_file_alone(make_settings, kind):
    settings = two_tenants(make_settings, kind)
    came(settings, "2025-01-06", ROW, kind=kind)
    came(settings, "2025-01-07", {k: v for k, v in ROW.items() if k != "cents"}, kind=kind)
    with pytest.raises(
        SchemaError,
        match=r"t1: source payments: .*2025-01-07.* came without cents .*\(billing\)",
    ):
        bronze.extract(settings, "t1", BOTH_DAYS, "one")
    assert pl.read_delta(paths.bronze(settings, "t1", "payments")).height == 1
    assert pl.read_delta(paths.bronze(settings, "t1", "events")).height == 2
    assert changed(settings) == []


@pytest.mark.parametrize("kind", ONE_FORMAT)
def test_with_none_the_gate_tells_that_a_required_column_went(make_settings, kind):
    settings = two_tenants(make_settings, kind, compatibility="none")
    came(settings, "2025-01-06", ROW, kind=kind)
    came(settings, "2025-01-07", {k: v for k, v in ROW.items() if k != "cents"}, kind=kind)
    bronze.extract(settings, "t1", BOTH_DAYS, "one")
    amounts = candidates(settings, "t1", BOTH_DAYS)[0]["payments"]["amount_minor"]
    assert sorted(amounts, key=str) == [999, None]


# --------------------------------------------------------------- a type that changes


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_type_stops_its_file_alone_and_names_source_column_and_owner(make_settings, kind):
    settings = two_tenants(make_settings, kind)
    came(settings, "2025-01-06", ROW, kind=kind)
    dear = [{**ROW, "invoice": str(n), "cents": "a lot"} for n in (2, 3)]
    came(settings, "2025-01-07", *dear, kind=kind)
    for run_id in ("one", "two"):
        with pytest.raises(SchemaError) as caught:
            bronze.extract(settings, "t1", BOTH_DAYS, run_id)
        assert str(caught.value) == (
            f"t1: source payments: t1/payments/2025-01-07.{kind} changed the type of cents "
            "(was int64, is string), which compatibility backward forbids. Nothing of it was "
            "taken; ask its owner (billing) to send it as before, or declare "
            "`compatibility: none` for the run that takes it"
        )
    assert pl.read_delta(paths.bronze(settings, "t1", "payments"))["invoice"].to_list() == ["1"]
    assert pl.read_delta(paths.bronze(settings, "t1", "events")).height == 2
    assert changed(settings) == []

    came(settings, "2025-01-07", {**ROW, "invoice": "2"}, kind=kind)
    assert bronze.extract(settings, "t1", BOTH_DAYS, "mended").rows_in == 1


@pytest.mark.parametrize("kind", ONE_FORMAT)
def test_a_change_that_none_let_in_stays_in_and_the_declared_type_may_come_back(
    make_settings, kind
):
    came_with = {"2025-01-06": 999, "2025-01-07": "a lot", "2025-01-08": 5}
    settings = two_tenants(make_settings, kind, compatibility="none")
    for day, cents in list(came_with.items())[:2]:
        came(settings, day, {**ROW, "invoice": day[-1], "cents": cents}, kind=kind)
    bronze.extract(settings, "t1", BOTH_DAYS, "one")
    assert candidates(settings, "t1", BOTH_DAYS)[1].rejected("payments") == 1

    settings = two_tenants(make_settings, kind, extras=["mood"])  # and all is read anew
    came(settings, "2025-01-08", {**ROW, "invoice": "8", "cents": 5}, kind=kind)
    days = type(BOTH_DAYS).of("2025-01-06", "2025-01-09")
    bronze.extract(settings, "t1", days, "two")

    kept = pl.read_delta(paths.bronze(settings, "t1", "payments"))
    assert sorted(kept["cents"]) == [5, 999]
    assert changed(settings) == [("cents", "changed"), ("cents", "changed")]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_one_value_that_does_not_fit_is_no_change_of_type(make_settings, kind):
    settings = two_tenants(make_settings, kind)
    came(settings, "2025-01-06", ROW, kind=kind)
    came(settings, "2025-01-07", ROW, {**ROW, "cents": "a lot"}, kind=kind)
    assert bronze.extract(settings, "t1", BOTH_DAYS, "one").rows_rejected == 1
    assert changed(settings) == []


def test_few_bad_values_of_a_rare_column_are_no_change_of_type(make_settings):
    """The only value of a column is bad, yet within the budget of 1 %."""
    settings = make_settings(
        [
            a_tenant(
                "t1",
                payments(
                    "t1",
                ),
                events_of("t1"),
            )
        ]
    )
    plain = {**ROW, "cents": None}
    came(settings, "2025-01-06", ROW)
    rows = [{**plain, "invoice": str(n)} for n in range(150)]
    came(settings, "2025-01-07", {**ROW, "cents": "a lot"}, *rows)
    assert bronze.extract(settings, "t1", BOTH_DAYS, "one").rows_rejected == 1


ALL = {"backward", "forward", "full", "none"}


@pytest.mark.parametrize(
    ("before", "after", "passes", "seen"),
    [
        ("int32", "float64", {"backward", "none"}, "float64"),
        ("int16", "int32", {"backward", "none"}, "int32"),
        ("int32", "uint16", {"backward", "forward", "none"}, "int32"),
        ("uint32", "int16", {"none"}, "int16"),
        ("float64", "float32", {"backward", "forward", "none"}, "float64"),
        ("float64", "int64", ALL, "float64"),  # as declared
        ("string", "int64", ALL, "int64"),  # as declared
        ("int32", "int32", ALL, "int32"),
        ("int32", "null", ALL, "int32"),
        ("null", "int32", ALL, "int32"),
        ("int64", "string", {"none"}, "string"),
        ("int64", "bool", {"none"}, "bool"),
    ],
)
@pytest.mark.parametrize("compatibility", sorted(ALL))
def test_each_class_lets_its_changes_of_type_pass(
    make_settings, before, after, passes, seen, compatibility
):
    settings = two_tenants(make_settings, "parquet", compatibility=compatibility)
    tenant = get_tenant(settings, "t1")
    door = schemas.Door(settings, tenant, tenant.sources[0])
    door.admit(Unit("one", "1", None), Came({"cents": before}))
    if compatibility in passes:
        door.admit(Unit("two", "2", None), Came({"cents": after}))
    else:
        seen = before
        with pytest.raises(SchemaError, match=rf"two .* cents \(was {before}, is {after}\)"):
            door.admit(Unit("two", "2", None), Came({"cents": after}))
    door.record("run")
    assert schemas.last(settings, "t1", "payments") == {"cents": seen}
    assert schemas.last(settings, "t2", "payments") == {}


def test_a_column_nobody_declared_may_change_as_it_likes(make_settings):
    settings = two_tenants(make_settings, "parquet", compatibility="full")
    tenant = get_tenant(settings, "t1")
    door = schemas.Door(settings, tenant, tenant.sources[0])
    for number, kind in enumerate(("int32", "string", "list<item: int64>")):
        door.admit(Unit(kind, str(number), None), Came({"note": kind}))
    door.record("run")
    assert changed(settings) == [("note", "changed"), ("note", "changed")]


@pytest.mark.parametrize("compatibility", ["backward", "full"])
def test_another_layout_of_the_same_type_is_no_change(make_settings, compatibility):
    settings = two_tenants(make_settings, "parquet", compatibility=compatibility)
    noon = datetime(2025, 1, 6, 12, tzinfo=UTC)
    rest = {k: [v] for k, v in ROW.items() if k not in ("currency", "at", "product")}
    layouts = [
        ("2025-01-06", pa.string(), pa.timestamp("ms"), pa.null()),
        (
            "2025-01-07",
            pa.dictionary(pa.int8(), pa.string()),
            pa.timestamp("us", "UTC"),
            pa.string(),
        ),
        ("2025-01-08", pa.large_string(), pa.timestamp("ns"), pa.null()),
    ]
    for day, text, instant, plan in layouts:
        typed = {
            "currency": pa.array(["EUR"]).cast(text), "at": pa.array([noon], instant),
            "product": pa.array([None], plan),
        }  # fmt: skip
        table_came(settings, day, pa.table({**rest, **typed}))
    days = type(BOTH_DAYS).of("2025-01-06", "2025-01-09")
    assert bronze.extract(settings, "t1", days, "one").rows_rejected == 0
    assert pl.read_delta(paths.bronze(settings, "t1", "payments")).height == 3
    assert changed(settings) == []


# ------------------------------------------------- where people look, and retries


def test_a_command_shows_every_change_of_each_tenant(make_settings):
    settings = two_tenants(make_settings, extras=["mood"])
    came(settings, "2025-01-06", ROW)
    came(settings, "2025-01-07", {**ROW, "mood": "calm"})
    for tenant_id in ("t1", "t2"):
        bronze.extract(settings, tenant_id, BOTH_DAYS, "one")
    env = {
        "ANALYTICS_VAR_DIR": str(settings.var),
        "ANALYTICS_TENANTS_FILE": str(settings.analytics_tenants_file), "COLUMNS": "200",
    }  # fmt: skip
    shown = CliRunner().invoke(app, ["schemas"], env=env).output
    assert "t1/payments/2025-01-07.csv  new column mood, carried in `extras`" in shown
    assert "t2/payments/2025-01-07.csv  new column mood, not carried; declare it" in shown
    only = CliRunner().invoke(app, ["schemas", "--tenant", "t2"], env=env).output
    assert "t1/" not in only


@pytest.mark.parametrize(
    "step", ["app", pytest.param("_set_rejects_aside", marks=pytest.mark.long)]
)
def test_a_try_that_dies_behind_the_schema_is_made_good_by_the_next(
    make_settings, monkeypatch, step, caplog
):
    settings = two_tenants(make_settings, extras=["mood"])
    came(settings, "2025-01-06", ROW)
    for tenant_id in ("t1", "t2"):
        run(settings, tenant_id, DAY_ONE, "one")
    came(settings, "2025-01-07", {**ROW, "invoice": "2", "mood": "calm"})

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest, step, die)
        with pytest.raises(KeyboardInterrupt):
            bronze.extract(settings, "t1", DAY_TWO, "two")
    assert pl.read_delta(paths.bronze(settings, "t1", "payments")).height == 1
    run(settings, "t1", DAY_TWO, "again")

    assert of_silver(settings, "t1") == {"1": None, "2": '{"mood":"calm"}'}
    assert changed(settings) == [("mood", "added")]


def test_silver_of_an_earlier_release_grows_and_keeps_its_rows(make_settings):
    settings = two_tenants(make_settings, extras=["mood"])
    came(settings, "2025-01-06", ROW)
    for tenant_id in ("t1", "t2"):
        run(settings, tenant_id, DAY_ONE, "one")
    uri = paths.table(settings, "silver", "payments")
    write_deltalake(
        uri, pl.read_delta(uri).drop("extras"), mode="overwrite", schema_mode="overwrite",
        partition_by=["tenant_id"],
    )  # fmt: skip
    before = of_silver(settings, "t1")

    came(settings, "2025-01-07", {**ROW, "invoice": "2", "mood": "calm"})
    run(settings, "t1", DAY_TWO, "two")

    assert before == {"1": None}
    assert of_silver(settings, "t1") == {"1": None, "2": '{"mood":"calm"}'}
    assert of_silver(settings, "t2") == {"1": None}


# ------------------------------------------------------------------ declarations


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"extras": ["cents"]}, "extras: cents has a place in `columns` already"),
        ({"extras": ["_row"]}, "extras: bronze has a column _row of its own"),
        ({"compatibility": "both"}, "compatibility: Input should be 'backward', 'forward'"),
        ({"columns": {**MAPPED, "extras": "x"}}, "columns: payments has no column extras"),
    ],
)
def test_a_declaration_that_cannot_work_is_named(make_settings, declared, says):
    settings = two_tenants(make_settings, **declared)
    with pytest.raises(SettingsError, match="t1") as caught:
        checked_tenants(settings.analytics_tenants_file)
    assert says in str(caught.value)


@pytest.mark.parametrize("field", [{"extras": ["level"]}, {"compatibility": "full"}])
def test_a_format_with_columns_of_its_own_takes_neither(make_settings, field):
    settings = make_settings([a_tenant("t1", events_of("t1") | field)])
    with pytest.raises(SettingsError, match=f"events: {next(iter(field))}: .*take it out"):
        checked_tenants(settings.analytics_tenants_file)


# ------------------------------------------------------------- extras of a state


def listener(hour: int, **extras: str) -> Row:
    at = datetime.fromisoformat(f"2025-01-06T{hour:02}:00:00+00:00")
    packed = json.dumps(extras, sort_keys=True, separators=(",", ":")) if extras else None
    return a_row("listeners", updated_at=at, country=None, extras=packed)


def settled(*landings: list[Row]) -> list[Row]:
    table = TABLES["listeners"]
    held = a_frame("listeners").with_columns(pl.lit(None, pl.Date).alias("_arrived_on"))
    for rows in landings:
        frame = a_frame("listeners", *rows).with_columns(
            pl.lit("f").alias("_file"), pl.int_range(pl.len()).alias("_row"),
            pl.lit(None, pl.Date).alias("_arrived_on"),
        )  # fmt: skip
        new = settle(table, frame, held).rows.select(held.columns)
        held = pl.concat([held.join(new, on=table.key, how="anti"), new])
    return held.drop("_arrived_on").to_dicts()


def test_an_extra_that_a_state_does_not_say_stays_what_it_was():
    (row,) = settled([listener(1, mood="calm", tier="a")], [listener(2, tier="b")], [listener(3)])
    assert json.loads(row["extras"]) == {"mood": "calm", "tier": "b"}
    assert row["updated_at"].hour == 2  # the third says nothing new


@pytest.mark.parametrize("hours", [(1, 2, 3, 4), (1, 1, 2, 2), (1, 1, 1, 1)])
def test_one_run_and_one_a_row_end_with_the_same_extras(hours):
    told: list[dict[str, str]] = [{"a": "1"}, {"b": "2"}, {}, {"a": "1", "c": 'x"}'}]
    rows = [listener(hour, **extras) for hour, extras in zip(hours, told, strict=True)]
    one_run = settled(rows)
    assert settled(*([row] for row in rows)) == one_run
    assert json.loads(one_run[0]["extras"]) == {"a": "1", "b": "2", "c": 'x"}'}
