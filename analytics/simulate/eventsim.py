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
        plays = arriving["plays"].sort("at", maintain_order=True)
        pages = arriving["app_events"].sort("at", maintain_order=True)
        submitted = self._submitted(arriving["subscription_events"])
        loose = pl.concat([submitted, self._profiles(arriving["listeners"])])
        loose = loose.sort("at", maintain_order=True)
        bounds = plays["at"].to_list()[LINES_AT_ONCE::LINES_AT_ONCE]
        with whole(self.folder / f"{day}.jsonl") as half, half.open("wb") as file:
            windows = [_cut(rows, bounds) for rows in (plays, pages, loose)]
            for some_plays, some_pages, some_loose in zip(*windows, strict=True):
                parts = [self._plays(some_plays), self._pages(some_pages), some_loose]
                lines = pl.concat(parts).sort("at", maintain_order=True).select("line")
                if lines.height:
                    file.write(_bytes_of(lines["line"]))

    # ---------------------------------------------------------------- lines

    def _plays(self, rows: pl.DataFrame) -> pl.DataFrame:
        sizes = (len(PLANS), len(PLATFORMS), len(SOURCES), len(REASONS), 2, 2, 2)
        names = ("plan", "platform", "source", "reason", "skipped", "shuffle", "offline")
        shape = np.ravel_multi_index(tuple(rows[n].cast(pl.Int64).to_numpy() for n in names), sizes)
        frame = rows.select("at", "session", "item", "damage", "listened_ms").with_columns(
            who=self.listeners.gather(rows["listener"]),
            track=self.tracks.gather(rows["track"]),
            shape=self.play_shapes.gather(shape),
        )
        line = pl.concat_str(
            pl.lit('{"ts":'), "at", *_PLACE, "who", "track",
            pl.lit(',"listenedMs":'), "listened_ms", "shape",
        )  # fmt: skip
        frame = frame.with_columns(line=line)
        if (frame["damage"] != 0).any():
            frame = frame.with_columns(line=_damaged())
        return frame.select("at", "line")

    def _pages(self, rows: pl.DataFrame) -> pl.DataFrame:
        sizes = (len(PAGES), len(PLANS), len(PLATFORMS), 2)
        # An account that closed earlier in the day still has its old plan here.
        codes = (rows["page"], rows["plan"].clip(0), rows["platform"], rows["refused"])
        shape = np.ravel_multi_index(tuple(c.cast(pl.Int64).to_numpy() for c in codes), sizes)
        frame = rows.select("at", "session", "item").with_columns(
            who=self.listeners.gather(rows["listener"]), shape=self.page_shapes.gather(shape)
        )
        line = pl.concat_str(pl.lit('{"ts":'), "at", *_PLACE, "who", "shape")
        return frame.select("at", line=line)

    def _submitted(self, rows: pl.DataFrame) -> pl.DataFrame:
        lines = []
        for at, who, kind, old, new in rows.select(
            "at", "listener", "kind", "plan_from", "plan_to"
        ).iter_rows():
            shown = _page(
                SUBMITTED[kind], max(old, new) if kind == 3 else new,
                planFrom=None if old == GONE else PLANS[old],
                planTo=None if new == GONE else PLANS[new],
            )  # fmt: skip
            lines.append(self._loose(at, who, shown))
        return pl.DataFrame({"at": rows["at"], "line": pl.Series(lines, dtype=pl.String)})

    def _profiles(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Changed profiles; those of new accounts stand on their registration."""
        new = (rows["at"] - pl.Series(self.people.signed_up_ms[rows["listener"].to_numpy()])) == 0
        opening = rows["at"].to_numpy() % 86_400_000 < 1000
        changed = rows.filter(~new & ~pl.Series(opening, dtype=pl.Boolean))
        lines = [
            self._loose(at, who, _page("Update Profile", max(int(self.people.plan[who]), 0)))
            for at, who in changed.select("at", "listener").iter_rows()
        ]
        return pl.DataFrame({"at": changed["at"], "line": pl.Series(lines, dtype=pl.String)})

    def _loose(self, at: int, who: int, rest: str) -> str:
        """A line outside any listening session; its session is the second it happens in."""
        device = _device(int(self.people.platform[who]))
        place = f'{{"ts":{at},"sessionId":{at // 1000},"itemInSession":0'
        return place + self.listeners[who] + rest + device + "}\n"

    # ------------------------------------------------------------ fragments

    def _meet(self, rows: pl.DataFrame) -> None:
        """Render listeners and tracks that are new, and listeners that changed."""
        known, people = len(self._who), self.people
        changed = rows.filter(pl.col("listener") < known)["listener"].to_list()
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


def _cut(rows: pl.DataFrame, bounds: list[int]) -> list[pl.DataFrame]:
    """The rows, sorted by time, in windows that end before each bound."""
    ends = [*np.searchsorted(rows["at"].to_numpy(), bounds).tolist(), len(rows)]
    return [rows[first:end] for first, end in zip([0, *ends[:-1]], ends, strict=True)]


def _bytes_of(lines: pl.Series) -> pa.Buffer:
    """The lines one after the other, as they lie in memory."""
    array = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return array.buffers()[2]


_PLACE = (pl.lit(',"sessionId":'), pl.col("session"), pl.lit(',"itemInSession":'), pl.col("item"))


def _damaged() -> pl.Expr:
    """The lines with what went wrong on the way."""
    line, damage = pl.col("line"), pl.col("damage")
    return (
        pl.when(damage == NEGATIVE)
        .then(line.str.replace(r'"listenedMs":', '"listenedMs":-'))
        .when(damage == NO_LISTENER)
        .then(line.str.replace(r'"userId":"[0-9]+"', '"userId":null'))
        .when(damage == FAR_FUTURE)
        .then(line.str.replace(r'"ts":[0-9]+', f'"ts":{YEAR_2099_MS}'))
        .when(damage == WRONG_TYPE)
        .then(line.str.replace(r'"ts":[0-9]+', '"ts":"yesterday"'))
        .when(damage == CUT_LINE)
        .then(line.str.head(line.str.len_chars() // 2) + "\n")
        .otherwise(line)
    )
