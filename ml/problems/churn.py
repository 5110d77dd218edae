"""Which paying listeners leave in the next four weeks?

One declaration: what is asked, of whom, how it is judged, and when a model is
good enough to be used. Training, scoring and monitoring read it from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NAME = "churn"
IDENTIFIERS = ("tenant_id", "listener_id", "as_of_date")


@dataclass(frozen=True)
class Question:
    """A business question, stated as a learning problem."""

    question: str
    grain: tuple[str, ...]
    label: str
    horizon_days: int
    metric: str
    baseline_features: tuple[str, ...]  # what a person would look at first
    lifetime_features: tuple[str, ...]  # grow with the calendar, whatever listeners do
    min_listeners: int  # distinct, with a known label
    min_positives: int  # distinct listeners who churned
    min_as_of_dates: int  # two to learn from, four weeks of embargo, one to hold out


CHURN = Question(
    question="Which listeners on a paid plan cancel or fall back to free within 28 days?",
    grain=IDENTIFIERS,
    label="is_churned",
    horizon_days=28,
    metric="area under the ROC curve on the forward holdout; Brier score guards calibration",
    baseline_features=("days_since_last_play", "tenure_days", "active_days_28d"),
    lifetime_features=(
        "tenure_days",
        "days_on_plan",
        "upgrades",
        "downgrades",
        "cancellations",
    ),
    min_listeners=200,
    min_positives=30,
    min_as_of_dates=6,
)


@dataclass(frozen=True)
class Comparison:
    """How a challenger did against a rival on the same holdout rows."""

    rival: str
    auc_gain: float
    auc_gain_low: float  # 5 % and 95 % bounds of the paired bootstrap
    auc_gain_high: float
    share_won: float  # of the resamples in which the challenger's AUC was higher
    brier_gain: float  # rival's Brier minus the challenger's; positive is better


@dataclass(frozen=True)
class Promotion:
    """The verdict on a challenger, and the sentence that explains it."""

    promoted: bool
    reason: str


@dataclass(frozen=True)
class PromotionRule:
    """A challenger becomes champion when it wins against the baseline and the champion.

    Winning: a higher AUC in at least `min_share_won` of the paired bootstrap
    resamples (by listener), and a Brier score no worse than `brier_slack`. A
    tie keeps the champion, so the same data never swaps models.
    """

    min_share_won: float = 0.90
    brier_slack: float = 0.002

    def judge(self, comparisons: Sequence[Comparison]) -> Promotion:
        """Promoted only when every rival is beaten; the first that is not is named."""
        if not comparisons:
            return Promotion(False, "nothing to compare with")
        for it in comparisons:
            if it.share_won < self.min_share_won:
                return Promotion(
                    False,
                    f"does not beat the {it.rival}: AUC {it.auc_gain:+.3f}, ahead in "
                    f"{it.share_won:.0%} of resamples, needs {self.min_share_won:.0%}",
                )
            if it.brier_gain < -self.brier_slack:
                return Promotion(
                    False,
                    f"is worse calibrated than the {it.rival}: Brier {-it.brier_gain:+.4f}, "
                    f"at most {self.brier_slack:+.4f} is let pass",
                )
        beaten = " and the ".join(it.rival for it in comparisons)
        return Promotion(True, f"beats the {beaten} on the forward holdout")


PROMOTION = PromotionRule()


@dataclass(frozen=True)
class Shortage:
    """What there is too little of to learn from."""

    have: int
    need: int
    what: str

    def __str__(self) -> str:
        return f"not trained: {self.have} {self.what}, needs {self.need}"


def shortage(
    listeners: int, positives: int, as_of_dates: int, question: Question = CHURN
) -> Shortage | None:
    """The first reason why this is too little to learn from; None when it is enough."""
    if listeners < question.min_listeners:
        return Shortage(listeners, question.min_listeners, "listeners")
    if positives < question.min_positives:
        return Shortage(positives, question.min_positives, "listeners who churned")
    if as_of_dates < question.min_as_of_dates:
        return Shortage(as_of_dates, question.min_as_of_dates, "label dates")
    return None


@dataclass(frozen=True)
class SearchSpace:
    """Where the search may look.

    Kept to well-regularised models on purpose: a few hundred churners in the
    validation weeks cannot tell a better model from a luckier one.
    """

    depths: tuple[int, int] = (2, 4)
    learning_rates: tuple[float, float] = (0.03, 0.1)
    child_weights: tuple[float, float] = (10, 100)
    row_shares: tuple[float, float] = (0.5, 0.9)
    column_shares: tuple[float, float] = (0.3, 0.7)
    penalties: tuple[float, float] = (3, 100)
    widths: tuple[int, ...] = (0, 16, 32)  # 0: no hidden layer, a logistic regression
