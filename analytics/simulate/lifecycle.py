"""One day of everything that is not listening: money, plans, adverts, complaints.

Every function changes the people it is given and returns the day's rows; `ms`
is the time since the UTC midnight that opens the day.
"""

from __future__ import annotations

import numpy as np

from analytics.simulate.churn import TO_FREE, hazard
from analytics.simulate.people import NEVER, People
from analytics.simulate.profiles import Profile
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import DAY_MS, Rows, stacked
from analytics.simulate.words import (
    CAMPAIGNS,
    CANCELLED,
    CHANNELS,
    DOWNGRADED,
    FAMILY,
    FREE,
    GONE,
    PREMIUM,
    TICKET_CATEGORIES,
    UPGRADED,
)  # fmt: skip

BILLING_CYCLE = 30

# Marketing: how often a channel reaches a free listener, what a touch costs, and
# by how much a fresh touch truly raises the log hazard of upgrading.
REACH = np.array([0.025, 0.02, 0.015, 0.008, 0.03])
COST_MICROS = np.array([2_000, 500, 90_000, 350_000, 25_000])
TOUCH_EFFECT = np.array([0.25, 0.10, 0.35, 0.55, 0.0])
TOUCH_FADES = 0.85
UPGRADE_HAZARD = 0.0045
UPGRADE_BY_SATISFACTION = 0.35

# Experiments: name, first day, true multiplier of the upgrade hazard.
EXPERIMENTS = (("trial_offer", 14, 1.5), ("new_player", 35, 1.0))


def plan_changes(
    people: People, profile: Profile, streams: Streams, day: int
) -> tuple[Rows, np.ndarray]:
    """Upgrades, downgrades and cancellations, and the ms at which accounts close."""
    draw = streams.on("plans", day)
    n, before = len(people), people.plan.copy()
    leaves = draw.random(n) < hazard(people, profile.churn, day)
    to_free = draw.random(n) < TO_FREE
    up = draw.random(n) < upgrade_hazard(people)
    family = draw.random(n)
    closes = draw.random(n) < 0.0012 * np.exp(-0.6 * people.satisfaction)
    ms = draw.integers(3_600_000, DAY_MS - 60_000, n)

    plan = before.copy()
    plan[(before == FREE) & up] = PREMIUM
    plan[(before == FREE) & up & (family < 0.22)] = FAMILY
    plan[(before == PREMIUM) & (family < 0.0006)] = FAMILY
    plan[(before == FAMILY) & (family < 0.0012)] = PREMIUM
    plan[leaves & to_free] = FREE
    plan[leaves & ~to_free] = GONE
    plan[(before == FREE) & ~up & closes] = GONE
    plan[people.signed_up_day >= day] = before[people.signed_up_day >= day]

    changed = np.flatnonzero(plan != before)
    old, new = before[changed], plan[changed]
    kind = np.where(new == GONE, CANCELLED, np.where(new > old, UPGRADED, DOWNGRADED))
    people.plan = plan
    starts = changed[(old == FREE) & (new > FREE)]
    people.billing_day[starts] = day
    people.retry_day[plan <= FREE] = NEVER
    people.failed[starts] = 0
    closed = np.full(n, DAY_MS * 9)
    closed[changed[new == GONE]] = ms[changed[new == GONE]]
    rows = Rows(listener=changed, ms=ms[changed], kind=kind, plan_from=old, plan_to=new)
    return rows, closed


def upgrade_hazard(people: People) -> np.ndarray:
    """The true chance of each free listener to begin to pay today."""
    log = UPGRADE_BY_SATISFACTION * people.satisfaction + people.advertised @ TOUCH_EFFECT
    for place, (_, _, lift) in enumerate(EXPERIMENTS):
        log = log + np.log(lift) * (people.variant[:, place] == 1)
    return UPGRADE_HAZARD * np.exp(log) * (people.plan == FREE)


