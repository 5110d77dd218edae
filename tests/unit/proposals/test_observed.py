"""What rows have in common becomes rules with room, held against the suite in force."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from analytics.gates import engine
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.proposals.difference import Change, changes
from analytics.proposals.observed import observe
from tests.builders import NOON, a_frame, a_row

DAYS = Interval.of("2025-01-06", "2025-01-16")
A_DAY = 100


def rows(table: str, **columns) -> pl.DataFrame:
    """A hundred rows a day of ten days, of a tenant; a column may be a function of the number."""
    made = []
    for n in range(10 * A_DAY):
        at = NOON + timedelta(days=n // A_DAY, seconds=n)
        values = {c: v(n) if callable(v) else v for c, v in columns.items()}
        row = a_row(table, "t1", **{TABLES[table].key: f"k{n:04}", TABLES[table].time: at})
        made.append({**row, **values})
    frame = a_frame(table, *made)
    return frame.with_columns(pl.col(TABLES[table].time).dt.date().alias("_arrived_on"))


def told(table: str, frame: pl.DataFrame, **owed) -> dict[str, Change]:
    """The changes that the rows suggest, by rule."""
    engine.context()
    from expectations import bronze

    force = bronze.suite(table, DAYS).expectations
    found = observe(TABLES[table], frame, DAYS, force)
    return {change.rule: change for change in changes(found, force, DAYS)}


def test_each_kind_of_habit_is_proposed_with_what_was_seen_and_its_room():
    found = told("plays", rows("plays", platform=lambda n: ["ios", "web"][n % 2]))
    seen = {rule: (c.kind, c.before, c.after) for rule, c in found.items()}

    assert seen["platform_is_given"] == ("add", None, "platform is given")
    assert seen["platform_is_known"] == ("add", None, "platform is one of ios, web")
    assert seen["play_id_has_its_shape"] == ("add", None, "play_id looks like ^.{1,10}$")
    assert seen["started_at_arrives_in_time"][2].startswith("started_at at most 1 d before")
    assert seen["listened_ms_within_track_ms"][2] == "no row with listened_ms > 1.4 * track_ms"
    assert seen["started_at_is_once_a_listener"][0] == "add"
    assert seen["enough_rows"] == ("add", None, "rows at least 50 a day")
    assert seen["listened_ms_is_plausible"] == (
        "tighten", "listened_ms 0 to 21,600,000", "listened_ms 0 to 360,000"
    )  # fmt: skip
    assert "Observed: 180,000 to 180,000. Twice the largest" in (
        found["listened_ms_is_plausible"].reason
    )


def test_a_column_with_gaps_may_have_twice_those_of_its_poorest_day():
    gaps = rows("plays", country=lambda n: None if n % 10 == 0 else "DE")
    change = told("plays", gaps)["country_is_mostly_given"]
    assert (change.after, change.severity) == ("country share given at least 0.8", "warning")
    assert "country_is_given" not in told("plays", gaps)


@pytest.mark.parametrize(
    "words",
    [
        lambda n: "ios",  # one word is no list
        lambda n: f"player {n // 250}",  # new words to the end
        lambda n: f"player {n % 21}",  # too many
    ],
)
def test_what_is_no_closed_list_is_not_proposed_as_one(words):
    assert "platform_is_known" not in told("plays", rows("plays", platform=words))


def test_a_word_in_force_is_never_taken_away_and_one_that_came_is_added():
    assert "kind_is_known" not in told("payments", rows("payments"))
    change = told("payments", rows("payments", plan=lambda n: ["premium", "duo"][n % 2]))[
        "plan_is_known"
    ]
    assert change.kind == "loosen"
    assert change.before == "plan is one of free, premium, family"
    assert change.after == "plan is one of free, premium, family, duo"


def test_a_range_that_data_break_is_loosened_and_one_that_fits_stays():
    assert "birth_year_is_plausible" not in told("listeners", rows("listeners"))
    change = told("listeners", rows("listeners", birth_year=lambda n: 2021 if n else 1990))[
        "birth_year_is_plausible"
    ]
    assert (change.kind, change.after) == ("loosen", "birth_year 1,900 to 2,021")


@pytest.mark.parametrize(
    ("listener_id", "shape"),
    [
        (lambda n: str(n), "^[0-9]+$"),
        (lambda n: f"{n:032x}", "^[0-9a-f]{32}$"),
        (lambda n: f"{n:022}", "^[0-9A-Za-z]{22}$"),
        (lambda n: f"user-{n:03}", "^.{1,16}$"),
    ],
)
def test_ids_are_known_by_their_shape(listener_id, shape):
    found = told("plays", rows("plays", listener_id=listener_id))
    assert found["listener_id_has_its_shape"].after == f"listener_id looks like {shape}"


def test_late_rows_set_how_late_a_row_may_be():
    late = rows("plays").with_columns(_arrived_on=pl.col("_arrived_on") + pl.duration(days=3))
    assert "at most 7 d" in told("plays", late)["started_at_arrives_in_time"].after


def test_a_day_without_rows_and_few_rows_promise_no_volume():
    frame = rows("plays")
    gap = frame.filter(pl.col("_arrived_on") != date(2025, 1, 9))
    assert "enough_rows" not in told("plays", gap)
    assert "enough_rows" not in told("plays", frame.gather_every(2))


def test_a_row_that_came_twice_leaves_no_rule_of_once():
    frame = rows("plays")
    assert "started_at_is_once_a_listener" not in told("plays", pl.concat([frame, frame.head(1)]))


def test_a_state_promises_no_volume_and_no_punctuality():
    found = told(
        "listeners", rows("listeners", updated_at=datetime.fromisoformat("2025-01-06T00Z"))
    )
    assert not {"enough_rows", "updated_at_arrives_in_time"} & set(found)
