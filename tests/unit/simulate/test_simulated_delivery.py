"""What is late, doubled or damaged on disk is what the truth counts, to the row."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from analytics.simulate.rows import DAY_MS
from analytics.simulate.run import simulate
from tests.unit.simulate.small_worlds import profile, small


def counted(folder: Path, tenant_id: str, table: str) -> dict[str, int]:
    counts = pl.read_parquet(folder / "truth" / tenant_id / "counts.parquet")
    return (
        counts.filter(pl.col("table") == table)
        .select(pl.exclude("arrived_on", "table"))
        .sum()
        .row(0, named=True)
    )


def spins(folder: Path) -> pl.DataFrame:
    """All Parquet plays, with the day they arrived on."""
    days = sorted((folder / "landing/indie_radio/plays").glob("*.parquet"))
    return pl.concat(
        [pl.read_parquet(f).with_columns(arrived=pl.lit(f.stem).str.to_date()) for f in days]
    )


def lines(folder: Path) -> list[tuple[str, str]]:
    days = sorted((folder / "landing/spotify_premium/events").glob("*.jsonl"))
    return [(f.stem, line) for f in days for line in f.read_text().splitlines()]


def test_parquet_drops_hold_the_late_the_doubled_and_the_damaged_that_the_truth_counts(sent):
    _, folder = sent
    rows, truth = spins(folder), counted(folder, "indie_radio", "plays")
    assert len(rows) == truth["rows"]
    assert rows.filter(pl.col("seconds_played") < 0).height == truth["negative_duration"] > 0
    assert rows["member_no"].null_count() == truth["null_listener"] > 0
    far = pl.col("played_at") > 4_000_000_000_000
    assert rows.filter(far).height == truth["year_2099"] > 0
    assert rows.height - rows["spin_no"].n_unique() == truth["duplicates"] > 0
    doubled = rows.filter(pl.col("spin_no").is_duplicated()).sort("spin_no")
    assert doubled.select(pl.exclude("arrived")).n_unique() == truth["duplicates"]
    # Repair the damaged instants from the truth, then count first arrivals after their day.
    true = pl.read_parquet(folder / "truth/indie_radio/damaged.parquet").select(
        spin_no="play_id", true_at="started_ms"
    )
    first = (
        rows.sort("arrived").unique("spin_no", keep="first").join(true, on="spin_no", how="left")
    )
    happened = pl.from_epoch(pl.coalesce("true_at", "played_at"), time_unit="ms").dt.date()
    waited = (pl.col("arrived") - happened).dt.total_days()
    late = first.filter(waited > 0)
    assert len(late) == truth["late"] > 0
    assert set(late.select(waited.alias("days"))["days"]) == {1, 2, 3}


def test_lines_hold_the_broken_ones_that_the_truth_counts(sent):
    _, folder = sent
    truth = counted(folder, "spotify_premium", "plays")
    broken = {"cut_line": 0, "wrong_type": 0, "null_listener": 0, "negative_duration": 0}
    far = songs = 0
    for _, line in lines(folder):
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            broken["cut_line"] += 1
            continue
        if event["page"] != "NextSong":
            continue
        songs += 1
        broken["wrong_type"] += isinstance(event["ts"], str)
        broken["null_listener"] += event["userId"] is None
        broken["negative_duration"] += event["listenedMs"] < 0
        far += event["ts"] != "yesterday" and event["ts"] > 4_000_000_000_000
    assert broken == {k: truth[k] for k in broken}
    assert min(broken.values()) > 0
    assert far == truth["year_2099"] > 0
    assert songs + broken["cut_line"] == truth["rows"]


def test_a_line_sent_twice_is_the_same_line_twice(sent):
    _, folder = sent
    every = [line for _, line in lines(folder)]
    doubled = sum(
        counted(folder, "spotify_premium", table)["duplicates"] for table in ("plays", "app_events")
    )
    # A play's line may appear twice only because it was sent twice.
    assert len(every) - len(set(every)) == doubled > 0


def test_nothing_in_a_file_happened_after_the_day_it_arrived(sent):
    _, folder = sent
    for day, line in lines(folder):
        if line.endswith("}") and '"ts":"' not in line:
            at = json.loads(line)["ts"]
            assert at > 4_000_000_000_000 or at < (
                pl.Series([day]).str.to_date().cast(pl.Datetime("ms")).dt.epoch("ms")[0] + DAY_MS
            )


def test_a_ticket_comes_open_and_again_resolved(sent):
    _, folder = sent
    tickets = pl.concat(
        [pl.read_parquet(f) for f in sorted((folder / "landing/indie_radio/tickets").glob("*"))]
    )
    open_ones = tickets.filter(pl.col("closed_at").is_null())
    closed = tickets.filter(pl.col("closed_at").is_not_null())
    assert open_ones["ticket_no"].n_unique() == len(open_ones) > 0
    assert set(closed["ticket_no"]) <= set(open_ones["ticket_no"])
    assert (closed["closed_at"] > closed["opened_at"]).all()
    assert len(closed) == counted(folder, "indie_radio", "tickets")["resent"] > 0


@pytest.mark.parametrize("share", ["late_share", "duplicate_share", "damaged_share"])
def test_a_share_of_none_means_none(share, tmp_path):
    simulate(small(4, **{share: 0.0}), tmp_path / "landing", tmp_path / "truth")
    kinds = {
        "late_share": ["late"],
        "duplicate_share": ["duplicates"],
        "damaged_share": ["negative_duration", "null_listener", "year_2099", "cut_line"],
    }[share]
    for tenant_id in ("spotify_premium", "indie_radio"):
        assert not any(counted(tmp_path, tenant_id, "plays")[k] for k in kinds)


@pytest.mark.parametrize("tenant_id", ["spotify_premium", "indie_radio"])
def test_a_day_that_cannot_be_written_leaves_no_table_of_it(tenant_id, tmp_path):
    config = small(1, tenants=(profile(tenant_id),))
    folder = tmp_path / "landing" / tenant_id
    folder.mkdir(parents=True)
    (folder / "reviews").write_text("a file where the folder should be")
    with pytest.raises(FileExistsError):
        simulate(config, tmp_path / "landing", tmp_path / "truth")
    assert not [f for f in folder.glob("*/*") if f.suffix != ".jsonl"]
