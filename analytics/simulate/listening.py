"""One day of listening: who opens the app when, hears what, and skips.

All times are milliseconds since the UTC midnight that opens the day. Sessions
begin within the day and may run over its end; what does so arrives the day after.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from analytics.simulate.catalogue import Catalogue
from analytics.simulate.people import FAVOURITES, People
from analytics.simulate.profiles import Profile
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import DAY_MS, Rows
from analytics.simulate.words import (
    ANDROID,
    BACKBTN,
    ENDPLAY,
    FREE,
    FWDBTN,
    GENRES,
    TRACKDONE,
    WEB,
)  # fmt: skip

WEEKDAY = np.array([0.97, 0.96, 0.98, 1.0, 1.08, 1.04, 0.97])
HOURS = np.array(
    [5, 3, 2, 1, 1, 2, 6, 12, 14, 11, 10, 10, 11, 10, 10, 11, 13, 16, 17, 16, 15, 13, 10, 8],
    dtype=float,
)
# sources: playlist, album, artist, search, radio, recommendation, library
SOURCE_SHARE = np.array([0.30, 0.12, 0.09, 0.08, 0.12, 0.14, 0.15])
SHUFFLE_BY_SOURCE = np.array([0.45, 0.08, 0.3, 0.05, 0.0, 0.0, 0.5])
FAVOURITE_BY_SOURCE = np.array([0.35, 0.1, 0.15, 0.1, 0.05, 0.05, 0.8])
SKIP_BY_SOURCE = np.array([0.0, -0.35, -0.1, 0.1, 0.3, 0.35, -0.3])

# What a broken client release does while it lasts.
DRIFT_ANDROID = 0.85  # share of sessions that show up as the broken client
DRIFT_WAKES = 5.0  # it starts playing by itself
DRIFT_PLAYS = 2.0
DRIFT_LISTENED = 1 / 3
DRIFT_SKIP_LOGIT = 2.1


def offsets_ms(profile: Profile, day: date) -> np.ndarray:
    """Local time minus UTC of each market at noon of the day."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    shifts = [noon.astimezone(ZoneInfo(m.zone)).utcoffset() for m in profile.markets]
    return np.array([(s or timedelta()).total_seconds() * 1000 for s in shifts])


def season(day: date) -> float:
    """A mild year: most listening in December, least in July."""
    return float(1 + 0.05 * np.cos(2 * np.pi * (day.timetuple().tm_yday + 15) / 365))


def activity(people: People, profile: Profile, day: date, drifting: bool) -> np.ndarray:
    """The chance that each listener opens the app on the day."""
    usual = profile.activity * np.exp(people.engagement + 0.42 * people.satisfaction - 0.1)
    chance = np.clip(usual * WEEKDAY[day.weekday()] * season(day), 0.01, 0.95)
    chance[people.plan == FREE] *= 0.85
    if drifting:
        chance = 1 - (1 - chance) ** DRIFT_WAKES
    return chance


def sessions(
    people: People, profile: Profile, streams: Streams, number: int, day: date, drifting: bool,
    mimicry: float,
) -> Rows:  # fmt: skip
    """The sessions that begin on the day, a row each, ordered by listener and time."""
    draw = streams.on("sessions", number)
    chance = activity(people, profile, day, drifting)
    as_bot = people.is_bot & (draw.random(len(people)) >= mimicry)
    chance = np.where(as_bot, 0.95, chance)
    opens = (draw.random(len(people)) < chance) & people.here & (people.signed_up_day < number)
    who = np.flatnonzero(opens)
    mood = people.satisfaction[who]
    often = 1 + draw.poisson(0.28 * np.exp(0.25 * mood + 0.4 * people.engagement[who]))
    often = np.where(as_bot[who], 3 + draw.poisson(1.5, len(who)), often)
    listener = np.repeat(who, often)
    bot = as_bot[listener]
    n = len(listener)

    # The k-th of K sessions lies in the k-th slice of the day, so they hardly overlap.
    slot = np.arange(n) - np.repeat(np.cumsum(often) - often, often)
    quantile = (slot + draw.random(n)) / np.repeat(often, often)
    curve = np.concatenate([[0], np.cumsum(HOURS)]) / HOURS.sum()
    local = np.interp(quantile, curve, np.arange(25)) + people.lateness[listener]
    local = np.where(bot, quantile * 24, local)
    utc = (local * 3_600_000 - offsets_ms(profile, day)[people.market[listener]]) % DAY_MS

    length = 6.2 * np.exp(0.12 * people.satisfaction[listener]) * (DRIFT_PLAYS if drifting else 1)
    plays = 1 + np.minimum(draw.exponential(length - 1), 90).astype(np.int64)
    plays = np.where(bot, 10 + draw.poisson(5.0, n), plays)
    usual = draw.random(n) < 0.85
    platform = np.where(usual, people.platform[listener], draw.integers(0, 5, n))
    platform = np.where(bot, WEB, platform)
    if drifting:
        platform = np.where(draw.random(n) < DRIFT_ANDROID, ANDROID, platform)
    source = np.searchsorted(np.cumsum(SOURCE_SHARE), draw.random(n))
    source = np.minimum(source, len(SOURCE_SHARE) - 1)
    source = np.where(bot, 0, source)
    carried = (people.plan[listener] > FREE) & (platform <= ANDROID) & ~bot
    return Rows(
        listener=listener,
        begins=utc.astype(np.int64),
        plays=plays,
        platform=platform,
        source=source,
        shuffle=draw.random(n) < SHUFFLE_BY_SOURCE[source],
        offline=carried & (draw.random(n) < people.offline_share[listener]),
        genre=_a_genre(people, listener, draw.random(n)),
        bot=bot,
        plan=people.plan[listener],
    )


