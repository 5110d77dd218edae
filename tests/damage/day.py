"""The files of one tenant's day, to be damaged and put back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Day:
    """What a tenant's systems dropped on a day, in their own columns."""

    landing: Path
    tenant_id: str
    day: date

    @property
    def midnight_ms(self) -> int:
        """The first instant of the day, UTC, as epoch milliseconds."""
        return (
            int(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC).timestamp())
            * 1000
        )

    def file(self, table: str, day: date | None = None) -> Path:
        found = sorted((self.landing / self.tenant_id / table).glob(f"{day or self.day}.*"))
        return found[0]

    def change(self, table: str, damage: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Write a Parquet or CSV drop anew; CSV stays text, as it came."""
        path = self.file(table)
        if path.suffix == ".parquet":
            damage(pl.read_parquet(path)).write_parquet(path)
        else:
            damage(pl.read_csv(path, infer_schema=False)).write_csv(path)

    def change_lines(self, table: str, damage: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Write JSON lines anew; those cut in half stay as they came."""
        path = self.file(table)
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(
            "".join(
                json.dumps(damage(json.loads(line))) + "\n" if line.endswith("}\n") else line
                for line in lines
            )
        )

    def change_bytes(self, table: str, damage: Callable[[bytes], bytes]) -> None:
        path = self.file(table)
        path.write_bytes(damage(path.read_bytes()))
