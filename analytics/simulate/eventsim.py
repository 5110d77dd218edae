"""JSON lines as eventsim writes them, with the fields a real service adds.

Every line has the fields of eventsim and Sparkify logs: ts (epoch ms), userId,
sessionId, itemInSession, page, auth, method, status, level, location, userAgent,
lastName, firstName, gender, registration (epoch ms). Further fields, optional
for a reader, stand beside them:

- every line: country, platform, birthYear, acquisitionChannel
- NextSong: artist, song, length (seconds, the track's) as in eventsim, and
  trackId, listenedMs, skipped, shuffle, offline, source, reasonEnd
- Submit Registration, Submit Upgrade, Submit Downgrade, Cancellation
  Confirmation: planFrom, planTo (free, premium, family or null)
- Error after a refused charge: reason = "payment_failed"

Pages beside these: Home, Thumbs Up, Thumbs Down, Add to Playlist, Roll Advert,
Upgrade, Downgrade, Help, Error, Settings, Logout, Update Profile. The fields of a listener or a
track are rendered once and reused, so a day costs a few concatenations.
"""

from __future__ import annotations

import json
import re
from datetime import date
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from analytics.simulate.canonical import YEAR_2099_MS
from analytics.simulate.catalogue import Catalogue
from analytics.simulate.files import whole
from analytics.simulate.people import People
from analytics.simulate.profiles import Profile
from analytics.simulate.rows import Rows
from analytics.simulate.words import (
    ACQUISITION,
    CUT_LINE,
    FAR_FUTURE,
    FIRST_NAMES,
    FREE,
    GENDERS,
    GONE,
    LAST_NAMES,
    NEGATIVE,
    NO_LISTENER,
    PAGES,
    PLANS,
    PLATFORMS,
    REASONS,
    SOURCES,
    WRONG_TYPE,
)  # fmt: skip
from analytics.simulate.world import Day

AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
    "SmartSpeaker/3.2",
)
METHODS = {"Home": "GET", "Upgrade": "GET", "Downgrade": "GET", "Help": "GET", "Error": "GET",
           "Settings": "GET", "Roll Advert": "GET"}  # fmt: skip
# Buffers above a few MiB go back to the system at once and cost a page fault each time.
LINES_AT_ONCE = 8192
SUBMITTED = (
    "Submit Registration",
    "Submit Upgrade",
    "Submit Downgrade",
    "Cancellation Confirmation",
)


def _fields(**values: object) -> str:
    """The fields as they stand inside an object, with a comma before."""
    return "," + json.dumps(values, ensure_ascii=False, separators=(",", ":"))[1:-1]


@cache
def _page(page: str, plan: int, **more: object) -> str:
    status = 404 if page == "Error" else 200 if METHODS.get(page) == "GET" else 307
    status = 200 if page == "NextSong" else status
    auth = "Cancelled" if page == "Cancellation Confirmation" else "Logged In"
    level = "paid" if plan > FREE else "free"
    return _fields(
        page=page, auth=auth, method=METHODS.get(page, "PUT"), status=status, level=level, **more
    )


@cache
def _device(platform: int) -> str:
    return _fields(platform=PLATFORMS[platform], userAgent=AGENTS[platform])


_PLAY_SHAPES = list(
    product(range(len(PLANS)), range(len(PLATFORMS)), range(len(SOURCES)), range(len(REASONS)),
            (False, True), (False, True), (False, True))
)  # fmt: skip


