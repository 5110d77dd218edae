"""What listeners do in the app beside listening: a row per page of a session."""

from __future__ import annotations

import numpy as np
import polars as pl

from analytics.simulate.people import People
from analytics.simulate.randomness import Streams
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
    opened: pl.DataFrame, played: pl.DataFrame, people: People, streams: Streams, number: int,
    drifting: bool,
) -> pl.DataFrame:  # fmt: skip
    """The pages other than NextSong, with their session, place in it and time."""
    draw = streams.on("pages", number)
    begins = opened["begins"].to_numpy()
    home = np.flatnonzero((draw.random(len(opened)) < 0.6) & ~opened["bot"].to_numpy())
    session = played["session"].to_numpy()
    starts, listened = played["starts"].to_numpy(), played["listened_ms"].to_numpy()
    item = played["item"].to_numpy()

    thresholds = np.cumsum(_chances(opened, played, people, drifting), axis=0)
    u = draw.random(len(played))
    kind = (u[None, :] >= thresholds).sum(axis=0)
    beside = np.flatnonzero(kind < len(BESIDE_PLAYS))
    at = starts[beside] + (listened[beside] * draw.random(len(beside))).astype(np.int64)

    out = np.flatnonzero(played["last"].to_numpy() & (draw.random(len(played)) < 0.12))
    return pl.DataFrame(
        {
            "session": np.concatenate([home, session[beside], session[out]]),
            "item": np.concatenate([0 * home, 2 * item[beside] + 2, 2 * item[out] + 3]),
            "starts": np.concatenate([begins[home], at, starts[out] + listened[out] + 100]),
            "page": np.concatenate(
                [
                    np.full(len(home), HOME),
                    np.array(BESIDE_PLAYS)[kind[beside]],
                    np.full(len(out), LOGOUT),
                ]
            ),
        }
    )


def _chances(
    opened: pl.DataFrame, played: pl.DataFrame, people: People, drifting: bool
) -> np.ndarray:
    """Page x play: how likely each page is while a play runs."""
    session = played["session"].to_numpy()
    listener = played["listener"].to_numpy()
    mood = people.satisfaction[listener]
    liking = played["liking"].to_numpy()
    plan = opened["plan"].to_numpy()[session]
    heard = ~played["skipped"].to_numpy()
    human = ~opened["bot"].to_numpy()[session]
    free = plan == FREE
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
