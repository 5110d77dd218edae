"""Whether to retrain, decided from what is known and recorded with its reason, also "no".

Grain    one row per (tenant_id, as_of_date, champion_version) in
         `monitoring/retraining_decisions`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date

import polars as pl

from analytics.settings import Settings
from ml import tables
from ml.outcomes import TrainingOutcome

TABLE = ("monitoring", "retraining_decisions")
NO_CHAMPION = "none"

_SCHEMA = {
    "tenant_id": pl.String,
    "as_of_date": pl.Date,
    "champion_version": pl.String,
    "drifted": pl.Boolean,
    "share": pl.Float64,
    "columns": pl.String,
    "retrain": pl.Boolean,
    "reason": pl.String,
    "run_id": pl.String,
}


@dataclass(frozen=True)
class Decision:
    """One look at one tenant. `share` is the drifted share of its features."""

    tenant_id: str
    as_of: date
    champion_version: str
    drifted: bool
    share: float
    columns: tuple[str, ...]
    retrain: bool
    reason: str


def answered(
    champion_as_of: date | None, outcomes: list[TrainingOutcome], as_of: date, content: str
) -> str | None:
    """Why a wish to train again leads to nothing, or None: training must come to an end.

    A champion that learnt from data up to this day, or a later one, has had its answer.
    """
    if champion_as_of is None:
        return already_trained(outcomes, as_of, content)
    if champion_as_of >= as_of:
        return f"the champion learnt from data up to {champion_as_of}"
    since = [outcome for outcome in outcomes if outcome.as_of_date > champion_as_of]
    return already_trained(since, as_of, content)


def already_trained(outcomes: list[TrainingOutcome], as_of: date, content: str) -> str | None:
    """Why training again now would be for nothing, or None.

    `outcomes`: the trainings since the champion's (all of them where there is
    none). One of the same day counts, and one that saw the very same labelled
    rows: a lasting drift is answered once, and again when labels have come.
    """
    for outcome in reversed(outcomes):
        if outcome.as_of_date == as_of:
            if outcome.trained:
                return f"already retrained on data up to {as_of}"
            return f"already tried on data up to {as_of}: {outcome.outcome}"
        if outcome.content == content:
            return f"nothing new to learn from since {outcome.as_of_date}: {outcome.outcome}"
    return None


def record(settings: Settings, decision: Decision, run_id: str) -> Decision:
    """Write it down and return it.

    A "yes" that has been carried out stays on record: the later look at the same
    champion and day, which says that it was, does not overwrite it.
    """
    stands = next(
        (
            row
            for row in recorded(settings, decision.tenant_id)
            if (row.as_of, row.champion_version) == (decision.as_of, decision.champion_version)
        ),
        None,
    )
    carried_out = stands is not None and stands.retrain and not decision.retrain
    kept = stands if carried_out and stands is not None else decision
    where = {"as_of_date": kept.as_of, "champion_version": kept.champion_version}
    frame = _frame(kept, run_id)
    if not carried_out:
        tables.replace(settings, kept.tenant_id, *TABLE, frame, where, run_id)

    from analytics import warehouse

    warehouse.publish_rows(settings, kept.tenant_id, "retraining_decisions", frame, where)
    return decision


def recorded(settings: Settings, tenant_id: str) -> list[Decision]:
    """Every decision about the tenant, oldest day first."""
    rows = tables.read(settings, tenant_id, *TABLE, tables.version(settings, *TABLE))
    if rows.is_empty():
        return []
    return [
        Decision(
            tenant_id=row["tenant_id"],
            as_of=row["as_of_date"],
            champion_version=row["champion_version"],
            drifted=row["drifted"],
            share=row["share"],
            columns=tuple(row["columns"].split(", ")) if row["columns"] else (),
            retrain=row["retrain"],
            reason=row["reason"],
        )
        for row in rows.sort("as_of_date", "champion_version").to_dicts()
    ]


def _frame(decision: Decision, run_id: str) -> pl.DataFrame:
    row = asdict(decision)
    row["as_of_date"] = row.pop("as_of")
    row["columns"] = ", ".join(decision.columns)
    return pl.DataFrame([{**row, "run_id": run_id}], schema=_SCHEMA)
