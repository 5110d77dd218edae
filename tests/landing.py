"""Write what a source would drop, and take a tenant through the lake without its gates."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from analytics.interval import Interval
from analytics.lake import bronze, silver, staging
from analytics.lake.candidates import candidates
from analytics.settings import Settings

DAY_ONE = Interval.of("2025-01-06", "2025-01-07")
DAY_TWO = Interval.of("2025-01-07", "2025-01-08")
BOTH_DAYS = Interval.covering([DAY_ONE, DAY_TWO])
NOON_MS = 1_736_164_800_000  # 2025-01-06 12:00 UTC


def events_of(tenant_id: str) -> dict[str, Any]:
    return {
        "name": "events",
        "format": "eventsim",
        "path": f"{{landing}}/{tenant_id}/events/{{date}}.jsonl",
        "owner": "app team",
    }


def a_tenant(tenant_id: str, *sources: dict[str, Any]) -> dict[str, Any]:
    return {"id": tenant_id, "name": tenant_id, "sources": list(sources) or [events_of(tenant_id)]}


def a_line(**changes: Any) -> dict[str, Any]:
    """One eventsim line: a play at noon of day one by listener 1."""
    line = {
        "ts": NOON_MS, "userId": "1", "sessionId": 7, "itemInSession": 0, "page": "NextSong",
        "auth": "Logged In", "level": "free", "gender": "F", "registration": 1_700_000_000_000,
        "artist": "Artist", "song": "Song", "length": 200.5, "trackId": "s1", "country": "DE",
        "listenedMs": 180_000, "skipped": False, "shuffle": False, "offline": False,
        "source": "playlist", "platform": "ios", "reasonEnd": "trackdone",
    }  # fmt: skip
    return {**line, **changes}


def drop(
    settings: Settings, tenant_id: str, day: str, *lines: dict[str, Any] | str | bytes
) -> Path:
    """Write an event log of a tenant; text and bytes are taken as they are."""
    path = settings.landing / tenant_id / "events" / f"{day}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [
        line
        if isinstance(line, bytes)
        else line.encode()
        if isinstance(line, str)
        else json.dumps(line).encode()
        for line in lines
    ]
    path.write_bytes(b"".join(line + b"\n" for line in written))
    return path


def drop_text(settings: Settings, name: str, text: str | bytes) -> Path:
    path = settings.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def stage(
    settings: Settings, tenant_id: str, interval: Interval, run_id: str = "run"
) -> dict[str, pl.DataFrame]:
    """Let everything that could be read through, as a gate without a rule would."""
    came, left = candidates(settings, tenant_id, interval)
    for table, rows in came.items():
        rejected = left.rejected(table)
        outside = left.out_of_interval.get(table, 0)
        counts = staging.Counts(rows.height + rejected + outside, rejected, outside)
        stage_rows(settings, tenant_id, table, interval, rows, counts, run_id=run_id)
    return came


def stage_rows(
    settings: Settings,
    tenant_id: str,
    table: str,
    interval: Interval,
    rows: pl.DataFrame,
    counts: staging.Counts | None = None,
    *,
    run_id: str = "run",
) -> None:
    """Stage these rows of one table."""
    with tempfile.TemporaryDirectory() as folder:
        good = staging.portions(tenant_id, table, run_id, Path(folder))
        good.add(rows)
        staging.keep(settings, tenant_id, table, interval, good, counts)


def run(settings: Settings, tenant_id: str, interval: Interval, run_id: str) -> silver.Landed:
    """Extract, stage and land one interval."""
    bronze.extract(settings, tenant_id, interval, run_id)
    stage(settings, tenant_id, interval, run_id)
    return land_staged(settings, tenant_id, interval, run_id)


def land_staged(
    settings: Settings, tenant_id: str, interval: Interval, run_id: str
) -> silver.Landed:
    """Land what is staged, without the gate that costs a process seconds to load."""
    return silver.land(settings, tenant_id, interval, run_id, audit=lambda *landing: None)
