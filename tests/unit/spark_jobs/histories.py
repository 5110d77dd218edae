"""Random small histories of two tenants that share every id."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.builders import a_row

START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 140
AS_OF = [date(2025, 1, 6), date(2025, 2, 10), date(2025, 4, 14), date(2025, 5, 7)]
TABLES_READ = ("plays", "listeners", "subscription_events", "tickets", "payments", "tracks")
PATHS: list[list[tuple[str, str | None]]] = [
    [("upgrade", "premium")],
    [("sign_up", "free"), ("upgrade", "premium"), ("cancel", None), ("upgrade", "family")],
    [("upgrade", "family"), ("downgrade", "premium")],
    [("upgrade", "premium"), ("downgrade", "free")],
    [("sign_up", "free")],
    [("upgrade", "premium"), ("cancel", "premium")],
]


def a_history(seed: int, plays: int = 150) -> dict[str, list[dict[str, Any]]]:
    """Rows by table; ids repeat across the tenants, contents do not."""
    dice = random.Random(seed)  # test data
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES_READ}
    for tenant_id in ("t1", "t2"):
        for n in range(12):
            artist = dice.choice(["a1", "a2", "a3", None])
            rows["tracks"].append(a_row("tracks", tenant_id, track_id=f"s{n}", artist_id=artist))
        for n, path in enumerate(PATHS):
            _listener(dice, rows, tenant_id, f"l{n}", path, plays)
    return rows


def _known_now_and_then(milliseconds: int) -> int | None:
    """Null for one play in four: a scrobble."""
    return milliseconds if milliseconds % 4 else None


def _listener(
    dice: random.Random,
    rows: dict[str, list[dict[str, Any]]],
    tenant_id: str,
    listener_id: str,
    path: list[tuple[str, str | None]],
    plays: int,
) -> None:
    def row(table: str, **changes: Any) -> None:
        rows[table].append(a_row(table, tenant_id, listener_id=listener_id, **changes))

    def some_time() -> datetime:
        instant = START + timedelta(milliseconds=dice.randrange(DAYS * 86_400_000))
        return dice.choice([instant, instant, instant.replace(hour=0, minute=0, second=0,
                                                               microsecond=0)])  # fmt: skip

    if dice.random() < 0.8:
        row("listeners", signed_up_at=dice.choice([some_time(), START - timedelta(days=30), None]))
    for number, at in enumerate(sorted(some_time() for _ in path)):
        kind, plan = path[number]
        row("subscription_events", event_id=f"{listener_id}-{number}", occurred_at=at, kind=kind,
            plan_to=plan)  # fmt: skip
    for number in range(dice.randrange(plays)):
        row(
            "plays",
            play_id=f"{listener_id}-{number}",
            started_at=some_time(),
            track_id=f"s{dice.randrange(14)}",  # two tracks the catalogue lacks
            listened_ms=_known_now_and_then(dice.randrange(400_000)),
            is_skipped=dice.choice([True, False, None]),
            is_shuffle=dice.choice([True, False]),
            is_offline=dice.choice([True, False]),
        )
    for number in range(dice.randrange(8)):
        row("payments", payment_id=f"{listener_id}-{number}", paid_at=some_time(),
            amount_minor=dice.randrange(2000), kind=dice.choice(["charge", "refund"]))  # fmt: skip
    for number in range(dice.randrange(5)):
        opened = some_time()
        closed = dice.choice([None, opened + timedelta(days=dice.randrange(20))])
        row("tickets", ticket_id=f"{listener_id}-{number}", opened_at=opened, resolved_at=closed,
            satisfaction=dice.choice([None, 1, 2, 5]))  # fmt: skip
