"""What listeners do in the app beside listening: a row per page of a session."""

from __future__ import annotations

import numpy as np

from analytics.simulate.people import People
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import Rows
from analytics.simulate.words import (
    ADVERT,
    DOWN,
    DOWNGRADE,
    ERROR,
    FREE,
    HELP,
    HOME,
    LOGOUT,
    PLAYLIST,
    SETTINGS,
    UP,
    UPGRADE,
)  # fmt: skip

BESIDE_PLAYS = (UP, DOWN, PLAYLIST, ADVERT, UPGRADE, DOWNGRADE, HELP, ERROR, SETTINGS)


def pages(
    opened: Rows, played: Rows, people: People, streams: Streams, number: int, drifting: bool
) -> Rows:
    """The pages other than NextSong, with their session, place in it and time."""
    draw = streams.on("pages", number)
    home = np.flatnonzero((draw.random(len(opened)) < 0.6) & ~opened["bot"])
    session, item = played["session"], played["item"]
    starts, listened = played["starts"], played["listened_ms"]

    thresholds = np.cumsum(_chances(opened, played, people, drifting), axis=0)
    u = draw.random(len(played))
    kind = (u[None, :] >= thresholds).sum(axis=0)
    beside = np.flatnonzero(kind < len(BESIDE_PLAYS))
    at = starts[beside] + (listened[beside] * draw.random(len(beside))).astype(np.int64)

    out = np.flatnonzero(played["last"] & (draw.random(len(played)) < 0.12))
    shown = [
        np.full(len(home), HOME),
        np.array(BESIDE_PLAYS)[kind[beside]],
        np.full(len(out), LOGOUT),
    ]
    ends = starts[out] + listened[out] + 100
    return Rows(
        session=np.concatenate([home, session[beside], session[out]]),
        item=np.concatenate([0 * home, 2 * item[beside] + 2, 2 * item[out] + 3]),
        starts=np.concatenate([opened["begins"][home], at, ends]),
        page=np.concatenate(shown),
    )


def _chances(opened: Rows, played: Rows, people: People, drifting: bool) -> np.ndarray:
    """Page x play: how likely each page is while a play runs."""
    session, liking = played["session"], played["liking"]
    mood = people.satisfaction[played["listener"]]
    heard = ~played["skipped"]
    human = ~opened["bot"][session]
    free = opened["plan"][session] == FREE
    chances = (
        0.055 * heard * np.exp(np.clip(0.6 * liking, -2, 1.2)),
        0.010 * np.exp(np.clip(-0.6 * liking, -2, 1.5)),
        0.022 * heard * np.exp(np.clip(0.4 * liking, -2, 1.2)),
        0.12 * free,
        0.004 * free * np.exp(np.clip(0.3 * mood, -1, 1)),
        0.0025 * ~free * np.exp(np.clip(-0.9 * mood, -2.5, 2.5)),
        0.002 * np.exp(np.clip(-0.5 * mood, -2, 2)),
        np.full(len(played), 0.03 if drifting else 0.002),
        np.full(len(played), 0.006),
    )
    return np.stack(chances) * human
