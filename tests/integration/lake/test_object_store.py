"""The lake and its sources in an object store: the same tables as on disk, whatever fails."""

from __future__ import annotations

import gzip
import io
import json
import uuid
import zipfile
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from analytics.errors import LakeError, SourceError
from analytics.lake import content, read
from tests.landing import BOTH_DAYS, DAY_ONE, DAY_TWO, a_line, a_tenant, drop, run

TENANTS = ("t1", "t2")
DAYS = ("2025-01-06", "2025-01-07")
NEXT_NOON = 1_736_164_800_000 + 86_400_000


def lines(day: int) -> list[dict]:
    """Both tenants have the very same ids; day two repeats one play of day one."""
    first = [a_line(), a_line(itemInSession=1)]
    return first if day == 0 else [a_line(), a_line(itemInSession=2, ts=NEXT_NOON)]


def packed(text: bytes, how: str) -> bytes:
    if how == "gz":
        return gzip.compress(text)
    if how == "zst":
        return pa.compress(text, "zstd", asbytes=True)
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("inner/events.jsonl", text)
        archive.writestr("__MACOSX/inner/events.jsonl", b"not ours")
    return kept.getvalue()


@pytest.fixture
def on_disk(make_settings):
    settings = make_settings([a_tenant(t) for t in TENANTS])
    for tenant in TENANTS:
        for number, day in enumerate(DAYS):
            drop(settings, tenant, day, *lines(number))
    return settings


@pytest.fixture
def in_store(on_disk, make_settings, store):
    """The same landing folder, the lake in the store."""
    root = f"s3://{store.bucket}/{uuid.uuid4().hex}"
    return make_settings([a_tenant(t) for t in TENANTS], analytics_lake_root=root)


def run_all(settings) -> dict:
    for tenant in TENANTS:
        for day, run_id in ((DAY_ONE, "one"), (DAY_TWO, "two")):
            run(settings, tenant, day, run_id)
    return content.content_hash(settings)


def test_a_lake_in_an_object_store_holds_the_very_rows_of_one_on_disk(on_disk, in_store):
    assert run_all(in_store) == run_all(on_disk)
    again = run(in_store, "t1", BOTH_DAYS, "again")
    assert again.touched is None
    assert again.rows["plays"]["duplicates"] == 4


def long(*values: str) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize("kind", ["slow_down", long("broken"), long("reset")])
def test_a_store_that_stumbles_is_asked_again(on_disk, in_store, store, kind):
    store.fail({"method": "GET", "path": "_delta_log", "times": 3, "kind": kind},
               {"method": "PUT", "path": "plays", "times": 2, "kind": kind})  # fmt: skip
    assert run_all(in_store) == run_all(on_disk)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        long("PUT", "bronze/t1", "denied"),
        long("PUT", "silver/plays/tenant_id", "denied"),
        ("PUT", "silver/plays/_delta_log", "denied"),
        long("PUT", "ledger", "denied"),
        ("GET", "silver/plays/_delta_log", "cut"),
    ],
)
def test_what_the_store_refuses_is_said_and_done_by_the_next_try(
    on_disk, in_store, store, method, path, kind
):
    run(in_store, "t2", DAY_ONE, "one")  # so that the other tenant's tables are there
    run(in_store, "t1", DAY_ONE, "one")
    store.fail({"method": method, "path": path, "times": 1, "kind": kind})
    with pytest.raises(LakeError, match=r"^the object store of the lake failed: .*run the task"):
        run(in_store, "t1", DAY_TWO, "two")
    assert run_all(in_store) == run_all(on_disk)


@pytest.mark.parametrize("how", ["gz", "zst", "zip"])
def test_sources_are_read_from_a_store_however_they_are_packed(make_settings, store, how):
    folder = uuid.uuid4().hex
    sources = [
        {"name": "events", "format": "eventsim",
         "path": f"s3://{store.bucket}/{folder}/{t}/{{date}}.jsonl.{how}"} for t in TENANTS
    ]  # fmt: skip
    settings = make_settings([a_tenant(t, s) for t, s in zip(TENANTS, sources, strict=True)])
    for tenant in TENANTS:
        for number, day in enumerate(DAYS):
            text = "".join(f"{json.dumps(line)}\n" for line in lines(number)).encode()
            store.put(f"{folder}/{tenant}/{day}.jsonl.{how}", packed(text, how))
    for tenant in TENANTS:
        assert run(settings, tenant, BOTH_DAYS, "run").rows["plays"]["landed"] == 3
        assert run(settings, tenant, BOTH_DAYS, "again").touched is None
    files = read.scan(settings, "events", layer="bronze/t1").select("_file", "_row").collect()
    assert set(files["_file"]) == {f"{day}.jsonl.{how}" for day in DAYS}
    assert sorted(files["_row"]) == [0, 0, 1, 1]


def test_an_object_that_changes_replaces_its_rows(make_settings, store):
    folder = uuid.uuid4().hex
    source = {
        "name": "listeners", "format": "parquet", "table": "listeners",
        "path": f"s3://{store.bucket}/{folder}/*.parquet",
        "columns": {"listener_id": "id", "country": "country", "updated_at": "at"},
    }  # fmt: skip
    settings = make_settings([a_tenant("t1", source), a_tenant("t2", source)])

    def put(country: str) -> None:
        kept = io.BytesIO()
        rows = {"id": ["1", "2"], "country": [country, "SE"], "at": ["2025-01-06T10:00:00Z"] * 2}
        pl.DataFrame(rows).write_parquet(kept)
        store.put(f"{folder}/all.parquet", kept.getvalue())

    put("DE")
    for tenant in TENANTS:
        run(settings, tenant, DAY_ONE, "one")
    put("AT")
    run(settings, "t1", DAY_ONE, "two")
    bronze = {t: read.scan(settings, "listeners", layer=f"bronze/{t}").collect() for t in TENANTS}
    assert sorted(bronze["t1"]["country"]) == ["AT", "SE"]
    assert sorted(bronze["t2"]["country"]) == ["DE", "SE"]


def test_a_store_that_refuses_names_source_address_and_owner(make_settings, store):
    path = f"s3://{store.bucket}/somewhere/{{date}}.jsonl"
    source = {"name": "events", "format": "eventsim", "path": path, "owner": "app team"}
    settings = make_settings([a_tenant("t1", source), a_tenant("t2", source)])
    store.fail({"method": "GET", "path": "somewhere", "times": 9, "kind": "denied"})
    with pytest.raises(SourceError, match=r"t1: source events: s3://.* cannot be asked .*app team"):
        run(settings, "t1", DAY_ONE, "run")