def payments(
    people: People, profile: Profile, streams: Streams, day: int, changes: Rows, complaints: Rows
) -> tuple[Rows, np.ndarray]:
    """Charges and refunds, and the listeners whose charge failed."""
    draw = streams.on("payments", day)
    n = len(people)
    price = np.array([0, profile.premium_minor, profile.family_minor])
    anniversary = (day - people.billing_day) % BILLING_CYCLE == 0
    due = people.paying & ((anniversary & (people.signed_up_day < day)) | (people.retry_day == day))
    retried = people.retry_day == day
    refused = np.where(retried, 0.3, 0.035 * np.exp(0.35 * people.price_sense))
    fails = due & (draw.random(n) < refused) & ~(people.billing_day == day)
    charged = np.flatnonzero(due & ~fails)
    failed = np.flatnonzero(fails)
    people.retry_day[due] = NEVER
    people.retry_day[failed] = day + 3
    people.failed[failed] += 1
    people.satisfaction[failed] -= 0.12

    ms = draw.integers(3_600_000, 20_000_000, n)
    upgraded = changes.at(changes["kind"] == UPGRADED)
    ms[upgraded["listener"]] = upgraded["ms"] + 20_000
    asked = complaints["listener"][complaints["category"] == TICKET_CATEGORIES.index("billing")]
    refunded = asked[(draw.random(len(asked)) < 0.4) & people.paying[asked]]
    later = np.full(len(refunded), DAY_MS - 30_000)
    who = np.concatenate([charged, refunded])
    rows = Rows(
        listener=who,
        ms=np.concatenate([ms[charged], later]),
        amount_minor=price[people.plan[who]],
        refund=np.arange(len(who)) >= len(charged),
        plan=people.plan[who],
    )
    return rows, failed


def touchpoints(people: People, streams: Streams, day: int, season: int) -> Rows:
    """Adverts that reached listeners; they raise the chance to upgrade for a while."""
    draw = streams.on("touchpoints", day)
    people.advertised = people.advertised * TOUCH_FADES
    chance = np.where((people.plan == FREE)[:, None], REACH, REACH * 0.15)
    hit = (draw.random((len(people), len(CHANNELS))) < chance) & people.here[:, None]
    people.advertised += hit
    listener, channel = np.nonzero(hit)
    n = len(listener)
    return Rows(
        listener=listener,
        ms=draw.integers(21_600_000, DAY_MS - 3_600_000, n),
        channel=channel,
        campaign=np.full(n, season % len(CAMPAIGNS)),
        cost_micros=(COST_MICROS[channel] * draw.lognormal(0, 0.25, n)).astype(np.int64),
    )


def exposures(people: People, streams: Streams, day: int, begins: np.ndarray) -> Rows:
    """First sights of an experiment by listeners active today; `begins` is -1 for the others."""
    draw = streams.on("exposures", day)
    parts = []
    for place, (_, first_day, _) in enumerate(EXPERIMENTS):
        side = draw.integers(0, 2, len(people))
        wanted = (people.variant[:, place] < 0) & (begins >= 0) & (day >= first_day)
        if place == 0:
            wanted &= people.plan == FREE
        new = np.flatnonzero(wanted)
        people.variant[new, place] = side[new]
        parts.append(
            Rows(
                listener=new,
                ms=np.minimum(begins[new] + 900, DAY_MS - 1),
                experiment=np.full(len(new), place),
                variant=side[new],
            )
        )
    return stacked(parts)


def tickets(people: People, streams: Streams, day: int, drifting: bool) -> Rows:
    """Tickets opened today, with the day and ms at which they will be resolved."""
    draw = streams.on("tickets", day)
    n = len(people)
    chance = 0.0022 * np.exp(-0.65 * people.satisfaction + 1.2 * people.failed)
    asks = draw.random(n) < chance * (4 if drifting else 1)
    who = np.flatnonzero(asks & people.here & ~people.is_bot & (people.signed_up_day < day))
    k = len(who)
    money = draw.random(k) < np.minimum(0.2 + 0.6 * people.failed[who], 0.9)
    other = draw.choice(4, k, p=[0.0, 0.5, 0.25, 0.25])
    category = np.where(money & people.paying[who], 0, other)
    mood = people.satisfaction[who] + draw.normal(0, 0.8, k)
    people.complained[who] += 1
    people.satisfaction[who] -= 0.15
    return Rows(
        listener=who,
        ms=draw.integers(21_600_000, DAY_MS - 7_200_000, k),
        category=category,
        text=draw.integers(0, 4, k),
        resolves_day=day + draw.choice(4, k, p=[0.4, 0.3, 0.2, 0.1]),
        resolves_ms=draw.integers(DAY_MS - 7_000_000, DAY_MS - 1000, k),
        satisfaction=np.clip(np.round(3.2 + 0.9 * mood), 1, 5).astype(np.int64),
    )


def reviews(played: Rows, streams: Streams, day: int) -> Rows:
    """Stars and words for a few of the day's plays."""
    draw = streams.on("reviews", day)
    finished = np.flatnonzero(played["starts"] < DAY_MS - 600_000)
    some = played.at(finished[draw.random(len(finished)) < 0.0025])
    n = len(some)
    feeling = 3.4 + 0.55 * some["liking"] + draw.normal(0, 0.8, n)
    return Rows(
        listener=some["listener"],
        track=some["track"],
        ms=np.minimum(some["starts"] + 300_000, DAY_MS - 1000),
        stars=np.clip(np.round(feeling), 1, 5).astype(np.int64),
        text=draw.integers(0, 3, n),
    )
