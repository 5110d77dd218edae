"""What dbt's manifest says is published: relations, their grain, their time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analytics.errors import WarehouseError


@dataclass(frozen=True)
class Relation:
    """One mart that tenants read."""

    schema: str
    name: str
    grain: tuple[str, ...]  # tenant_id first; empty where not declared
    time: str | None  # the column that places a row in time; None compares the whole tenant
    definition: str  # changes whenever the model or one it builds on changes


def published_relations(manifest: Path) -> tuple[list[Relation], str | None]:
    """All models with `meta.publish: true`, by name, and the id of the dbt invocation."""
    try:
        document = json.loads(manifest.read_text())
    except FileNotFoundError:
        raise WarehouseError(f"no dbt manifest at {manifest}; run `dbt build` first") from None
    except json.JSONDecodeError as error:
        raise WarehouseError(f"the dbt manifest at {manifest} is damaged: {error}") from None
    nodes = document.get("nodes", {})
    relations = []
    for unique_id, node in nodes.items():
        meta = {**node.get("meta", {}), **node.get("config", {}).get("meta", {})}
        if node.get("resource_type") != "model" or meta.get("publish") is not True:
            continue
        relations.append(
            Relation(
                schema=node["schema"],
                name=node.get("alias") or node["name"],
                grain=_grain(meta.get("grain")),
                time=meta.get("publish_time"),
                definition=_definition(nodes, unique_id),
            )
        )
    if not relations:
        raise WarehouseError(f"the dbt manifest at {manifest} publishes nothing (meta.publish)")
    relations.sort(key=lambda relation: relation.name)
    names = [relation.name for relation in relations]
    twice = {name for name in names if names.count(name) > 1}
    if twice or "snapshots" in names:
        raise WarehouseError(
            f"two published models share a name in serve: {', '.join(sorted(twice)) or 'snapshots'}"
        )
    return relations, document.get("metadata", {}).get("invocation_id")


def _grain(declared: Any) -> tuple[str, ...]:
    if not declared:
        return ()
    columns = [declared] if isinstance(declared, str) else list(declared)
    return ("tenant_id", *(column for column in columns if column != "tenant_id"))


def _definition(nodes: dict[str, Any], unique_id: str) -> str:
    seen: set[str] = set()
    waiting = [unique_id]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in seen:
            seen.add(name)
            waiting += nodes[name].get("depends_on", {}).get("nodes", [])
    checksums = [f"{n}={nodes[n].get('checksum', {}).get('checksum')}" for n in sorted(seen)]
    return hashlib.sha256("\n".join(checksums).encode()).hexdigest()
