"""A day against the days before it: what is usual is learned, what is far away is told apart."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from analytics.gates import learned
from analytics.gates.daily_profile import COLUMNS, daily_profile
from analytics.interval import Interval
from analytics.lake.portions import Portions
from analytics.settings import Settings
from analytics.tenants import Tenant
from tests.builders import a_frame, a_play

FIRST, WEEKS = date(2025, 1, 6), 4
TODAY = FIRST + timedelta(weeks=WEEKS)


def plays_of(day: date, count: int = 200, tenant_id: str = "t1", **changes: object) -> pl.DataFrame:
    """A day of plays around the clock, a third skipped, one platform in four ios; seeded by day."""
    draw = np.random.default_rng(day.toordinal())
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return a_frame(
        "plays",
        *[
            a_play(
                tenant_id,
                **{
                    "play_id": f"{day} {n}",
                    "listener_id": f"l{draw.integers(60)}",
                    "track_id": f"s{draw.integers(90)}",
                    "started_at": midnight + timedelta(minutes=int(draw.integers(1440))),
                    "listened_ms": int(draw.integers(30_000, 300_000)),
                    "is_skipped": bool(draw.random() < 0.3),
                    "platform": "ios" if draw.random() < 0.25 else "web",
                    **changes,
                },
            )
            for n in range(count)
        ],
    )


def count_of(day: date) -> int:
    return 400 if day.weekday() >= 5 else 200  # twice as many at weekends


def profile_of(frame: pl.DataFrame, *days: date, tenant_id: str = "t1") -> pl.DataFrame:
    return daily_profile(tenant_id, {"plays": Portions.of(frame)}, list(days))


@pytest.fixture(scope="module")
def past() -> pl.DataFrame:
    days = [FIRST + timedelta(days=n) for n in range(7 * WEEKS)]
    return profile_of(pl.concat(plays_of(d, count_of(d)) for d in days), *days)


def alarms(today: pl.DataFrame, past: pl.DataFrame) -> dict[str, str]:
    """By family and column: 'away' or 'far'."""
    found = learned.compare(today, past)
    return {
        f"{family.name} {row['column']}".strip(): "far"
        if row[learned.FAR[family.name]] > 1
        else "away"
        for family in learned.FAMILIES
        for row in found.filter(pl.col(learned.AWAY[family.name]) > 1).iter_rows(named=True)
    }


def test_days_like_the_others_say_nothing(past):
    for n in range(7):  # weekends among them
        day = TODAY + timedelta(days=n)
        assert alarms(profile_of(plays_of(day, count_of(day)), day), past) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"platform": None}, {"missing platform": "far"}),
        ({"is_skipped": True}, {"shares is_skipped": "away"}),
        ({"listened_ms": 0}, {"shares listened_ms": "far", "numbers listened_ms": "far"}),
        ({"track_id": "s1"}, {"ids track_id": "far"}),
        ({"platform": "toaster"}, {"words platform": "far", "ids platform": "away"}),
        ({"play_id": "née"}, {"texts play_id": "far", "ids play_id": "far"}),
    ],
)
def test_each_change_of_a_column_is_told_by_its_family(past, changes, expected):
    seen = alarms(profile_of(plays_of(TODAY, **changes), TODAY), past)
    assert expected.items() <= seen.items()
    column = next(iter(changes))
    assert {name.split()[-1] for name in seen} == {column}


@pytest.mark.parametrize(
    ("count", "how"), [(90, "away"), (20, "far"), (420, "away"), (1_800, "far")]
)
def test_volume_is_held_against_the_same_weekday(past, count, how):
    assert alarms(profile_of(plays_of(TODAY, count), TODAY), past)["volume"] == how


def test_what_is_usual_on_a_saturday_is_not_on_a_monday(past):
    saturday = TODAY + timedelta(days=5)
    assert "volume" not in alarms(profile_of(plays_of(saturday, 400), saturday), past)
    assert "volume" in alarms(profile_of(plays_of(TODAY, 420), TODAY), past)


def test_a_day_without_a_row_is_far_away(past):
    assert alarms(profile_of(plays_of(TODAY).clear(), TODAY), past) == {"volume": "far"}


def test_hours_that_moved_are_noticed(past):
    def afternoon(frame: pl.DataFrame) -> pl.DataFrame:
        noon = pl.lit(datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC))
        return frame.with_columns(pl.max_horizontal("started_at", noon).alias("started_at"))

    assert "hours started_at" in alarms(profile_of(afternoon(plays_of(TODAY)), TODAY), past)


def test_a_short_past_and_a_handful_of_rows_say_nothing(past):
    odd = profile_of(plays_of(TODAY, 8, platform=None), TODAY)
    short = past.filter(pl.col("day") >= TODAY - timedelta(days=learned.ENOUGH_DAYS - 1))
    assert alarms(odd, short) == {}
    shapes = {name for name in alarms(odd, past) if name != "volume"}
    assert shapes == set()


def test_what_is_kept_is_the_tenants_own_and_only_of_days_before(settings: Settings):
    tenant = Tenant(id="t1", name="One", sources=())
    days = [FIRST, FIRST + timedelta(days=1)]
    for tenant_id, count in (("t1", 50), ("t2", 80)):
        frame = pl.concat(plays_of(d, count, tenant_id) for d in days)
        learned.keep(settings, tenant_id, profile_of(frame, *days, tenant_id=tenant_id), "r1")

    def rows(before: date, of: Tenant = tenant) -> list[tuple]:
        kept = learned.history(settings, of, before).filter(pl.col("measure") == "rows")
        return kept.sort("day").select("tenant_id", "day", "rows").rows()

    assert rows(days[1] + timedelta(days=1)) == [("t1", days[0], 50), ("t1", days[1], 50)]
    assert rows(days[1]) == [("t1", days[0], 50)]
    assert rows(days[0]) == []
    since = tenant.model_copy(update={"usual_since": days[1]})
    assert rows(days[1] + timedelta(days=1), since) == [("t1", days[1], 50)]

    learned.keep(settings, "t1", profile_of(plays_of(days[1], 70), days[1]), "r2")
    assert rows(days[1] + timedelta(days=1)) == [("t1", days[0], 50), ("t1", days[1], 70)]


def test_a_backfill_is_learned_from_and_not_judged():
    assert learned.is_judged(Interval.of("2025-01-06", "2025-01-13"))
    assert not learned.is_judged(Interval.of("2025-01-06", "2025-01-14"))
    long = Interval.of("2024-01-01", "2025-01-01")
    assert len(learned.days_of(long)) == learned.HISTORY
    assert learned.days_of(long)[-1] == date(2024, 12, 31)


def test_an_empty_table_has_a_profile_of_no_rows():
    profile = profile_of(plays_of(TODAY).clear(), TODAY)
    assert profile.schema == pl.Schema(COLUMNS)
    assert profile.select("measure", "rows", "value").rows() == [("rows", 0, 0.0)]


def test_a_large_day_is_sampled_and_still_counted_whole():
    frame = plays_of(TODAY, 1_000)
    large = pl.concat(frame.with_columns(pl.lit(f"{n}").alias("play_id")) for n in range(12))
    profile = profile_of(pl.concat([large, plays_of(FIRST, 50)]), FIRST, TODAY)
    counted = profile.filter(pl.col("measure") == "rows").sort("day")
    assert counted["rows"].to_list() == [50, 12_000]
    looked_at = profile.filter(pl.col("measure") == "hours").sort("day")
    assert looked_at["rows"].to_list() == [50, 4_000]
