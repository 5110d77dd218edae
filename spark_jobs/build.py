"""Build the churn feature table for one tenant: read, transform, judge, write.

python -m spark_jobs.build TENANT FROM TO [RUN_ID]
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from analytics import gates
from analytics.errors import AnalyticsError
from analytics.interval import Interval
from analytics.lake import read
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant
from spark_jobs import storage
from spark_jobs.churn_columns import GRAIN, LOOKBACK_DAYS, polars_schema
from spark_jobs.profile import rows_by_date, values_by_date
from spark_jobs.session import spark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)

TABLE = "churn_features"
INPUTS = ("plays", "listeners", "subscription_events", "tickets", "payments", "tracks")
# Before the look-back, so that its first play knows the silence before it.
SESSION_MARGIN = timedelta(days=2)
MONDAY = 0


@dataclass(frozen=True)
class Built:
    """What a build left in `features/churn_features`."""

    tenant_id: str
    version: int  # of the table, holding these rows
    rows: int
    as_of_dates: tuple[date, ...]
    changed: bool  # False: the table held just these rows, nothing was committed


def build(settings: Settings, tenant_id: str, touched: Interval, run_id: str) -> Built:
    """Compute the features that data of `touched` reaches and replace them in one commit.

    Grain (tenant_id, listener_id, as_of_date). Re-run: safe, and without a new
    version when no row differs. Late data moves `touched` back and so recomputes
    the dates between. Raises GateFailed, and writes nothing, when what was computed
    breaks a rule of `expectations/features.py`.
    """
    dates = as_of_dates(touched, storage.built_dates(settings, tenant_id, TABLE))
    versions = {table: read.version(settings, "silver", table) for table in INPUTS}
    with spark(settings) as session:
        from spark_jobs.churn_features import churn_features

        inputs = {
            table: storage.read_silver(session, settings, tenant_id, table, versions[table])
            for table in INPUTS
        }
        inputs["plays"] = within_reach(inputs["plays"], dates)
        features = churn_features(**inputs, as_of_dates=dates)
        frame = storage.collect(features, polars_schema())
        gates.features(
            settings, tenant_id, touched, run_id, TABLE, rows_by_date(frame), values_by_date(frame)
        )
        written = storage.replace(
            settings,
            tenant_id,
            TABLE,
            features,
            frame,
            dates,
            keys=[column.name for column in GRAIN],
            metadata={
                "run_id": run_id,
                "silver_versions": json.dumps(versions, sort_keys=True),
            },
        )
    log.info("churn_features of %s: %d rows at %d dates", tenant_id, frame.height, len(dates))
    return Built(tenant_id, written.version, frame.height, tuple(dates), written.changed)


def as_of_dates(touched: Interval, built: Sequence[date] = ()) -> list[date]:
    """The dates whose features data of `touched` may change, in order.

    Every Monday in (start, end], the day of the end (the scoring date), and
    every later date that was built before: an older interval that arrives after
    newer ones reaches those too.
    """
    end = touched.end.date()
    mondays = [
        day for n in range((end - touched.start.date()).days + 1)
        if (day := touched.start.date() + timedelta(days=n)).weekday() == MONDAY
        and _midnight(day) > touched.start
    ]  # fmt: skip
    reached = [day for day in built if _midnight(day) > touched.start]
    return sorted({*mondays, end, *reached})


def within_reach(plays: DataFrame, dates: Sequence[date]) -> DataFrame:
    """The plays that any look-back of these dates can see, and a margin for sessions."""
    from pyspark.sql import functions as F

    first = _midnight(min(dates)) - timedelta(days=LOOKBACK_DAYS) - SESSION_MARGIN
    started_at = F.col("started_at")
    return plays.where((started_at >= F.lit(first)) & (started_at < F.lit(_midnight(max(dates)))))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    tenant_id, start, end, *run = arguments
    run_id = run[0] if run else "by_hand"
    try:
        settings = load_settings()
        get_tenant(settings, tenant_id)
        built = build(settings, tenant_id, Interval.of(start, end), run_id)
    except AnalyticsError as error:
        print(f"error {error}", file=sys.stderr)
        return 1
    print(built)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
