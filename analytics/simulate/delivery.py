"""What happens to events on their way: late, sent twice, damaged.

Everything else arrives on the day it happened. Each arriving row carries
`arrived`, the UTC milliseconds at which the receiving system got hold of it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from analytics.simulate.config import SimulationConfig
from analytics.simulate.randomness import Streams
from analytics.simulate.words import CUT_LINE, DAMAGES, FAR_FUTURE, NO_DAMAGE
from analytics.simulate.world import DAY_MS, Day

TRAVELS = ("plays", "app_events")  # tables whose rows may be late, doubled or damaged
LATEST_DAYS = 3


class Delivery:
    """The rows under way; holds no more than the few days a late row may take."""

    def __init__(self, config: SimulationConfig, streams: Streams, whole_lines: bool) -> None:
        self.config, self.streams = config, streams
        self.kinds = CUT_LINE if whole_lines else FAR_FUTURE  # typed formats cannot hold the rest
        self.under_way: dict[tuple[str, int], list[pl.DataFrame]] = {}

    def arrivals(self, happened: Day, day: int, midnight_ms: int) -> Day:
        """What arrives on the day, given what happened on it."""
        arriving = dict(happened)
        arriving["tickets"] = self._tickets(happened["tickets"], day, midnight_ms)
        for table in TRAVELS:
            self._send(table, happened[table], day, midnight_ms)
            arriving[table] = self._receive(table, day, midnight_ms, happened[table])
        return {
            table: rows
            if "arrived" in rows.columns or "at" not in rows.columns
            else rows.with_columns(arrived=pl.col("at"))
            for table, rows in arriving.items()
        }

    def _send(self, table: str, rows: pl.DataFrame, day: int, midnight_ms: int) -> None:
        draw = self.streams.on(f"delivery of {table}", day)
        at = rows["at"].to_numpy()
        late = draw.random(len(rows)) < self.config.late_share
        delay = np.where(late, draw.integers(1, LATEST_DAYS + 1, len(rows)), 0)
        arrives = day + (at - midnight_ms) // DAY_MS + delay
        opens = midnight_ms + (arrives - day) * DAY_MS
        travel = draw.integers(0, 30_000, len(rows))
        arrived = np.where(late, opens + travel * 2_000, at + travel)
        sent = rows.with_columns(
            arrives=arrives,
            arrived=np.minimum(arrived, opens + DAY_MS - 1),
            late=late,
            doubled=np.zeros(len(rows), dtype=bool),
            damage=np.full(len(rows), NO_DAMAGE),
        )
        for (arrives_on,), part in sent.group_by("arrives", maintain_order=True):
            self.under_way.setdefault((table, int(arrives_on)), []).append(part)  # type: ignore[call-overload]

    def _receive(self, table: str, day: int, midnight_ms: int, like: pl.DataFrame) -> pl.DataFrame:
        parts = self.under_way.pop((table, day), [])
        if not parts:
            return _nothing(like)
        rows = pl.concat(parts)
        draw = self.streams.on(f"receipt of {table}", day)
        fresh = ~rows["doubled"].to_numpy()
        twice = fresh & (draw.random(len(rows)) < self.config.duplicate_share)
        today = draw.random(len(rows)) < 0.5
        again = rows.with_columns(
            doubled=pl.lit(True),
            arrived=pl.when(pl.Series(today, dtype=pl.Boolean))
            .then(pl.min_horizontal(pl.col("arrived") + 5_000, midnight_ms + DAY_MS - 1))
            .otherwise(midnight_ms + DAY_MS + 60_000),
        )
        tomorrow = again.filter(pl.Series(twice & ~today, dtype=pl.Boolean))
        self.under_way.setdefault((table, day + 1), []).append(tomorrow)
        if table == "plays":
            breaks = fresh & ~twice & (draw.random(len(rows)) < self.config.damaged_share)
            kind = draw.integers(1, self.kinds + 1, len(rows))
            rows = rows.with_columns(damage=np.where(breaks, kind, NO_DAMAGE))
        return pl.concat([rows, again.filter(pl.Series(twice & today, dtype=pl.Boolean))])

    def _tickets(self, opened: pl.DataFrame, day: int, midnight_ms: int) -> pl.DataFrame:
        """Today's new tickets, open, and again those that are resolved today."""
        for (resolves,), part in opened.group_by("resolves_day", maintain_order=True):
            self.under_way.setdefault(("tickets", int(resolves)), []).append(part)  # type: ignore[call-overload]
        resolved = self.under_way.pop(("tickets", day), [opened.clear()])
        return pl.concat(
            [
                opened.with_columns(arrived=pl.col("at"), resolved=pl.lit(False)),
                *(
                    part.with_columns(arrived=pl.col("resolved_at"), resolved=pl.lit(True))
                    for part in resolved
                ),
            ]
        )


def _nothing(like: pl.DataFrame) -> pl.DataFrame:
    none = np.zeros(0, dtype=np.int64)
    off = np.zeros(0, dtype=bool)
    return like.clear().with_columns(arrives=none, arrived=none, late=off, doubled=off, damage=none)


def counts(arriving: Day, day: object) -> pl.DataFrame:
    """Per table: rows handed over on the day, and how many of them are not plain."""
    rows = []
    for table, frame in arriving.items():
        entry: dict[str, object] = {"arrived_on": day, "table": table, "rows": len(frame)}
        travels = table in TRAVELS
        entry["late"] = int((frame["late"] & ~frame["doubled"]).sum()) if travels else 0
        entry["duplicates"] = int(frame["doubled"].sum()) if travels else 0
        for code, name in enumerate(DAMAGES[1:], start=1):
            entry[name] = int((frame["damage"] == code).sum()) if travels else 0
        entry["resent"] = int(frame["resolved"].sum()) if table == "tickets" else 0
        rows.append(entry)
    return pl.DataFrame(rows)
