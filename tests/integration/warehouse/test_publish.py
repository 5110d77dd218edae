"""Marts into serve: what readers see, what is replaced, and what is noted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.errors import UnknownTenant, WarehouseError
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.warehouse import Published, connect, content_hash, publish, read

pytestmark = pytest.mark.integration

JANUARY = Interval.of("2025-01-01", "2025-02-01")
EVIDENCE = {"lake_versions": {"silver/plays": 3}, "gate": {"marts": "passed"}}

MARTS = """
create table marts.fct_plays (
    play_key text, tenant_id text, play_id text, started_at timestamptz, listened_ms bigint
);
create table marts.dim_listeners (tenant_id text, listener_id text, country text, plays bigint);
insert into marts.fct_plays
select t || n, t, 'p' || n, timestamptz '2025-01-01 00:00Z' + n * interval '1 day', 1000
from unnest(array['t1', 't2']) as t, generate_series(0, 59) as n;
insert into marts.dim_listeners
values ('t1', 'l1', 'DE', 60), ('t2', 'l1', 'US', 60);
"""


def model(name: str, parents: tuple[str, ...] = (), checksum: str = "1", **meta: Any) -> dict:
    return {
        "resource_type": "model",
        "schema": "marts",
        "name": name,
        "alias": name,
        "checksum": {"name": "sha256", "checksum": checksum},
        "depends_on": {"nodes": [f"model.music.{parent}" for parent in parents]},
        "config": {"meta": meta},
    }


PLAYS = model(
    "fct_plays",
    ("stg_plays",),
    publish=True,
    publish_time="started_at",
    grain=["tenant_id", "play_id"],
)
LISTENERS = model("dim_listeners", publish=True, grain=["tenant_id", "listener_id"])


@pytest.fixture
def write_manifest(warehouse: Settings) -> Callable[..., Path]:
    def write(*models: dict) -> Path:
        path = warehouse.dbt_target / "manifest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        nodes = {f"model.music.{m['name']}": m for m in models}
        path.write_text(json.dumps({"metadata": {"invocation_id": "inv"}, "nodes": nodes}))
        return path

    return write


@pytest.fixture
def marts(warehouse: Settings, write_manifest: Callable[..., Path]) -> Settings:
    execute(warehouse, MARTS)
    write_manifest(model("stg_plays"), PLAYS, LISTENERS, model("int_hidden", publish=False))
    return warehouse


def execute(settings: Settings, *statements: str) -> None:
    with connect(settings) as connection:
        for statement in statements:
            connection.execute(statement)


def publish_january(settings: Settings, tenant_id: str = "t1", **changes: Any) -> Published:
    given = {"interval": JANUARY, "run_id": "run-1", "evidence": EVIDENCE, **changes}
    return publish(settings, tenant_id, **given)


def test_the_first_publication_brings_everything_of_the_tenant_and_nothing_else(
    marts: Settings,
) -> None:
    done = publish_january(marts)

    assert done == Published(1, {"dim_listeners": 1, "fct_plays": 60})
    assert read(marts, "select distinct tenant_id from serve.fct_plays").rows() == [("t1",)]
    snapshot = read(marts, "select * from serve.snapshots", tenant_id="t1").row(0, named=True)
    assert snapshot["relations"] == ["dim_listeners", "fct_plays"]
    assert json.loads(snapshot["lake_versions"]) == {"silver/plays": 3}
    assert (snapshot["run_id"], snapshot["dbt_invocation_id"]) == ("run-1", "inv")
    assert (snapshot["interval_from"], snapshot["interval_to"]) == (JANUARY.start, JANUARY.end)


def test_the_first_publication_reads_a_mart_once_for_there_is_nothing_to_compare(
    marts: Settings,
) -> None:
    execute(
        marts,
        "create sequence marts.readings",
        "alter table marts.dim_listeners rename to all_listeners",
        "create view marts.dim_listeners as"
        " select * from marts.all_listeners where nextval('marts.readings') > 0",
    )
    readings = "select last_value * is_called::int from marts.readings"
    assert publish_january(marts).rows["dim_listeners"] == 1
    first = read(marts, readings).item()
    assert first > 0
    assert publish_january(marts) == Published(None, {})  # compared, and nothing to write
    assert read(marts, readings).item() == 2 * first


def test_what_was_never_noted_as_published_is_replaced_whatever_is_there(marts: Settings) -> None:
    publish_january(marts, "t1")
    publish_january(marts, "t2")
    execute(
        marts,
        "delete from ops.published where tenant_id = 't1' and relation = 'fct_plays'",
        "update serve.fct_plays set listened_ms = 7 where play_id = 'p59'",  # in no window
        "insert into serve.fct_plays (tenant_id, play_id) values ('t1', 'gone'), ('t2', 'gone')",
    )
    assert publish_january(marts) == Published(2, {"fct_plays": 60})
    odd = (
        "select tenant_id, play_id from serve.fct_plays"
        " where listened_ms is distinct from 1000 order by 1, 2"
    )
    assert read(marts, odd).rows() == [("t2", "gone"), ("t2", "p59")]


def test_a_relation_that_lost_its_last_row_is_emptied_and_noted(marts: Settings) -> None:
    publish_january(marts, "t1")
    publish_january(marts, "t2")
    execute(marts, "delete from marts.dim_listeners where tenant_id = 't1'")
    assert publish_january(marts) == Published(2, {"dim_listeners": 0})
    assert read(marts, "select tenant_id from serve.dim_listeners").rows() == [("t2",)]


def test_published_rows_equal_the_marts(marts: Settings) -> None:
    publish_january(marts, "t1")
    publish_january(marts, "t2")
    hashes = content_hash(marts)
    for relation in ("fct_plays", "dim_listeners"):
        for tenant in ("t1", "t2"):
            assert hashes[(f"serve.{relation}", tenant)] == hashes[(f"marts.{relation}", tenant)]


def test_publishing_the_same_again_writes_nothing(marts: Settings) -> None:
    publish_january(marts)
    before = content_hash(marts)
    written = (
        "select 'plays', xmin::text, ctid::text from serve.fct_plays"
        " union all select 'notes', xmin::text, ctid::text from ops.published order by 1, 3"
    )
    stamps = read(marts, written)

    assert publish_january(marts, run_id="run-2") == Published(None, {})

    assert content_hash(marts) == before
    assert read(marts, "select count(*) from serve.snapshots").item() == 1
    assert read(marts, written).equals(stamps)


def test_only_changed_days_are_replaced_and_the_other_tenant_stays(marts: Settings) -> None:
    publish_january(marts)
    publish_january(marts, "t2")
    execute(
        marts,
        "update marts.fct_plays set listened_ms = 5 where play_id = 'p9'",
        "delete from marts.fct_plays where play_id = 'p10'",
        "insert into marts.fct_plays values ('t1x', 't1', 'x', null, 7)",
    )

    done = publish_january(marts)

    assert done == Published(2, {"fct_plays": 1})  # p9 again; p10 went; x lies in no window
    rows = read(
        marts, "select tenant_id, play_id, listened_ms from serve.fct_plays"
        " where play_id in ('p9', 'p10', 'x') order by 1, 2",
    ).rows()  # fmt: skip
    assert rows == [("t1", "p9", 5), ("t2", "p10", 1000), ("t2", "p9", 1000)]
    assert publish_january(marts, interval=None).rows == {"fct_plays": 1}  # x


def test_rows_far_outside_the_interval_wait_for_their_own_publication(marts: Settings) -> None:
    publish_january(marts)
    execute(marts, "update marts.fct_plays set listened_ms = 5 where play_id in ('p35', 'p59')")
    interval = Interval.of("2025-01-30", "2025-01-31")
    assert publish_january(marts, interval=interval) == Published(None, {})
    assert publish_january(marts, interval=Interval.of("2025-02-07", "2025-02-08")).rows == {
        "fct_plays": 1
    }
    assert publish_january(marts, interval=None).rows == {"fct_plays": 1}


def test_rows_shortly_before_the_interval_are_compared_as_well(marts: Settings) -> None:
    publish_january(marts)
    execute(marts, "update marts.fct_plays set listened_ms = 5 where play_id = 'p20'")
    interval = Interval.of("2025-01-23", "2025-01-24")
    assert publish_january(marts, interval=interval).rows == {"fct_plays": 1}


def test_a_changed_ancestor_model_compares_all_of_history(
    marts: Settings, write_manifest: Callable[..., Path]
) -> None:
    publish_january(marts)
    execute(marts, "update marts.fct_plays set listened_ms = 5 where play_id = 'p59'")
    write_manifest(model("stg_plays", checksum="2"), PLAYS, LISTENERS)
    assert publish_january(marts).rows == {"fct_plays": 1}


def test_a_new_column_reaches_every_published_row(marts: Settings) -> None:
    publish_january(marts)
    publish_january(marts, "t2")
    execute(
        marts,
        "alter table marts.fct_plays add column is_counted boolean",
        "update marts.fct_plays set is_counted = true",
        "alter table marts.dim_listeners drop column plays",
        "alter table marts.dim_listeners alter column country type varchar(2)",
    )

    assert publish_january(marts).rows["fct_plays"] == 60

    counted = "select tenant_id, count(is_counted) from serve.fct_plays group by 1 order by 1"
    assert read(marts, counted).rows() == [("t1", 60), ("t2", 0)]
    assert read(marts, "select * from serve.dim_listeners").columns == [
        "tenant_id", "listener_id", "country",
    ]  # fmt: skip
    publish_january(marts, "t2")
    assert read(marts, counted).rows() == [("t1", 60), ("t2", 60)]


def test_readers_see_the_old_snapshot_or_the_new_one_never_half_of_each(marts: Settings) -> None:
    publish_january(marts)
    question = (
        "select (select sum(listened_ms) / 60 from fct_plays)::bigint,"
        " (select max(plays) from dim_listeners)"
    )
    execute(marts, "update marts.dim_listeners set plays = 1000")
    publish_january(marts)
    seen: list[tuple] = []
    enough = threading.Event()

    def watch() -> None:
        with connect(marts, role="tenant_t1", autocommit=True) as reader:
            while not enough.is_set():
                seen.append(reader.execute(question).fetchone())  # type: ignore[arg-type]

    reader = threading.Thread(target=watch)
    reader.start()
    for value in range(1001, 1016):
        execute(
            marts,
            f"update marts.fct_plays set listened_ms = {value}",  # noqa: S608
            f"update marts.dim_listeners set plays = {value}",  # noqa: S608
        )
        publish_january(marts, interval=None)
    enough.set()
    reader.join()

    assert len({one for one, _ in seen}) > 3, "the reader saw too few snapshots to judge"
    assert all(one == other for one, other in seen)


def test_a_broken_grain_leaves_readers_on_the_last_snapshot(marts: Settings) -> None:
    publish_january(marts)
    before = read(marts, "select * from serve.dim_listeners", tenant_id="t1")
    execute(
        marts,
        "update marts.dim_listeners set country = 'FR'",
        "insert into marts.fct_plays select * from marts.fct_plays where play_id = 'p1'",
    )
    with pytest.raises(WarehouseError, match=r"t1: publishing failed, readers stay .*grain"):
        publish_january(marts)
    assert read(marts, "select * from serve.dim_listeners", tenant_id="t1").equals(before)
    assert read(marts, "select count(*) from serve.snapshots").item() == 1


def test_what_is_missing_is_named(marts: Settings, write_manifest: Callable[..., Path]) -> None:
    with pytest.raises(UnknownTenant):
        publish_january(marts, "t3")
    with pytest.raises(WarehouseError, match=r"no dbt manifest at .*run `dbt build`"):
        publish_january(marts, manifest=Path("/nowhere/manifest.json"))
    write_manifest(model("fct_absent", publish=True))
    with pytest.raises(WarehouseError, match=r"marts\.fct_absent is to be published and is not"):
        publish_january(marts)
    write_manifest(model("fct_plays", publish=True, publish_time="played_at"))
    with pytest.raises(WarehouseError, match="has no column played_at"):
        publish_january(marts)
    write_manifest(model("fct_plays"))
    with pytest.raises(WarehouseError, match="publishes nothing"):
        publish_january(marts)
