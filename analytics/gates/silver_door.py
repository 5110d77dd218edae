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
            "rows": one.rows.height,
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
    keys = pl.concat([one.known[one.table.key], one.rows[one.table.key]])
    replaced = one.replaced[one.table.key].n_unique()
    twice = [
        s.filter(s.is_duplicated()) for s in (one.known[one.table.key], one.rows[one.table.key])
    ]
    return {
        "keys": keys.n_unique(),
        "held": keys.len() - replaced,
        "repeated": _some(pl.concat(twice)),
        "landed": one.line["landed"],
        "grows_by": one.rows.height - replaced,
    }


def _tenants(tenant_id: str, one: Prepared) -> dict[str, Any]:
    foreign = one.rows["tenant_id"].ne_missing(tenant_id)
    others = one.rows["tenant_id"].filter(foreign).fill_null("null")
    return {"own": one.rows.height - others.len(), "others": _some(others)}


def _times(one: Prepared) -> dict[str, Any]:
    """Events lie within the touched days; a state may be older, never younger."""
    if one.rows.is_empty():
        return {"timely": 0, "untimely": ""}
    days = whole_days(one.line)
    times = pl.col(one.table.time).cast(INSTANT, strict=False)
    fine = (
        times.is_between(days.start, days.end, closed="left")
        if one.table.is_event
        else times.is_between(EARLIEST, days.end)
    )
    outside = one.rows.filter(~fine.fill_null(False)).select(
        times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    untimely = outside.to_series().fill_null("null")
    return {"timely": one.rows.height - untimely.len(), "untimely": _some(untimely)}


def _types(one: Prepared) -> dict[str, Any]:
    declared, found = one.table.stored, one.rows.schema
    wrong = [f"{c} {found.get(c, 'missing')}" for c, t in declared.items() if found.get(c) != t]
    typed = len(declared) - len(wrong)
    return {"columns": len(declared), "typed": typed, "mistyped": _some(wrong)}


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
        ids = _unknown(settings, tenant_id, one.rows[column], other)
        unknown |= pl.col(column).is_in(ids.implode())
        strangers.extend(ids.head(EXAMPLES))
    return {
        "unknown": one.rows.filter(unknown).height,
        "may_be_unknown": int(MAY_BE_UNKNOWN * one.rows.height),
        "strangers": _some(strangers),
    }


def _unknown(settings: Settings, tenant_id: str, named: pl.Series, other: Prepared) -> pl.Series:
    """Which of these ids the other table does not know, now or once this landing is done."""
    key = other.table.key
    ids = named.drop_nulls().unique(maintain_order=True).to_frame(key)
    ids = ids.join(other.rows.select(key), on=key, how="anti", maintain_order="left")
    if not ids.is_empty():
        held = read.scan(settings, other.table.name, tenant_id).select(key)
        known = held.join(ids.lazy(), on=key, how="semi").collect()
        ids = ids.join(known, on=key, how="anti", maintain_order="left")
    return ids[key]


def _some(values: Iterable[object]) -> str:
    """Up to five different ones."""
    return " ".join([*dict.fromkeys(map(str, values))][:EXAMPLES])
