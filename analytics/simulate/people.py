"""The listeners of one tenant, as arrays: what they are and how they feel.

Position i is listener id i + 1. What a listener is stays; satisfaction, plan
and the memories of failed charges, tickets and adverts move from day to day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.simulate.catalogue import Catalogue
from analytics.simulate.config import SimulationConfig
from analytics.simulate.profiles import Profile
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import DAY_MS
from analytics.simulate.words import (
    ACQUISITION,
    CHANNELS,
    FAMILY,
    FIRST_NAMES,
    FREE,
    GENDERS,
    GENRES,
    GONE,
    LAST_NAMES,
    PREMIUM,
    PURPOSES,
)  # fmt: skip

FAVOURITES = 12
NEVER = -(10**6)
AGREE_AT_FIRST = np.array([0.45, 0.8])  # by purpose

# How satisfied the people of a channel are on average, beside their number.
CHANNEL_SHARE = np.array([0.35, 0.2, 0.2, 0.15, 0.1])
CHANNEL_SATISFACTION = np.array([0.15, 0.0, -0.25, 0.3, -0.15])


@dataclass
class People:
    """Arrays by listener; `join` makes them longer, nothing makes them shorter."""

    # what they are
    signed_up_day: np.ndarray
    signed_up_ms: np.ndarray  # since 1970
    market: np.ndarray
    gender: np.ndarray  # -1 unknown
    birth_year: np.ndarray  # 0 unknown
    acquisition: np.ndarray
    first_name: np.ndarray
    last_name: np.ndarray
    taste: np.ndarray  # listener x genre, sums to one
    favourites: np.ndarray  # listener x FAVOURITES, positions of tracks
    engagement: np.ndarray  # log of the usual activity
    lateness: np.ndarray  # hours by which the daily rhythm is shifted
    platform: np.ndarray
    offline_share: np.ndarray
    price_sense: np.ndarray
    usual_satisfaction: np.ndarray
    is_bot: np.ndarray
    billing_day: np.ndarray  # day number on which the plan began, modulo the cycle
    # how they feel and what they pay, day by day
    satisfaction: np.ndarray
    plan: np.ndarray
    failed: np.ndarray  # fading memory of failed charges
    complained: np.ndarray  # fading memory of tickets
    advertised: np.ndarray  # listener x channel, fading memory of touchpoints
    retry_day: np.ndarray  # day a failed charge is tried again, NEVER if none
    variant: np.ndarray  # listener x experiment: -1 not exposed, 0 control, 1 treatment
    consents: np.ndarray  # listener x purpose: agreed to

    def __len__(self) -> int:
        return len(self.plan)

    @property
    def paying(self) -> np.ndarray:
        return self.plan >= PREMIUM

    @property
    def here(self) -> np.ndarray:
        return self.plan != GONE

    def join(self, newcomers: People) -> None:
        for name, values in vars(newcomers).items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))


def newcomers(
    config: SimulationConfig, profile: Profile, streams: Streams, catalogue: Catalogue,
    day: int, number: int, midnight_ms: int,
) -> People:  # fmt: skip
    """`number` people who sign up on a day; day -1 makes those who were here before."""
    draw = streams.on("newcomers", day)
    n, opening = number, day < 0
    acquisition = draw.choice(len(ACQUISITION), n, p=CHANNEL_SHARE)
    usual = draw.normal(0.15, 0.75, n) + CHANNEL_SATISFACTION[acquisition]
    taste = _tastes(draw, profile, n)
    cumulated = np.cumsum(taste, axis=1)
    genres = (draw.random((n, FAVOURITES))[:, :, None] > cumulated[:, None, :]).sum(axis=2)
    genres = np.minimum(genres, len(GENRES) - 1)
    age_days = draw.exponential(400, n).astype(np.int64) + 1
    is_bot = draw.random(n) < config.bot_share
    paid = draw.random(n) < np.where(is_bot, 0.3, profile.paid_share)
    family = draw.random(n) < 0.22
    plan = np.where(paid & opening, np.where(family, FAMILY, PREMIUM), FREE)
    signed_up_day = -age_days if opening else np.full(n, day)
    days_back = np.minimum(signed_up_day, 0) if opening else 0
    share = np.array([m.share for m in profile.markets])
    return People(
        signed_up_day=signed_up_day,
        signed_up_ms=midnight_ms + days_back * DAY_MS + draw.integers(0, 86_000, n) * 1000,
        market=draw.choice(len(share), n, p=share / share.sum()),
        gender=np.where(
            draw.random(n) < 0.06, -1, draw.choice(len(GENDERS), n, p=[0.47, 0.49, 0.04])
        ),
        birth_year=np.where(draw.random(n) < 0.12, 0, draw.integers(1955, 2008, n)),
        acquisition=acquisition,
        first_name=draw.integers(0, len(FIRST_NAMES), n),
        last_name=draw.integers(0, len(LAST_NAMES), n),
        taste=taste,
        favourites=catalogue.pick(genres, draw.random((n, FAVOURITES))),
        engagement=draw.normal(-0.16, 0.55, n),
        lateness=draw.normal(0, 1.6, n),
        platform=draw.choice(5, n, p=[0.33, 0.32, 0.14, 0.13, 0.08]),
        offline_share=draw.beta(1, 6, n),
        price_sense=draw.normal(0, 1, n),
        usual_satisfaction=usual,
        is_bot=is_bot,
        billing_day=draw.integers(0, 30, n),
        satisfaction=usual + draw.normal(0, 0.65 if opening else 0.4, n),
        plan=plan,
        failed=np.zeros(n),
        complained=np.zeros(n),
        advertised=np.zeros((n, len(CHANNELS))),
        retry_day=np.full(n, NEVER),
        variant=np.full((n, 2), -1),
        consents=streams.on("agreed at first", day).random((n, len(PURPOSES))) < AGREE_AT_FIRST,
    )


def _tastes(draw: np.random.Generator, profile: Profile, n: int) -> np.ndarray:
    """Dirichlet-like: a few loved genres each, around the tenant's own favourites."""
    places = np.arange(len(GENRES))
    liked = 0.35 + 0.3 * (1 + np.cos(places + profile.genre_tilt))
    raw = draw.standard_gamma(np.broadcast_to(liked, (n, len(GENRES)))) + 0.01
    return raw / raw.sum(axis=1, keepdims=True)
