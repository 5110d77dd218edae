"""Look whether a tenant's data left what its champion learnt from, and decide on retraining.

Reference  the feature rows of the four weeks up to the champion's training day,
           at the Delta version it learnt from, and the champion's answers to
           them. These are the rows just before it went into use, so slow growth
           (a filling 90-day window) does not count as drift at once.
Current    the feature rows of the scoring day and the champion's answers.
Judged     all columns but two kinds that move by the calendar: days and counts since
           sign-up, and windows longer than the reference, which fill for months in
           a young tenant (0.5 standard deviations in seven weeks of a simulated
           one). A change shows in the shorter windows first, and what any column
           does to the answers is judged with these.
Weekdays   windows of 7 and 28 days hold every weekday alike. The one-day
           columns do not; the thresholds are far above a weekday's swing, and
           one column alone decides nothing.
Re-run     safe; the decision on record stays what it was.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from analytics.errors import TrainingError
from analytics.settings import Settings
from analytics.tenants import get_tenant
from ml.drift.comparison import MIN_ROWS, PREDICTION, Drift, compare
from ml.drift.decisions import NO_CHAMPION, Decision, answered, record
from ml.features import feature_rows, training_set
from ml.features.training_set import as_pandas
from ml.outcomes import recorded as outcomes_of
from ml.problems.churn import CHURN
from ml.registry import connect, versions

log = logging.getLogger(__name__)

REFERENCE_DAYS = 28


def monitor(settings: Settings, tenant_id: str, as_of: date, run_id: str) -> Decision:
    """The recorded decision: retrain or not, and why.

    Without monitoring no drift is looked for; a tenant without a champion is trained all the same.
    """
    get_tenant(settings, tenant_id)
    drift = Drift({})
    champion = versions.champion(connect(settings), tenant_id)
    done = None
    if champion is None:
        content = training_set(settings, tenant_id, as_of).content
        done = answered(None, outcomes_of(settings, tenant_id), as_of, content)
        retrain, reason = done is None, done or "no champion yet"
    elif not settings.ml_monitoring_enabled:
        retrain, reason = False, "monitoring is off"
    else:
        try:
            drift = measure(settings, tenant_id, as_of, champion)
            retrain, reason = drift.drifted, _said(drift)
        except NothingToCompare as why:
            retrain, reason = False, str(why)
        if retrain:
            content = training_set(settings, tenant_id, as_of).content
            done = answered(champion.as_of, outcomes_of(settings, tenant_id), as_of, content)
            retrain, reason = done is None, f"{reason}; {done}" if done else reason
    decision = Decision(
        tenant_id=tenant_id,
        as_of=as_of,
        champion_version=champion.version if champion else NO_CHAMPION,
        drifted=drift.drifted,
        share=drift.share,
        columns=drift.columns,
        retrain=retrain,
        reason=reason,
    )
    log.info("%s on %s: %s (%s)", tenant_id, as_of, "retrain" if retrain else "no", reason)
    return record(settings, decision, run_id)


class NothingToCompare(TrainingError):
    """One side of the comparison has too few rows."""


def measure(settings: Settings, tenant_id: str, as_of: date, champion: versions.Version) -> Drift:
    """The drift of the day's features and predictions; its report goes to var/drift_reports."""
    since = champion.as_of - timedelta(days=REFERENCE_DAYS - 1)
    reference = feature_rows(
        settings, tenant_id, since, champion.as_of, at=champion.feature_version
    )
    current = feature_rows(settings, tenant_id, as_of, as_of)
    for side, rows in (("reference", reference), ("current", current)):
        if rows.height < MIN_ROWS:
            raise NothingToCompare(
                f"too few rows to compare: {rows.height} {side} rows, needs {MIN_ROWS}"
            )
    loaded = versions.load(champion)
    sides = []
    for rows in (reference, current):
        frame = as_pandas(rows)
        features = frame[judged(loaded.scorer.encoder.numeric)]
        sides.append(features.assign(**{PREDICTION: loaded.predict(frame)}))
    return compare(sides[0], sides[1], report_file(settings, tenant_id, as_of))


def judged(features: Sequence[str]) -> list[str]:
    """Those whose movement means something."""
    return [
        name
        for name in features
        if name not in CHURN.lifetime_features and _window(name) <= REFERENCE_DAYS
    ]


def _window(feature: str) -> int:
    """The days a feature looks back, by its name; 0 where it has no window."""
    said = re.search(r"_(\d+)d$", feature)
    return int(said.group(1)) if said else 0


def report_file(settings: Settings, tenant_id: str, as_of: date) -> Path:
    return settings.var / "drift_reports" / tenant_id / f"{as_of.isoformat()}.html"


def _said(drift: Drift) -> str:
    return f"{'drift' if drift.drifted else 'no drift'}: {drift}"