class EventsimWriter:
    """One file of lines a day: `events/{date}.jsonl`."""

    def __init__(
        self, folder: Path, profile: Profile, people: People, catalogue: Catalogue
    ) -> None:
        self.folder, self.profile = folder / "events", profile
        self.people, self.catalogue = people, catalogue
        self._who: list[str] = []
        self.listeners = pl.Series([], dtype=pl.String)
        self.tracks = pl.Series([], dtype=pl.String)
        self.play_shapes = pl.Series(
            [
                _page("NextSong", plan)
                + _fields(platform=PLATFORMS[p], userAgent=AGENTS[p], source=SOURCES[s],
                          reasonEnd=REASONS[r], skipped=skip, shuffle=shuffle, offline=offline)
                + "}\n"
                for plan, p, s, r, skip, shuffle, offline in _PLAY_SHAPES
            ]
        )  # fmt: skip
        self.page_shapes = pl.Series(
            [
                _page(page, plan, platform=PLATFORMS[p], userAgent=AGENTS[p])
                + (_fields(reason="payment_failed") if refused else "")
                + "}\n"
                for page, plan, p, refused in product(
                    PAGES, range(len(PLANS)), range(len(PLATFORMS)), (False, True)
                )
            ]
        )

    def write(self, day: date, arriving: Day) -> None:
        """Replace the day's file."""
        self._meet(arriving["listeners"])
        plays, pages = _by_time(arriving["plays"]), _by_time(arriving["app_events"])
        loose = self._submitted(arriving["subscription_events"])
        loose += self._profiles(arriving["listeners"])
        loose.sort(key=lambda each: each[0])
        instants = np.array([at for at, _ in loose], dtype=np.int64)
        texts = pl.Series([line for _, line in loose], dtype=pl.String)
        bounds = plays["at"][LINES_AT_ONCE::LINES_AT_ONCE]
        with whole(self.folder / f"{day}.jsonl") as half, half.open("wb") as file:
            windows = (_cut(at, bounds) for at in (plays["at"], pages["at"], instants))
            for of_plays, of_pages, of_loose in zip(*windows, strict=True):
                some_plays, some_pages = plays.at(of_plays), pages.at(of_pages)
                at = np.concatenate([some_plays["at"], some_pages["at"], instants[of_loose]])
                parts = [self._plays(some_plays), self._pages(some_pages), texts[of_loose]]
                if len(at):
                    file.write(_bytes_of(pl.concat(parts)[np.argsort(at, kind="stable")]))

    # ---------------------------------------------------------------- lines

    def _plays(self, rows: Rows) -> pl.Series:
        sizes = (len(PLANS), len(PLATFORMS), len(SOURCES), len(REASONS), 2, 2, 2)
        names = ("plan", "platform", "source", "reason", "skipped", "shuffle", "offline")
        shape = np.ravel_multi_index(tuple(rows[n].astype(np.int64) for n in names), sizes)
        fields = rows.only("at", "session", "item", "listened_ms").frame()
        lines = fields.select(
            pl.concat_str(
                pl.lit('{"ts":'), "at", *_PLACE,
                self.listeners[rows["listener"]], self.tracks[rows["track"]],
                pl.lit(',"listenedMs":'), "listened_ms", self.play_shapes[shape],
            )
        ).to_series()  # fmt: skip
        broken = np.flatnonzero(rows["damage"])
        told = [_damaged(lines[int(n)], int(rows["damage"][n])) for n in broken]
        return lines.scatter(broken, told) if told else lines

    def _pages(self, rows: Rows) -> pl.Series:
        sizes = (len(PAGES), len(PLANS), len(PLATFORMS), 2)
        # An account that closed earlier in the day still has its old plan here.
        codes = (rows["page"], np.maximum(rows["plan"], 0), rows["platform"], rows["refused"])
        shape = np.ravel_multi_index(tuple(c.astype(np.int64) for c in codes), sizes)
        fields = rows.only("at", "session", "item").frame()
        return fields.select(
            pl.concat_str(
                pl.lit('{"ts":'), "at", *_PLACE,
                self.listeners[rows["listener"]], self.page_shapes[shape],
            )
        ).to_series()  # fmt: skip

    def _submitted(self, rows: Rows) -> list[tuple[int, str]]:
        lines = []
        names = ("at", "listener", "kind", "plan_from", "plan_to")
        for at, who, kind, old, new in zip(*(rows[n].tolist() for n in names), strict=True):
            shown = _page(
                SUBMITTED[kind], max(old, new) if kind == 3 else new,
                planFrom=None if old == GONE else PLANS[old],
                planTo=None if new == GONE else PLANS[new],
            )  # fmt: skip
            lines.append((at, self._loose(at, who, shown)))
        return lines

    def _profiles(self, rows: Rows) -> list[tuple[int, str]]:
        """Changed profiles; those of new accounts stand on their registration."""
        new = rows["at"] == self.people.signed_up_ms[rows["listener"]]
        opening = rows["at"] % 86_400_000 < 1000
        changed = rows.at(~new & ~opening)
        return [
            (at, self._loose(at, who, _page("Update Profile", max(int(self.people.plan[who]), 0))))
            for at, who in zip(changed["at"].tolist(), changed["listener"].tolist(), strict=True)
        ]

    def _loose(self, at: int, who: int, rest: str) -> str:
        """A line outside any listening session; its session is the second it happens in."""
        device = _device(int(self.people.platform[who]))
        place = f'{{"ts":{at},"sessionId":{at // 1000},"itemInSession":0'
        return place + self.listeners[who] + rest + device + "}\n"

    # ------------------------------------------------------------ fragments

    def _meet(self, rows: Rows) -> None:
        """Render listeners and tracks that are new, and listeners that changed."""
        known, people = len(self._who), self.people
        changed = [who for who in rows["listener"].tolist() if who < known]
        self._who += [self._listener(who) for who in range(known, len(people))]
        for who in changed:
            self._who[who] = self._listener(who)
        if changed or known < len(people):
            self.listeners = pl.Series(self._who, dtype=pl.String)
        catalogue = self.catalogue
        fresh = [self._track(t) for t in range(len(self.tracks), len(catalogue.title))]
        if fresh:
            self.tracks = pl.concat([self.tracks, pl.Series(fresh, dtype=pl.String)])

    def _listener(self, who: int) -> str:
        people = self.people
        market = self.profile.markets[people.market[who]]
        return _fields(
            userId=str(who + 1),
            firstName=FIRST_NAMES[people.first_name[who]],
            lastName=LAST_NAMES[people.last_name[who]],
            gender=GENDERS[people.gender[who]] if people.gender[who] >= 0 else None,
            registration=int(people.signed_up_ms[who]),
            location=f"{market.city}, {market.country}",
            country=market.country,
            birthYear=int(people.birth_year[who]) or None,
            acquisitionChannel=ACQUISITION[people.acquisition[who]],
        )

    def _track(self, track: int) -> str:
        catalogue = self.catalogue
        return _fields(
            artist=catalogue.artist_name(catalogue.artist[track]),
            song=catalogue.title[track],
            length=int(catalogue.duration_ms[track]) / 1000,
            trackId=str(track + 1),
        )


