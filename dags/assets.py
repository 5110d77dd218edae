"""What DAGs hand to one another, and how a run knows its tenants and its interval.

An asset event carries `{"tenants": [...], "from": ..., "to": ...}`: the tenants
that came through green and the window that changed for them. A run finds its
interval in the trigger form, else in the events that triggered it, else in the
schedule; never in `ds`, which on a manual run is not the day covered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param, task
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from analytics.errors import AnalyticsError
from analytics.interval import Interval
from analytics.settings import load_settings
from analytics.tenants import registry

SILVER = Asset("silver", uri="analytics://lake/silver")
FEATURES = Asset("features", uri="analytics://lake/features")
MARTS = Asset("marts", uri="analytics://warehouse/serve")
PREDICTIONS = Asset("predictions", uri="analytics://lake/predictions")
RETRAINING = Asset("retraining", uri="analytics://ml/retraining")
MODELS = Asset("models", uri="analytics://ml/champions")

# Trying again mends a lost connection, never bad data or a wrong setting.
DEFAULT_ARGS = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=f"analytics.errors.{name}", action=RetryAction.FAIL)
            for name in ("GateFailed", "SchemaError", "SettingsError", "UnknownTenant")
        ]
    ),
}


def trigger_form() -> dict[str, Param]:
    """The form of every DAG: which tenants, from, to. Airflow refuses other values."""
    known = list(registry(load_settings()))
    return {
        "tenants": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": known},
            examples=known,
            title="Tenants",
            description="Empty means all of them, or those the triggering events name.",
        ),
        "from": Param(
            None,
            type=["null", "string"],
            format="date",
            title="From",
            description="First UTC day. Empty on scheduled and asset-triggered runs.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            format="date",
            title="To",
            description="The day after the last one.",
        ),
    }


def interval_of(context: Mapping[str, Any]) -> Interval:
    """The window this run covers."""
    params = context["params"]
    if params["from"] or params["to"]:
        if not (params["from"] and params["to"]):
            raise AirflowFailException("give both 'from' and 'to', or neither")
        try:
            return Interval.of(params["from"], params["to"])
        except AnalyticsError as error:
            raise AirflowFailException(str(error)) from None
    events = list(_events(context))
    if events:
        return Interval.covering([Interval.of(e["from"], e["to"]) for e in events])
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is None or end is None or start == end:
        raise AirflowFailException(
            "this run has no interval: give 'from' and 'to', e.g. 2025-05-01 and 2025-05-02"
        )
    return Interval.of(start, end)


def tenants_of(context: Mapping[str, Any]) -> list[str]:
    """The tenants this run covers, in the registry's order."""
    known = list(registry(load_settings()))
    wanted = set(context["params"]["tenants"] or ())
    if not wanted:
        wanted = {tenant for event in _events(context) for tenant in event["tenants"]}
    chosen = [tenant for tenant in known if not wanted or tenant in wanted]
    if not chosen:
        raise AirflowSkipException(
            "none of the tenants of this run is in the tenants file any more"
        )
    return chosen


@task
def choose_tenants(**context: Any) -> list[str]:
    """The first task of a DAG: a bad interval is refused here, before any data moves."""
    interval_of(context)
    return tenants_of(context)


@task(trigger_rule="one_failed")
def fail_if_any_tenant_failed() -> None:
    """The last task of a DAG: keeps the run red, whose colour is that of its leaves."""
    raise AirflowFailException("at least one tenant stopped; the others went on")


def reasons_of(context: Mapping[str, Any]) -> dict[str, str]:
    """Why each tenant is to be trained again, as the decision says."""
    return {t: why for event in _events(context) for t, why in event.get("reasons", {}).items()}


def results_of(group: Any) -> list[Any]:
    """What a mapped task group gave, one result a tenant that came through.

    Airflow hands over the result of a group with one tenant bare, not as a list.
    """
    if group is None:
        return []
    return [group] if isinstance(group, str | dict) else list(group)


def announce(
    asset: Asset,
    outlet_events: Mapping[Asset, Any],
    tenants: Iterable[str],
    interval: Interval,
    **extra: Any,
) -> None:
    """Emit one event that names the green tenants; none at all when there are none."""
    green = sorted(set(tenants))
    if not green:
        raise AirflowSkipException(f"nothing new for {asset.name}: no event")
    outlet_events[asset].extra = {"tenants": green, **interval.as_extra(), **extra}


def _events(context: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    triggering = context.get("triggering_asset_events") or {}
    for events in triggering.values():
        for event in events:
            extra = event.extra
            extra = json.loads(extra) if isinstance(extra, str) else extra
            if extra and "from" in extra:
                yield extra