def plays(
    opened: Rows, people: People, catalogue: Catalogue, streams: Streams, number: int,
    drifting: bool,
) -> Rows:  # fmt: skip
    """The plays of the day's sessions in order, with `starts`, `listened_ms` and `liking`."""
    draw = streams.on("plays", number)
    count = opened["plays"]
    session = np.repeat(np.arange(len(opened)), count)
    item = np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)
    of = opened.only("listener", "source", "genre", "bot", "shuffle", "begins").at(session)
    listener, source, bot = of["listener"], of["source"], of["bot"]
    n = len(session)

    chance = draw.random((4, n), dtype=np.float32)
    wander = _a_genre(people, listener, draw.random(n))
    genre = np.where(chance[0] < 0.7, of["genre"], wander)
    favourite = chance[1] < FAVOURITE_BY_SOURCE[source]
    kept = people.favourites[listener, (chance[0] * FAVOURITES).astype(np.int64) % FAVOURITES]
    track = np.where(favourite, kept, catalogue.pick(genre, draw.random(n)))
    target = catalogue.pick(of["genre"], chance[2] * 0.02 + 0.1)  # farms push a few tracks
    track = np.where(bot, target, track)

    fit = people.taste[listener, catalogue.genre[track]] * len(GENRES)
    liking = 0.35 * np.log(fit + 0.1) + catalogue.quality[track] + 0.8 * favourite
    mood = people.satisfaction[listener]
    logit = -0.5 - 0.75 * liking - 0.42 * mood + SKIP_BY_SOURCE[source] + 0.25 * of["shuffle"]
    logit = np.where(bot, -4.0, logit + (DRIFT_SKIP_LOGIT if drifting else 0))
    skipped = chance[3] < 1 / (1 + np.exp(-logit))

    full = catalogue.duration_ms[track]
    u = draw.random(n)
    part = np.where(skipped, 0.02 + 0.6 * u * u, np.where(u < 0.93, 1.0, 0.8 + 2 * (1 - u)))
    listened = full * part * (DRIFT_LISTENED if drifting else 1)
    listened = np.where(bot, 30_500 + u * 5_000, listened)
    listened = np.maximum(np.minimum(listened, full), 500).astype(np.int64)

    pause = 200 + (draw.random(n) ** 4 * 20_000).astype(np.int64)
    length = listened + pause
    before = np.cumsum(length) - length
    first = np.repeat(np.cumsum(count) - count, count)
    starts = of["begins"] + 1500 + before - before[first] if n else before
    last = item == np.repeat(count, count) - 1
    reason = np.where(skipped, np.where(u < 0.12, BACKBTN, FWDBTN), TRACKDONE)
    reason = np.where(last & ~skipped & (part < 1), ENDPLAY, reason)
    return Rows(
        session=session,
        item=item,
        listener=listener,
        track=track,
        starts=starts,
        listened_ms=listened,
        skipped=skipped,
        reason=reason,
        liking=liking + 0.5 * mood,
        last=last,
    )


def _a_genre(people: People, listener: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    cumulated = np.cumsum(people.taste, axis=1)[listener]
    return np.minimum((uniform[:, None] > cumulated).sum(axis=1), len(GENRES) - 1)
