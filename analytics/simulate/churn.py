"""The true hazard with which listeners leave, and what an oracle makes of it.

The hazard depends on satisfaction, which no table shows, on failed charges and
complaints that fade, on plan, price sense and tenure. The oracle knows all of
them today, and how they move on average, but not tomorrow's chance.
"""

from __future__ import annotations

import numpy as np

from analytics.simulate.people import People
from analytics.simulate.words import FAMILY, FREE

HORIZON_DAYS = 28

BY_SATISFACTION = -1.6
BY_FAILED = 0.9
BY_COMPLAINT = 0.6
BY_PRICE_SENSE = 0.25
BY_FAMILY = -0.5
BY_FRESHNESS = 0.4  # at sign-up, fading over two months

PERSISTENCE = 0.985  # of satisfaction's distance from the usual, a day
DAILY_NOISE = 0.11
FAILED_FADES = 0.93
COMPLAINT_FADES = 0.95
TO_FREE = 0.3  # share of the leavers who keep a free account
LARGEST = 0.25


def hazard(people: People, base: float, day: int, ahead: int = 0) -> np.ndarray:
    """The chance of each listener to leave the paid plan on a day `ahead` of today.

    Ahead of today it is the expectation over the noise of the days between.
    """
    fades = PERSISTENCE**ahead
    mood = people.usual_satisfaction + (people.satisfaction - people.usual_satisfaction) * fades
    noise = DAILY_NOISE**2 * (1 - fades**2) / (1 - PERSISTENCE**2)
    tenure = day + ahead - people.signed_up_day
    log = (
        np.log(base)
        + BY_SATISFACTION * mood
        + BY_SATISFACTION**2 * noise / 2
        + BY_FAILED * people.failed * FAILED_FADES**ahead
        + BY_COMPLAINT * people.complained * COMPLAINT_FADES**ahead
        + BY_PRICE_SENSE * people.price_sense
        + BY_FAMILY * (people.plan == FAMILY)
        + BY_FRESHNESS * np.exp(-tenure / 60)
        - 1.5 * people.is_bot
    )
    return np.where(people.plan > FREE, np.minimum(np.exp(log), LARGEST), 0.0)


def oracle(people: People, base: float, day: int) -> np.ndarray:
    """The chance to leave the paid plan within the horizon, for who knows everything today."""
    stays = np.ones(len(people))
    for ahead in range(HORIZON_DAYS):
        stays *= 1 - hazard(people, base, day, ahead)
    return 1 - stays


def evolve(people: People, draw: np.random.Generator, drifting: bool) -> None:
    """Move satisfaction and memories on to the next day."""
    usual = people.usual_satisfaction
    people.satisfaction = (
        usual
        + (people.satisfaction - usual) * PERSISTENCE
        + DAILY_NOISE * draw.standard_normal(len(people))
        - (0.05 if drifting else 0.0)
    )
    people.failed = people.failed * FAILED_FADES
    people.complained = people.complained * COMPLAINT_FADES


def auc(score: np.ndarray, truth: np.ndarray) -> float | None:
    """Area under the ROC curve, ties counted half; None where one class is missing."""
    order = np.argsort(score, kind="stable")
    _, inverse, count = np.unique(score[order], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[inverse]
    positive = truth[order].astype(bool)
    p, n = int(positive.sum()), int((~positive).sum())
    if p == 0 or n == 0:
        return None
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * n))
