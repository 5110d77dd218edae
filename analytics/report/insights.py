"""What a report says of the tenant's model: its champion, the last look, the reasons."""

from __future__ import annotations

from datetime import date
from typing import Any

from analytics.report.metrics import Reader, top_reasons
from analytics.report.model import Insights

# A day has a decision for each champion it was looked at with: the last champion's is the last.
NEWEST_FIRST = {
    "training_outcomes": "as_of_date desc",
    "retraining_decisions": (
        "as_of_date desc, nullif(champion_version, 'none')::int desc nulls last"
    ),
}


def insights(read: Reader, until: date) -> Insights:
    """What was learnt, decided and predicted up to a day, from what is published."""
    outcome = _latest(read, "training_outcomes", until)
    decision = _latest(read, "retraining_decisions", until)
    champion = _latest(read, "training_outcomes", until, "promoted")
    return Insights(
        model_version=str(champion["version"]) if champion else None,
        model_metric="AUC" if champion else None,
        model_score=champion["metric"] if champion else None,
        baseline_score=champion["baseline"] if champion else None,
        last_training=outcome["outcome"] if outcome else "never trained",
        last_decision=decision["reason"] if decision else "never monitored",
        top_reasons=top_reasons(read, until),
    )


def _latest(read: Reader, relation: str, until: date, where: str = "true") -> dict[str, Any] | None:
    known = read("select to_regclass(%(n)s) is not null", {"n": f"serve.{relation}"})
    if not known.item():
        return None
    query = (
        f"select * from serve.{relation} where as_of_date <= %(until)s and {where}"  # noqa: S608  our own words
        f" order by {NEWEST_FIRST[relation]} limit 1"
    )
    rows = read(query, {"until": until})
    return None if rows.is_empty() else rows.row(0, named=True)
