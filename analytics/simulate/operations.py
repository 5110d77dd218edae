"""One day of what runs beside the music: the shop, the API, what listeners agree to.

Draws from streams of its own and changes nothing that listening, money or
leaving depend on; `ms` is the time since the UTC midnight that opens the day.
"""

from __future__ import annotations

import numpy as np

from analytics.simulate.people import People
from analytics.simulate.profiles import Profile
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import DAY_MS, Rows

HOUR_MS = 3_600_000

# The shop: how often somebody buys, what is bought, and what an article costs in months of
# premium, so that prices fit the tenant's currency.
ORDERS_A_DAY = 0.006
ARTICLE_SHARE = np.array([0.3, 0.12, 0.23, 0.2, 0.1, 0.05])
MONTHS_OF_PREMIUM = np.array([3.0, 12.0, 2.5, 2.0, 3.2, 6.0])
FATE_SHARE = np.array([0.9, 0.06, 0.04])  # shipped, cancelled, returned
FATE_DAYS = (np.array([1, 0, 6]), np.array([4, 2, 13]))  # first day, day after the last

# The API: client, endpoint and calls for each play of the hour; a broken release errs more.
ROUTES = np.array([(0, 0), (0, 1), (1, 0), (2, 1), (3, 2)])
CALLS_A_PLAY = np.array([0.3, 0.08, 0.4, 0.15, 0.02])
ERROR_SHARE, ERROR_SHARE_DRIFTING = 0.01, 0.12

CHANGES_OF_MIND = 0.0006  # a day, listener and purpose


def orders(people: People, profile: Profile, streams: Streams, day: int) -> tuple[Rows, Rows]:
    """What the shop sold, with the day it will be settled, and the lines; `order` is a position."""
    draw = streams.on("shop", day)
    chance = ORDERS_A_DAY * np.exp(0.3 * people.satisfaction)
    buys = (draw.random(len(people)) < chance) & people.here & ~people.is_bot
    who = np.flatnonzero(buys)
    n = len(who)
    order = np.repeat(np.arange(n), np.minimum(draw.geometric(0.7, n), 5))
    article = _chosen(draw, ARTICLE_SHARE, len(order))
    quantity = 1 + (draw.random(len(order)) < 0.1)
    price = np.round(MONTHS_OF_PREMIUM * profile.premium_minor).astype(np.int64)
    amount = price[article] * quantity
    ms = draw.integers(21_600_000, DAY_MS - 7_200_000, n)
    fate = _chosen(draw, FATE_SHARE, n)
    sold = Rows(
        listener=who,
        ms=ms,
        amount_minor=np.bincount(order, amount, n).astype(np.int64),
        fate=fate + 1,
        resolves_day=day + draw.integers(FATE_DAYS[0][fate], FATE_DAYS[1][fate]),
        resolves_ms=draw.integers(DAY_MS - 7_000_000, DAY_MS - 1000, n),
    )
    return sold, Rows(order=order, article=article, quantity=quantity, amount_minor=amount)


def api_usage(played_ms: np.ndarray, streams: Streams, day: int, drifting: bool) -> Rows:
    """Calls and errors by client, endpoint and hour; an hour without a call has no row."""
    draw = streams.on("api", day)
    plays = np.bincount(played_ms // HOUR_MS, minlength=24)[:24]
    calls = draw.poisson(np.outer(CALLS_A_PLAY, plays))
    route, hour = np.nonzero(calls)
    made = calls[route, hour]
    share = ERROR_SHARE_DRIFTING if drifting else ERROR_SHARE
    return Rows(
        client=ROUTES[route, 0],
        endpoint=ROUTES[route, 1],
        ms=hour * HOUR_MS,
        calls=made,
        errors=draw.binomial(made, share),
    )


def consents(
    people: People, joined: np.ndarray, ms: np.ndarray, streams: Streams, day: int
) -> Rows:
    """What newcomers said when asked at `ms`, and who thought better of it today."""
    draw = streams.on("consents", day)
    turns = draw.random(people.consents.shape) < CHANGES_OF_MIND
    turns &= people.here[:, None]
    turns[joined] = False
    people.consents ^= turns
    who, purpose = np.nonzero(turns)
    purposes = people.consents.shape[1]
    asked = np.repeat(joined, purposes)
    listener = np.concatenate([asked, who])
    purpose = np.concatenate([np.tile(np.arange(purposes), len(joined)), purpose])
    return Rows(
        listener=listener,
        ms=np.concatenate([np.repeat(ms, purposes), draw.integers(0, DAY_MS, len(who))]),
        purpose=purpose,
        given=people.consents[listener, purpose],
    )


def _chosen(draw: np.random.Generator, share: np.ndarray, n: int) -> np.ndarray:
    """n positions in `share`, each as often as it says."""
    return np.searchsorted(np.cumsum(share)[:-1], draw.random(n), side="right")
