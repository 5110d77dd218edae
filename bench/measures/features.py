"""Churn features by Spark over silver, plays a second."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from analytics.lake import read
from bench.figure import Figure, rate, seconds
from bench.place import FILE_TENANTS, Place

WINDOWS = (7, 28, 90)


def measure(place: Place) -> list[Figure]:
    from spark_jobs.build import Built, build

    settings = place.lake
    plays = read.scan(settings, "plays").select(pl.len()).collect().item()
    built: list[Built] = []

    def all_tenants() -> None:
        built.extend(build(settings, t, place.interval, "bench") for t in FILE_TENANTS)

    ours = seconds(all_tenants, min(3, place.size.repeats))
    dates = len(built[0].as_of_dates)
    at = place.interval.end

    def sums() -> pl.DataFrame:
        rows = read.scan(settings, "plays")
        age = at - pl.col("started_at")
        return (
            rows.group_by("tenant_id", "listener_id")
            .agg(
                expression
                for days in WINDOWS
                for expression in (
                    (age <= timedelta(days=days)).sum().alias(f"plays_{days}d"),
                    pl.col("listened_ms")
                    .filter(age <= timedelta(days=days))
                    .sum()
                    .alias(f"listened_{days}d"),
                    pl.col("is_skipped")
                    .filter(age <= timedelta(days=days))
                    .mean()
                    .alias(f"skips_{days}d"),
                    pl.col("track_id")
                    .filter(age <= timedelta(days=days))
                    .n_unique()
                    .alias(f"tracks_{days}d"),
                )
            )
            .collect()
        )

    bare = seconds(sums, place.size.repeats)
    return [
        rate(
            "features", "churn features", plays, ours, bare, unit="plays/s",
            how=f"{plays:,} plays, {len(FILE_TENANTS)} tenants at {dates} dates each, by the "
            "embedded engine, its start included",
            bare="Polars: twelve aggregates of the same plays at one date, nothing written",
        )
    ]  # fmt: skip
