"""The door into silver: what a landing is about to publish, judged before its first commit.

Grain    one tenant, one interval: every table that the landing writes, together.
Re-run   safe: judges what is decided now, writes its own report alone.
Red      keys, tenants, days, types or counts that are not what they must be: made wrong by us.
         Nothing of the landing is committed; readers see silver as it was.
         docs/runbooks/gates.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from analytics.errors import GateFailed
from analytics.gates import data_docs, engine
from analytics.gates.judge import judge
from analytics.gates.publish import publish
from analytics.gates.report import EXAMPLES, GateReport
from analytics.interval import Interval
from analytics.lake import read
from analytics.lake.publication import Prepared, whole_days
from analytics.lake.tables import EARLIEST, INSTANT
from analytics.settings import Settings

DOOR = "silver"
TEXTS = ("tenant_id", "table", "repeated", "others", "untimely", "mistyped", "strangers")
NUMBERS = (
    "rows", "keys", "held", "own", "timely", "columns", "typed", "landed", "grows_by", "unknown",
    "may_be_unknown",
)  # fmt: skip


def silver(
    settings: Settings,
    tenant_id: str,
    interval: Interval,
    run_id: str,
    prepared: Sequence[Prepared],
) -> GateReport:
    """Judge all tables of a landing by their profile, one row a table.

    Raises GateFailed when anything critical does not hold; the report and its data
    docs are written all the same.
    """
    engine.context()
    from expectations import silver as suites

    judged = {"landing": judge(suites.suite(), profile(settings, tenant_id, prepared))}
    report = publish(settings, tenant_id, DOOR, interval, run_id, judged)
    if not report.passed:
        raise GateFailed(report.message(data_docs.index(settings)))
    return report


def profile(settings: Settings, tenant_id: str, prepared: Sequence[Prepared]) -> pl.DataFrame:
    """What each table is about to get, and how much of it is sound, with examples of the rest."""
    by_table = {one.table.name: one for one in prepared}
    rows = [
        {
            "tenant_id": tenant_id,
            "table": name,
            "rows": one.height,
            **_keys(one),
            **_tenants(tenant_id, one),
            **_times(one),
            **_types(one),
            **_references(settings, tenant_id, one, by_table),
        }
        for name, one in by_table.items()
    ]
    schema = {**dict.fromkeys(TEXTS, pl.String), **dict.fromkeys(NUMBERS, pl.Int64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _keys(one: Prepared) -> dict[str, Any]:
    """Of the keys that come, how many there are and how many rows silver would hold."""
    key = one.table.key
    # 64 bits of a key tell it from others, and many fit into memory.
    coming = [frame[key].hash() for frame in one.frames(key)]
    known = one.known[key]
    both = pl.concat([known.hash(), *coming])
    replaced = one.replaced[key].n_unique()
    keys = both.n_unique()
    repeated = [known.filter(known.is_duplicated())]
    if keys < both.len() - replaced:
        all_coming = pl.concat([frame[key] for frame in one.frames(key)])
        repeated.append(all_coming.filter(all_coming.is_duplicated()))
    return {
        "keys": keys,
        "held": both.len() - replaced,
        "repeated": _some(pl.concat(repeated)),
        "landed": one.line["landed"],
        "grows_by": one.height - replaced,
    }


def _tenants(tenant_id: str, one: Prepared) -> dict[str, Any]:
    found = [
        frame["tenant_id"].filter(frame["tenant_id"].ne_missing(tenant_id))
        for frame in one.frames("tenant_id")
    ]
    others = pl.concat(found).fill_null("null")
    return {"own": one.height - others.len(), "others": _some(others)}


def _times(one: Prepared) -> dict[str, Any]:
    """Events lie within the touched days; a state may be older, never younger."""
    if not one.height:
        return {"timely": 0, "untimely": ""}
    days = whole_days(one.line)
    times = pl.col(one.table.time).cast(INSTANT, strict=False)
    fine = (
        times.is_between(days.start, days.end, closed="left")
        if one.table.is_event
        else times.is_between(EARLIEST, days.end)
    )
    found = [
        frame.filter(~fine.fill_null(False)).select(times.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        for frame in one.frames(one.table.time)
    ]
    untimely = pl.concat(found).to_series().fill_null("null")
    return {"timely": one.height - untimely.len(), "untimely": _some(untimely)}


def _types(one: Prepared) -> dict[str, Any]:
    wrong: dict[str, str] = {}
    for schema in (dict(one.rows.schema), *(file.schema for file in one.files)):
        for column, kind in one.table.stored.items():
            if schema.get(column) != kind:
                wrong.setdefault(column, f"{column} {schema.get(column, 'missing')}")
    columns = len(one.table.stored)
    return {"columns": columns, "typed": columns - len(wrong), "mistyped": _some(wrong.values())}


def _references(
    settings: Settings, tenant_id: str, one: Prepared, by_table: Mapping[str, Prepared]
) -> dict[str, Any]:
    """The rows that name what neither silver nor this landing knows, where a source would tell."""
    from expectations.silver import MAY_BE_UNKNOWN, REFERENCES

    asked = {
        column: by_table[other]
        for column, other in REFERENCES.get(one.table.name, {}).items()
        if other in by_table
    }
    if not asked:
        return {"unknown": None, "may_be_unknown": None, "strangers": ""}
    unknown = pl.lit(False)
    strangers: list[str] = []
    for column, other in asked.items():
        named = [f[column].drop_nulls().unique(maintain_order=True) for f in one.frames(column)]
        ids = _unknown(settings, tenant_id, pl.concat(named), other)
        unknown |= pl.col(column).is_in(ids.implode())
        strangers.extend(ids.head(EXAMPLES))
    return {
        "unknown": sum(f.filter(unknown).height for f in one.frames(*asked)),
        "may_be_unknown": int(MAY_BE_UNKNOWN * one.height),
        "strangers": _some(strangers),
    }


def _unknown(settings: Settings, tenant_id: str, named: pl.Series, other: Prepared) -> pl.Series:
    """Which of these ids the other table does not know, now or once this landing is done."""
    key = other.table.key
    ids = named.unique(maintain_order=True).to_frame(key)
    for frame in other.frames(key):
        ids = ids.join(frame, on=key, how="anti", maintain_order="left")
    if not ids.is_empty():
        held = read.scan(settings, other.table.name, tenant_id).select(key)
        known = held.join(ids.lazy(), on=key, how="semi").collect()
        ids = ids.join(known, on=key, how="anti", maintain_order="left")
    return ids[key]


def _some(values: Iterable[object]) -> str:
    """Up to five different ones."""
    return " ".join([*dict.fromkeys(map(str, values))][:EXAMPLES])
