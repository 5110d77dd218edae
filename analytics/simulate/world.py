"""One tenant's service, a day at a time: what happened, in codes and positions.

`World.step()` moves on by a day and returns the rows of each table. They carry the
listener's and track's position (id minus one), codes of `words` and `at`, UTC
milliseconds. Writers turn them into what a real system would hand over.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np

from analytics.simulate import app, churn, lifecycle, listening, operations
from analytics.simulate.catalogue import Catalogue
from analytics.simulate.config import SimulationConfig
from analytics.simulate.people import People, newcomers
from analytics.simulate.profiles import Profile
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import DAY_MS, Rows, stacked
from analytics.simulate.words import ERROR, GONE, SIGN_UP

Day = dict[str, Rows]


class World:
    """The state of one tenant between two days."""

    def __init__(self, config: SimulationConfig, profile: Profile) -> None:
        self.config, self.profile = config, profile
        self.streams = Streams(config.seed, profile.id)
        self.catalogue = Catalogue(self.streams, profile.tracks)
        self.catalogue.release(0)
        self.day = 0  # the next day to be lived
        self.people: People = newcomers(
            config, profile, self.streams, self.catalogue, -1, config.listeners_of(profile),
            self.midnight_ms,
        )  # fmt: skip
        self.numbers: dict[str, int] = {}  # the last id given out, by table
        self.plays_lived = 0

    @property
    def date(self) -> date:
        return self.config.start + timedelta(days=self.day)

    @property
    def midnight_ms(self) -> int:
        start = self.config.start
        opened = datetime(start.year, start.month, start.day, tzinfo=UTC)
        return int(opened.timestamp() * 1000) + self.day * DAY_MS

    @property
    def drifting(self) -> bool:
        since = self.config.drift.get(self.profile.id)
        return since is not None and self.date >= since

    def oracle(self) -> Rows | None:
        """What the oracle says this midnight about every payer; Mondays only."""
        if self.date.weekday() != 0:
            return None
        payers = np.flatnonzero(self.people.paying)
        people, base = self.people, self.profile.churn
        return Rows(
            listener=payers,
            daily_hazard=churn.hazard(people, base, self.day)[payers],
            churn_probability=churn.oracle(people, base, self.day)[payers],
            satisfaction=people.satisfaction[payers],
        )

    def step(self) -> Day:
        """Live the day: the rows of each table, in the order of the ids given out."""
        day, people, streams = self.day, self.people, self.streams
        known_tracks = len(self.catalogue.title) if day else 0
        self.catalogue.release(day)
        fresh = Rows(track=np.arange(known_tracks, len(self.catalogue.title)))
        happened: Day = {"tracks": fresh.plus(at=self.midnight_ms)}
        happened["listeners"], opening = self._join()
        happened |= self._listen()

        begins = np.full(len(people), -1)
        opened = happened.pop("sessions")
        begins[opened["listener"][::-1]] = opened["begins"][::-1]  # the first of each
        complaints = lifecycle.tickets(people, streams, day, self.drifting)
        changes, closed = lifecycle.plan_changes(people, self.profile, streams, day)
        money, failed = lifecycle.payments(people, self.profile, streams, day, changes, complaints)
        events = stacked([opening, changes])
        happened["subscription_events"] = self._dated("subscription_events", events)
        happened["payments"] = self._dated("payments", money)
        happened["tickets"] = self._settled_later("tickets", complaints)
        reviews = lifecycle.reviews(happened.pop("played"), streams, day)
        happened["reviews"] = self._dated("reviews", reviews)
        reached = lifecycle.touchpoints(people, streams, day, self.date.month - 1)
        happened["touchpoints"] = self._dated("touchpoints", reached)
        seen = lifecycle.exposures(people, streams, day, begins)
        happened["exposures"] = self._dated("exposures", seen)
        happened["app_events"] = self._with_refusals(happened["app_events"], failed)
        for table in ("plays", "app_events"):
            rows = happened[table]
            shut = closed[rows["listener"]] + self.midnight_ms
            happened[table] = self._numbered(table, rows.at(rows["at"] < shut))
        if self.profile.writes == "postgres":  # the one whose operational side is looked into
            happened |= self._operate(happened["plays"], opening)
        churn.evolve(people, streams.on("evolve", day), self.drifting)
        self.plays_lived += len(happened["plays"])
        self.day += 1
        return happened

    # ------------------------------------------------------------ parts of a day

    def _join(self) -> tuple[Rows, Rows]:
        """New accounts: their rows for `listeners` and their sign-up events.

        The first day opens the books: one sign-up event per account that exists.
        """
        day, people = self.day, self.people
        first = 0 if day == 0 else len(people)
        draw = self.streams.on("growth", day)
        usual = self.config.listeners_of(self.profile) * self.profile.growth
        number = int(draw.poisson(usual * listening.season(self.date)))
        new = newcomers(
            self.config, self.profile, self.streams, self.catalogue, day, number, self.midnight_ms
        )
        people.join(new)
        joined = np.arange(first, len(people))
        at_opening = people.signed_up_day[joined] < 0
        ms = np.where(at_opening, joined % 1000, people.signed_up_ms[joined] - self.midnight_ms)
        events = Rows(
            listener=joined,
            ms=ms,
            kind=np.full(len(joined), SIGN_UP),
            plan_from=np.full(len(joined), GONE),
            plan_to=people.plan[joined],
        )
        # A few known listeners complete their profile.
        asked = np.flatnonzero(draw.random(first) < 0.001)
        people.birth_year[asked] = draw.integers(1955, 2008, len(asked))
        people.gender[asked] = np.maximum(people.gender[asked], 0)
        changed = 43_200_000 + asked % 997
        rows = Rows(
            listener=np.concatenate([joined, asked]),
            at=self.midnight_ms + np.concatenate([ms, changed]),
        )
        return rows, events

    def _listen(self) -> Day:
        config, people, streams, day = self.config, self.people, self.streams, self.day
        opened = listening.sessions(
            people, self.profile, streams, day, self.date, self.drifting, config.bot_mimicry
        )
        played = listening.plays(opened, people, self.catalogue, streams, day, self.drifting)
        pages = app.pages(opened, played, people, streams, day, self.drifting)
        first = self._take("sessions", len(opened))
        listened = _of_session(opened, played, "source", "shuffle", "offline")
        plays = listened.without("starts", "liking", "last").plus(
            session=played["session"] + first,
            item=2 * played["item"] + 1,
            at=played["starts"] + self.midnight_ms,
            track_ms=self.catalogue.duration_ms[played["track"]],
        )
        events = _of_session(opened, pages).without("starts").plus(
            session=pages["session"] + first, at=pages["starts"] + self.midnight_ms, refused=False
        )  # fmt: skip
        by_people = played.at(~opened["bot"][played["session"]])
        return {"sessions": opened, "played": by_people, "plays": plays, "app_events": events}

    def _operate(self, plays: Rows, opening: Rows) -> Day:
        """What the shop sold, the API answered and listeners agreed to."""
        people, streams, day = self.people, self.streams, self.day
        sold, lines = operations.orders(people, self.profile, streams, day)
        orders = self._settled_later("orders", sold)
        order = lines["order"]
        lines = lines.plus(order=orders["number"][order], at=orders["at"][order])
        calls = operations.api_usage(plays["at"] - self.midnight_ms, streams, day, self.drifting)
        said = operations.consents(people, opening["listener"], opening["ms"], streams, day)
        answered = np.minimum(calls["ms"] + operations.HOUR_MS, DAY_MS - 1) + self.midnight_ms
        return {
            "orders": orders,
            "order_lines": self._numbered("order_lines", lines),
            "api_usage": self._dated("api_usage", calls).plus(arrived=answered),
            "consents": self._dated("consents", said),
        }

    def _settled_later(self, table: str, rows: Rows) -> Rows:
        """Dated, and with the instant of their `resolves_day` and `resolves_ms`."""
        wait_ms = (rows["resolves_day"] - self.day) * DAY_MS + rows["resolves_ms"]
        return self._dated(table, rows).plus(resolved_at=self.midnight_ms + wait_ms)

    def _with_refusals(self, events: Rows, failed: np.ndarray) -> Rows:
        """The app's events, and an Error page for every failed charge."""
        n = len(failed)
        first = self._take("sessions", n)
        refusals = Rows(
            session=first + np.arange(n),
            item=np.zeros(n, dtype=np.int64),
            page=np.full(n, ERROR),
            at=self.midnight_ms + 20_000_000 + failed % 3_600_000,
            listener=failed,
            platform=self.people.platform[failed],
            plan=self.people.plan[failed],
            refused=np.ones(n, dtype=bool),
        )
        return stacked([events, refusals])

    def _dated(self, table: str, rows: Rows) -> Rows:
        return self._numbered(table, rows.without("ms").plus(at=rows["ms"] + self.midnight_ms))

    def _numbered(self, table: str, rows: Rows) -> Rows:
        first = self._take(table, len(rows))
        return rows.plus(number=np.arange(first, first + len(rows)))

    def _take(self, table: str, n: int) -> int:
        """The first of n new numbers."""
        first = self.numbers.get(table, 1)
        self.numbers[table] = first + n
        return first


def _of_session(opened: Rows, rows: Rows, *facts: str) -> Rows:
    """The rows with who, on what and on which plan their session was, and these facts of it."""
    known = opened.only("listener", "platform", "plan", *facts)
    return rows.plus(**{name: known[name][rows["session"]] for name in known.columns})
