"""The content hash of the lake, rows a second."""

from __future__ import annotations

import duckdb
from deltalake import DeltaTable

from analytics.lake import content
from bench.figure import Figure, rate, seconds
from bench.place import Place


def measure(place: Place) -> list[Figure]:
    settings = place.lake
    names = content.tables(settings)
    data = {n: DeltaTable(f"{settings.lake_root}/{n}").to_pyarrow_dataset() for n in names}
    rows = sum(d.count_rows() for d in data.values())
    ours = seconds(lambda: content.content_hash(settings), place.size.repeats)

    def hashed() -> None:
        with duckdb.connect() as connection:
            for table in data.values():
                connection.register("rows", table)
                connection.execute("select sum(hash(rows)) from rows").fetchall()

    bare = seconds(hashed, place.size.repeats)
    return [
        rate(
            "content_hash", "content hash of the lake", rows, ours, bare,
            how=f"{rows:,} rows of {len(names)} tables, every column, the same on every machine",
            bare="DuckDB's own row hash, which no other version need repeat",
        )
    ]  # fmt: skip
