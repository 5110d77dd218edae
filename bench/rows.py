"""Made-up rows of any size, the same on every machine."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from analytics.lake.tables import TABLES
from spark_jobs.churn_columns import polars_schema

START = datetime(2025, 1, 1, tzinfo=UTC)
MONDAYS = [date(2025, 1, 6) + timedelta(weeks=n) for n in range(12)]


def plays(rows: int, tenant_id: str = "spotify_premium", seed: int = 1) -> pl.DataFrame:
    """Clean canonical plays of two months."""
    draw = np.random.default_rng(seed)
    track_ms = draw.integers(120_000, 300_000, rows)
    spread = int(timedelta(days=59).total_seconds() * 1e6)
    begin = int(START.timestamp() * 1e6)

    def words(*choices: str) -> pl.Series:
        return pl.Series(list(choices)).gather(draw.integers(0, len(choices), rows))

    return pl.DataFrame(
        {
            "tenant_id": pl.repeat(tenant_id, rows, eager=True),
            "play_id": pl.int_range(1, rows + 1, eager=True).cast(pl.String),
            "listener_id": pl.Series(draw.integers(1, 2000, rows)).cast(pl.String),
            "track_id": pl.Series(draw.integers(1, 6000, rows)).cast(pl.String),
            "started_at": pl.Series(np.sort(begin + draw.integers(0, spread, rows))),
            "listened_ms": (track_ms * draw.random(rows)).astype(np.int64),
            "track_ms": track_ms,
            "source_of_play": words("playlist", "search", "album", "radio"),
            "platform": words("ios", "android", "web", "desktop"),
            "country": words("DE", "AT", "CH", "SE"),
            "is_skipped": draw.random(rows) < 0.2,
            "is_shuffle": draw.random(rows) < 0.3,
            "is_offline": draw.random(rows) < 0.1,
            "reason_end": words("trackdone", "fwdbtn", "endplay"),
        }
    ).with_columns(
        pl.from_epoch("started_at", "us").dt.replace_time_zone("UTC")
    ).select(pl.col(c).cast(t) for c, t in TABLES["plays"].columns.items())  # fmt: skip


def labelled(listeners: int, tenant_id: str = "spotify_premium", seed: int = 1) -> pl.DataFrame:
    """Feature rows of twelve Mondays with labels that three of the features cause."""
    draw = np.random.default_rng(seed)
    rows = listeners * len(MONDAYS)
    habit = np.tile(draw.normal(size=listeners), len(MONDAYS))
    columns: dict[str, object] = {}
    for name, kind in polars_schema().items():
        if name == "tenant_id":
            columns[name] = pl.repeat(tenant_id, rows, eager=True)
        elif name == "listener_id":
            columns[name] = [str(n + 1) for n in range(listeners)] * len(MONDAYS)
        elif name == "as_of_date":
            columns[name] = np.repeat(np.array(MONDAYS, dtype="datetime64[D]"), listeners)
        elif kind == pl.String:
            columns[name] = ["premium"] * rows
        elif kind == pl.Float64:
            columns[name] = (1 / (1 + np.exp(-habit + draw.normal(size=rows)))).round(6)
        elif kind == pl.Boolean:
            columns[name] = draw.random(rows) < 0.5
        else:
            columns[name] = np.exp(1.5 - 0.5 * habit + 0.5 * draw.normal(size=rows)).astype(int)
    risk = 1 / (1 + np.exp(2.0 - 1.2 * habit))
    frame = pl.DataFrame(columns).cast(dict(polars_schema()))  # type: ignore[arg-type]
    return frame.with_columns(is_churned=pl.Series(draw.random(rows) < risk))


def whole_lines(file: Path) -> bytes:
    """The file's lines but those cut in half, over which a bare reader stumbles."""
    with file.open("rb") as lines:
        return b"".join(line for line in lines if line.endswith(b"}\n"))
