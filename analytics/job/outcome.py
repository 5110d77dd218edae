"""The closing table of the main job: what became of each tenant."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl
from rich.table import Table

from analytics import warehouse
from analytics.lake import ledger
from analytics.settings import Settings
from analytics.tenants import registry


class Retrained(NamedTuple):
    """What came of the last drift: a few words, and where they leave it open, the reason."""

    words: str
    why: str = ""


def outcomes(settings: Settings) -> list[dict[str, Any]]:
    """One row a tenant: plays in, quarantined, published, model, metric, drift, retrained."""
    balance = ledger.read(settings)
    return [_outcome(settings, tenant_id, balance) for tenant_id in registry(settings)]


def outcome_table(settings: Settings) -> Table:
    table = Table(title="What became of each tenant", title_justify="left", caption_justify="left")
    for name in ("tenant", "plays in", "quarantined", "published"):
        table.add_column(name, justify="left" if name == "tenant" else "right")
    for name in ("model", "metric (baseline)", "drift", "retrained"):
        table.add_column(name)
    reasons = []
    for row in outcomes(settings):
        retrained: Retrained = row["retrained"]
        if retrained.why:
            reasons.append(f"{row['tenant_id']}: {retrained.words}: {retrained.why}")
        table.add_row(
            row["tenant_id"],
            f"{row['plays_in']:,}",
            f"{row['quarantined']:,}",
            f"{row['published']:,}",
            row["model"],
            row["metric"],
            row["drift"],
            retrained.words,
        )
    table.caption = "\n".join(reasons) or None  # a sentence in a cell would make it a tower
    return table


def _outcome(settings: Settings, tenant_id: str, balance: pl.DataFrame) -> dict[str, Any]:
    mine = balance.filter(pl.col("tenant_id") == tenant_id)
    plays = mine.filter(pl.col("table") == "plays")
    trainings = _rows(settings, tenant_id, "training_outcomes")
    champion = next((t for t in reversed(trainings) if t["promoted"]), None)
    decisions = _rows(settings, tenant_id, "retraining_decisions")
    drifted = [d for d in decisions if d["drifted"]]
    return {
        "tenant_id": tenant_id,
        "plays_in": int(plays["rows_in"].sum()),
        "quarantined": int(mine["quarantined"].sum()),
        "published": _count(settings, tenant_id, "fct_plays"),
        "model": f"version {champion['version']}" if champion else "none",
        "metric": _metric(champion, trainings[-1] if trainings else None),
        "drift": f"yes, {drifted[-1]['as_of_date']}" if drifted else "no",
        "retrained": _retrained(decisions, trainings),
    }


def _metric(champion: dict[str, Any] | None, trained: dict[str, Any] | None) -> str:
    if champion:
        return f"AUC {champion['metric']:.3f} ({champion['baseline']:.3f})"
    return trained["outcome"] if trained else "not trained"


def _retrained(decisions: list[dict[str, Any]], trainings: list[dict[str, Any]]) -> Retrained:
    """What came of the last drift that called for a training."""
    asked = [d["as_of_date"] for d in decisions if d["retrain"] and d["drifted"]]
    if not asked:
        return Retrained("no")
    answers = [t for t in trainings if t["as_of_date"] >= asked[-1]]
    if not answers:
        return Retrained("asked for, not done yet")
    answer = answers[-1]
    if not answer["trained"]:
        return Retrained(f"yes, {answer['outcome']}")
    if answer["promoted"]:
        return Retrained(f"yes, promoted version {answer['version']}")
    return Retrained("yes, champion kept", answer["outcome"].partition(": ")[2])


def _rows(settings: Settings, tenant: str, relation: str) -> list[dict[str, Any]]:
    if not _is_there(settings, tenant, relation):
        return []
    query = f"select * from serve.{relation} order by as_of_date"  # noqa: S608  our own words
    return warehouse.read(settings, query, None, tenant).to_dicts()


def _count(settings: Settings, tenant: str, relation: str) -> int:
    if not _is_there(settings, tenant, relation):
        return 0
    query = f"select count(*) from serve.{relation}"  # noqa: S608  our own words
    return int(warehouse.read(settings, query, None, tenant).item())


def _is_there(settings: Settings, tenant: str, relation: str) -> bool:
    """Not so where no tenant came as far as its publication."""
    known = warehouse.read(
        settings, "select to_regclass(%(n)s) is not null", {"n": f"serve.{relation}"}, tenant
    )
    return bool(known.item())
