"""Types, keys and manifests, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from analytics.errors import WarehouseError
from analytics.lake.tables import TABLES
from analytics.warehouse.manifest import published_relations
from analytics.warehouse.schema import raw_key, sql_type


def test_every_canonical_column_has_a_type() -> None:
    for table in TABLES.values():
        for name, dtype in table.columns.items():
            assert sql_type(name, dtype)
    assert sql_type("at", TABLES["plays"].columns["started_at"]) == "timestamptz"


def test_the_tenant_leads_every_key_and_an_events_key_holds_its_time() -> None:
    for table in TABLES.values():
        key = raw_key(table)
        assert key[0] == "tenant_id"
        assert (table.time in key) == table.is_event


def test_a_type_the_warehouse_does_not_store_is_named() -> None:
    with pytest.raises(WarehouseError, match="column tags has type List"):
        sql_type("tags", pl.List(pl.String))


def test_a_definition_changes_with_an_ancestor_and_with_nothing_else(tmp_path: Path) -> None:
    def definition(**checksums: str) -> str:
        parents = {"a": [], "b": ["a"], "c": ["a", "b"], "other": []}
        nodes = {
            name: {
                "resource_type": "model", "schema": "marts", "name": name,
                "checksum": {"checksum": checksums.get(name, "1")},
                "depends_on": {"nodes": [*parents[name], "source.x"]},
                "config": {"meta": {"publish": name == "c"}},
            }
            for name in parents
        }  # fmt: skip
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps({"metadata": {}, "nodes": nodes}))
        relations, _ = published_relations(path)
        assert [relation.name for relation in relations] == ["c"]
        return relations[0].definition

    assert definition() == definition(other="2")
    assert len({definition(), definition(a="2"), definition(b="2"), definition(c="2")}) == 4


def test_two_models_of_one_name_or_a_damaged_manifest_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    one = {"resource_type": "model", "schema": "marts", "config": {"meta": {"publish": True}}}
    path.write_text(json.dumps({"nodes": {"a": {**one, "name": "x"}, "b": {**one, "name": "x"}}}))
    with pytest.raises(WarehouseError, match="share a name in serve: x"):
        published_relations(path)
    path.write_text("{")
    with pytest.raises(WarehouseError, match="is damaged"):
        published_relations(path)