def _by_time(rows: Rows) -> Rows:
    return rows.at(np.argsort(rows["at"], kind="stable"))


def _cut(at: np.ndarray, bounds: np.ndarray) -> list[slice]:
    """Where the sorted instants lie before each bound, and after the last."""
    ends = [*np.searchsorted(at, bounds).tolist(), len(at)]
    return [slice(first, end) for first, end in zip([0, *ends[:-1]], ends, strict=True)]


def _bytes_of(lines: pl.Series) -> pa.Buffer:
    """The lines one after the other, as they lie in memory."""
    array = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return array.buffers()[2]


_PLACE = (pl.lit(',"sessionId":'), pl.col("session"), pl.lit(',"itemInSession":'), pl.col("item"))


def _damaged(line: str, damage: int) -> str:
    """The line with what went wrong on the way."""
    if damage == CUT_LINE:
        return line[: len(line) // 2] + "\n"
    found, instead = BROKEN[damage]
    return re.sub(found, instead, line, count=1)


BROKEN = {
    NEGATIVE: (r'"listenedMs":', '"listenedMs":-'),
    NO_LISTENER: (r'"userId":"[0-9]+"', '"userId":null'),
    FAR_FUTURE: (r'"ts":[0-9]+', f'"ts":{YEAR_2099_MS}'),
    WRONG_TYPE: (r'"ts":[0-9]+', '"ts":"yesterday"'),
}
