"""A tenant's tracks: who made them, how popular they are on a day.

Popularity is a power law of a track's rank within its genre times the decay
since its release; new tracks come out every day and start on top.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analytics.simulate.randomness import Streams
from analytics.simulate.words import GENRES, TITLE_HEADS, TITLE_TAILS

RELEASES_A_DAY = 6
HALF_LIFE_DAYS = 45.0
EVERGREEN = 0.15  # the share of its first popularity that a track keeps for good


@dataclass
class Catalogue:
    """Arrays by track; the position of a track is its id minus one."""

    streams: Streams
    size: int
    genre: np.ndarray = field(init=False)
    artist: np.ndarray = field(init=False)
    weight: np.ndarray = field(init=False)
    quality: np.ndarray = field(init=False)
    duration_ms: np.ndarray = field(init=False)
    released: np.ndarray = field(init=False)  # day number; negative is before the first day
    title: list[str] = field(init=False)
    _order: np.ndarray = field(init=False)
    _cumulated: np.ndarray = field(init=False)
    _bounds: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.artists = max(20, self.size // 9)
        empty = np.empty(0)
        self.genre = self.artist = self.duration_ms = self.released = empty.astype(np.int64)
        self.weight = self.quality = empty
        self.title = []
        draw = self.streams.on("catalogue")
        self.artist_genre = draw.integers(0, len(GENRES), self.artists)
        self.artist_genre[: len(GENRES)] = np.arange(len(GENRES))  # no genre stays empty
        self.artist_fame = draw.lognormal(0, 1.0, self.artists)
        released = -(draw.exponential(900, self.size).astype(np.int64) + 1)
        self._add(draw, released)

    def release(self, day: int) -> None:
        """Bring out the day's new tracks and recompute what is popular."""
        draw = self.streams.on("releases", day)
        if day > 0:
            self._add(draw, np.full(1 + draw.poisson(RELEASES_A_DAY - 1), day))
        age = np.maximum(day - self.released, 0)
        decay = EVERGREEN + (1 - EVERGREEN) * np.exp2(-age / HALF_LIFE_DAYS)
        popularity = self.weight * decay
        self._order = np.argsort(self.genre, kind="stable")
        self._cumulated = np.cumsum(popularity[self._order])
        ends = np.searchsorted(self.genre[self._order], np.arange(len(GENRES)), side="right")
        self._bounds = np.concatenate([[0.0], self._cumulated[ends - 1]])

    def pick(self, genre: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """One track of each genre, the popular ones more often."""
        low, high = self._bounds[genre], self._bounds[genre + 1]
        place = np.searchsorted(self._cumulated, low + uniform * (high - low), side="right")
        return self._order[np.minimum(place, len(self._order) - 1)]

    def artist_name(self, artist: int) -> str:
        head, tail = divmod(int(artist), len(TITLE_TAILS))
        number = head // len(TITLE_HEADS)
        name = f"The {TITLE_HEADS[head % len(TITLE_HEADS)]} {TITLE_TAILS[tail]}"
        return name if number == 0 else f"{name} {number + 1}"

    def _add(self, draw: np.random.Generator, released: np.ndarray) -> None:
        n, before = len(released), len(self.genre)
        fame = np.cumsum(self.artist_fame)
        artist = np.searchsorted(fame, draw.random(n) * fame[-1])
        if before == 0:
            artist[: self.artists] = np.arange(min(n, self.artists))
        zipf = (1.0 - draw.random(n)) ** (-1 / 1.3)  # Pareto: rank-popularity of slope -0.77
        self.artist = np.concatenate([self.artist, artist])
        self.genre = np.concatenate([self.genre, self.artist_genre[artist]])
        self.weight = np.concatenate(
            [self.weight, np.minimum(zipf, 300) * self.artist_fame[artist] ** 0.5]
        )
        self.quality = np.concatenate([self.quality, draw.normal(0, 0.4, n)])
        minutes = np.clip(draw.lognormal(np.log(3.4), 0.28, n), 1.2, 12)
        self.duration_ms = np.concatenate([self.duration_ms, (minutes * 60_000).astype(np.int64)])
        self.released = np.concatenate([self.released, released])
        heads = draw.integers(0, len(TITLE_HEADS), n)
        tails = draw.integers(0, len(TITLE_TAILS), n)
        self.title += [
            f"{TITLE_HEADS[h]} {TITLE_TAILS[t]} {before + k + 1}"
            for k, (h, t) in enumerate(zip(heads, tails, strict=True))
        ]
