"""What happens to events on their way: late, sent twice, damaged.

Everything else arrives on the day it happened; tickets and orders come again when they
are settled. Each arriving row carries `arrived`, the UTC milliseconds at which the
receiving system got hold of it.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from analytics.simulate.config import SimulationConfig
from analytics.simulate.randomness import Streams
from analytics.simulate.rows import DAY_MS, Rows, stacked
from analytics.simulate.words import CUT_LINE, DAMAGES, FAR_FUTURE, NO_DAMAGE
from analytics.simulate.world import Day

TRAVELS = ("plays", "app_events")  # tables whose rows may be late, doubled or damaged
SETTLED_LATER = {"tickets", "orders"}  # tables whose rows come open, and again once settled
LATEST_DAYS = 3
NONE = slice(0)
NO_DAMAGES = np.zeros(len(DAMAGES), dtype=np.int64)


class Delivery:
    """The rows under way; holds no more than what is late or not settled yet."""

    def __init__(self, config: SimulationConfig, streams: Streams, whole_lines: bool) -> None:
        self.config, self.streams = config, streams
        self.kinds = CUT_LINE if whole_lines else FAR_FUTURE  # typed formats cannot hold the rest
        self.under_way: dict[tuple[str, int], list[Rows]] = {}

    def arrivals(self, happened: Day, day: int, midnight_ms: int) -> Day:
        """What arrives on the day, given what happened on it."""
        arriving = dict(happened)
        for table in happened.keys() & SETTLED_LATER:
            arriving[table] = self._settle(table, happened[table], day)
        for table in TRAVELS:
            none = self._send(table, happened[table], day, midnight_ms).at(NONE)
            arriving[table] = self._receive(table, day, midnight_ms, none)
        return {
            table: rows if "arrived" in rows or "at" not in rows else rows.plus(arrived=rows["at"])
            for table, rows in arriving.items()
        }

    def _send(self, table: str, rows: Rows, day: int, midnight_ms: int) -> Rows:
        """The rows as they travel, each put on the day it arrives."""
        draw = self.streams.on(f"delivery of {table}", day)
        at = rows["at"]
        late = draw.random(len(rows)) < self.config.late_share
        delay = np.where(late, draw.integers(1, LATEST_DAYS + 1, len(rows)), 0)
        arrives = day + (at - midnight_ms) // DAY_MS + delay
        opens = midnight_ms + (arrives - day) * DAY_MS
        travel = draw.integers(0, 30_000, len(rows))
        arrived = np.where(late, opens + travel * 2_000, at + travel)
        sent = rows.plus(
            arrived=np.minimum(arrived, opens + DAY_MS - 1),
            late=late,
            doubled=False,
            damage=NO_DAMAGE,
        )
        self._put_under_way(table, sent, arrives)
        return sent

    def _put_under_way(self, table: str, rows: Rows, arrives: np.ndarray) -> None:
        if not len(rows):
            return
        first = int(arrives.min())
        for day in np.flatnonzero(np.bincount(arrives - first)) + first:
            part = rows.at(arrives == day)
            self.under_way.setdefault((table, int(day)), []).append(part)

    def _receive(self, table: str, day: int, midnight_ms: int, none: Rows) -> Rows:
        rows = stacked(self.under_way.pop((table, day), [none]))
        draw = self.streams.on(f"receipt of {table}", day)
        fresh = ~rows["doubled"]
        twice = fresh & (draw.random(len(rows)) < self.config.duplicate_share)
        today = draw.random(len(rows)) < 0.5
        tomorrow_ms = midnight_ms + DAY_MS
        soon = rows.at(twice & today)
        soon = soon.plus(doubled=True, arrived=np.minimum(soon["arrived"] + 5_000, tomorrow_ms - 1))
        later = rows.at(twice & ~today).plus(doubled=True, arrived=tomorrow_ms + 60_000)
        self.under_way.setdefault((table, day + 1), []).append(later)
        if table == "plays":
            breaks = fresh & ~twice & (draw.random(len(rows)) < self.config.damaged_share)
            kind = draw.integers(1, self.kinds + 1, len(rows))
            rows = rows.plus(damage=np.where(breaks, kind, NO_DAMAGE))
        return stacked([rows, soon])

    def _settle(self, table: str, opened: Rows, day: int) -> Rows:
        """Today's new rows, open, and again those that are settled today."""
        self._put_under_way(table, opened, opened["resolves_day"])
        resolved = stacked([opened.at(NONE), *self.under_way.pop((table, day), [])])
        return stacked(
            [
                opened.plus(arrived=opened["at"], resolved=False),
                resolved.plus(arrived=resolved["resolved_at"], resolved=True),
            ]
        )


def counts(arriving: Day, day: date) -> list[dict[str, object]]:
    """Per table: rows handed over on the day, and how many of them are not plain."""
    rows = []
    for table, handed in arriving.items():
        entry: dict[str, object] = {"arrived_on": day, "table": table, "rows": len(handed)}
        travels = table in TRAVELS
        entry["late"] = int((handed["late"] & ~handed["doubled"]).sum()) if travels else 0
        entry["duplicates"] = int(handed["doubled"].sum()) if travels else 0
        damages = np.bincount(handed["damage"], minlength=len(DAMAGES)) if travels else NO_DAMAGES
        entry |= dict(zip(DAMAGES[1:], damages[1:].tolist(), strict=True))
        entry["resent"] = int(handed["resolved"].sum()) if table in SETTLED_LATER else 0
        rows.append(entry)
    return rows
