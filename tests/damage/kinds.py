"""The kinds of damage: what is done to a clean day, and which rule at which door must notice.

Doors, in the order rows meet them: `extract` (a file or row that cannot be read), `bronze`,
`features`, `predictions`. A kind names the rule that a person on call would want to read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from tests.damage.day import Day

LOG, DROPS = "spotify_premium", "indie_radio"  # an event log with CSV beside it; Parquet drops


@dataclass(frozen=True)
class Kind:
    """One kind of damage. `stops` is False where it is told without stopping the tenant."""

    name: str
    what: str
    tenant_id: str
    door: str
    rule: str
    stops: bool
    damage: Callable[[Day], None]


KINDS: list[Kind] = []


def kind(
    what: str, door: str, rule: str, *, tenant: str = DROPS, stops: bool = True
) -> Callable[[Callable[[Day], None]], Callable[[Day], None]]:
    def register(damage: Callable[[Day], None]) -> Callable[[Day], None]:
        KINDS.append(Kind(damage.__name__, what, tenant, door, rule, stops, damage))
        return damage

    return register


def _set(day: Day, table: str, **columns: pl.Expr) -> None:
    day.change(table, lambda rows: rows.with_columns(**columns))


def _every(n: int) -> pl.Expr:
    return pl.int_range(pl.len()) % n == 0


def _some(column: str, value: object, n: int) -> pl.Expr:
    """Every n-th row's value replaced."""
    return pl.when(_every(n)).then(pl.lit(value)).otherwise(pl.col(column))


# ---- nulls


@kind("listeners missing from one play in twenty", "bronze", "listener_id_is_given")
def null_listeners(day: Day) -> None:
    _set(day, "plays", member_no=_some("member_no", None, 20))


@kind("a required column is empty", "bronze", "track_id_is_given")
def empty_required_column(day: Day) -> None:
    _set(day, "plays", song_no=pl.lit(None, pl.String))


@kind("an optional column is empty", "bronze", "missing_not_far_from_learned")
def empty_optional_column(day: Day) -> None:
    _set(day, "plays", device=pl.lit(None, pl.String))


@kind("a third of an optional column is empty", "bronze", "missing_as_learned", stops=False)
def holes_in_optional_column(day: Day) -> None:
    _set(day, "plays", device=_some("device", None, 3))


# ---- columns and types


@kind("two columns change places", "bronze", "words_not_far_from_learned")
def swapped_columns(day: Day) -> None:
    _set(day, "plays", device=pl.col("origin"), origin=pl.col("device"))


@kind("listener and track change places", "bronze", "ids_as_learned", stops=False)
def swapped_ids(day: Day) -> None:
    _set(day, "plays", member_no=pl.col("song_no"), song_no=pl.col("member_no"))


@kind("a declared column is dropped", "extract", "came without")
def dropped_column(day: Day) -> None:
    day.change("plays", lambda rows: rows.drop("member_no"))


@kind("numbers arrive as words", "bronze", "bad_rows_within_budget")
def numbers_as_words(day: Day) -> None:
    _set(day, "plays", seconds_played=pl.col("seconds_played").cast(pl.String) + " seconds")


@kind("dates arrive as day/month/year", "bronze", "bad_rows_within_budget", tenant=LOG)
def other_date_layout(day: Day) -> None:
    instant = pl.col("booked_at").str.to_datetime(time_zone="UTC")
    _set(day, "payments", booked_at=instant.dt.strftime("%d/%m/%Y %H:%M"))


@kind("a column holds one value", "bronze", "ids_not_far_from_learned")
def constant_track(day: Day) -> None:
    _set(day, "plays", song_no=pl.col("song_no").first())


@kind("a flag is stuck", "bronze", "shares_as_learned", stops=False)
def stuck_flag(day: Day) -> None:
    _set(day, "plays", skipped=pl.lit(True))


@kind("a word nobody knows", "bronze", "kind_is_known")
def unknown_word(day: Day) -> None:
    _set(day, "subscription_events", change=pl.lit("renewal"))


# ---- units and numbers


@kind("milliseconds in a column of seconds", "bronze", "listened_ms_is_plausible")
def milliseconds_for_seconds(day: Day) -> None:
    _set(day, "plays", seconds_played=pl.col("seconds_played") * 1000)


@kind("seconds in a column of milliseconds", "bronze", "numbers_not_far_from_learned", tenant=LOG)
def seconds_for_milliseconds(day: Day) -> None:
    def in_seconds(line: dict[str, Any]) -> dict[str, Any]:
        listened = line.get("listenedMs")
        return line | {"listenedMs": listened // 1000} if isinstance(listened, int) else line

    day.change_lines("events", in_seconds)


@kind("negative durations", "bronze", "listened_ms_is_plausible")
def negative_durations(day: Day) -> None:
    _set(day, "plays", seconds_played=-pl.col("seconds_played") - 1)


@kind("silent zeroes", "bronze", "shares_not_far_from_learned")
def silent_zeroes(day: Day) -> None:
    _set(day, "plays", seconds_played=pl.col("seconds_played") * 0)


@kind("money in whole units instead of cents", "bronze", "numbers_not_far_from_learned")
def whole_units(day: Day) -> None:
    _set(day, "payments", cents=pl.col("cents") // 100)


@kind("refunds as negative amounts", "bronze", "amount_minor_is_positive")
def negative_amounts(day: Day) -> None:
    _set(day, "payments", cents=-pl.col("cents"))


@kind("another currency", "bronze", "words_not_far_from_learned")
def another_currency(day: Day) -> None:
    _set(day, "payments", currency=pl.lit("EUR"))


@kind("a currency sign instead of its code", "bronze", "currency_is_a_code")
def currency_sign(day: Day) -> None:
    _set(day, "payments", currency=pl.lit("$"))


@kind("ten stars of five", "bronze", "stars_are_one_to_five")
def ten_stars(day: Day) -> None:
    _set(day, "reviews", stars=pl.col("stars") * 2 + 2)


# ---- time


@kind("epoch seconds in a column of milliseconds", "bronze", "started_at_not_before_2000")
def epoch_seconds(day: Day) -> None:
    _set(day, "plays", played_at=pl.col("played_at") // 1000)


@kind("local time sent as UTC", "bronze", "hours_as_learned", stops=False)
def time_zone_shift(day: Day) -> None:
    """Seven hours early; what falls into the day before arrives as late."""
    _set(day, "plays", played_at=pl.col("played_at") - 7 * 3_600_000)


@kind("a clock a day ahead", "bronze", "started_at_not_after_interval")
def clock_ahead(day: Day) -> None:
    _set(day, "plays", played_at=pl.col("played_at") + 86_400_000)


@kind("plays in the year 2099", "bronze", "started_at_not_after_interval")
def year_2099(day: Day) -> None:
    _set(day, "plays", played_at=_some("played_at", 4_070_908_800_000, 20))


@kind("all events at one hour", "bronze", "hours_not_far_from_learned")
def stuck_clock(day: Day) -> None:
    noon = day.midnight_ms + 12 * 3_600_000
    _set(day, "plays", played_at=noon + pl.col("played_at") % 3_600_000)


# ---- volume and repetition


@kind("the day ends at ten", "bronze", "hours_not_far_from_learned")
def truncated_day(day: Day) -> None:
    ten = day.midnight_ms + 10 * 3_600_000
    day.change("plays", lambda rows: rows.filter(pl.col("played_at") < ten))


@kind("every second row is lost", "bronze", "volume_as_learned", stops=False)
def half_lost(day: Day) -> None:
    day.change("plays", lambda rows: rows.filter(_every(2)))


@kind("nine of ten rows are lost", "bronze", "volume_not_far_from_learned")
def nearly_all_lost(day: Day) -> None:
    day.change("plays", lambda rows: rows.filter(_every(10)))


@kind("the file has no rows", "bronze", "enough_rows")
def no_rows(day: Day) -> None:
    day.change("plays", lambda rows: rows.clear())


@kind("the file did not come", "extract", "no file for any day")
def no_file(day: Day) -> None:
    day.file("plays").unlink()


@kind("yesterday's file comes again as today's", "bronze", "started_at_is_fresh")
def yesterday_again(day: Day) -> None:
    before = day.file("plays", day.day - timedelta(days=2))
    day.file("plays").write_bytes(before.read_bytes())


@kind("every row comes twice", "bronze", "keys_are_unique", stops=False)
def doubled_rows(day: Day) -> None:
    day.change("plays", lambda rows: pl.concat([rows, rows]))


@kind("every row comes twice, under new ids", "bronze", "volume_as_learned", stops=False)
def doubled_under_new_ids(day: Day) -> None:
    _again(day, times=2)


@kind("ten times the rows", "bronze", "volume_not_far_from_learned")
def ten_times(day: Day) -> None:
    _again(day, times=10)


def _again(day: Day, times: int) -> None:
    """The day's plays several times over, each time under new ids."""
    day.change(
        "plays",
        lambda rows: pl.concat(
            rows.with_columns(pl.col("spin_no") + n * 10**12) for n in range(times)
        ),
    )


@kind("one account plays as much as all others", "bronze", "ids_as_learned", stops=False)
def a_bot(day: Day) -> None:
    _set(day, "plays", member_no=pl.when(_every(2)).then(pl.col("member_no").first())
         .otherwise(pl.col("member_no")))  # fmt: skip


@kind("another tenant's file", "bronze", "words_not_far_from_learned", tenant=LOG)
def another_tenants_file(day: Day) -> None:
    """Its ids are just as good here: only the currency tells."""
    _set(day, "payments", currency=pl.lit("USD"))


# ---- bytes


@kind("a Parquet file is cut off", "extract", "is damaged or cut off")
def cut_parquet(day: Day) -> None:
    day.change_bytes("plays", lambda content: content[: len(content) // 2])


@kind("a line is cut in half", "bronze", "row_parses", tenant=LOG, stops=False)
def cut_line(day: Day) -> None:
    day.change_bytes("events", lambda content: content[:-40])


@kind("text in another encoding", "bronze", "texts_not_far_from_learned")
def mojibake(day: Day) -> None:
    """UTF-8 read as Latin-1, as it looks where a word has an umlaut."""
    _set(day, "app_events", details=pl.col("details") + "Ã¤")


@kind("bytes that are no UTF-8", "bronze", "bad_rows_within_budget", tenant=LOG)
def no_utf8(day: Day) -> None:
    day.change_bytes("payments", lambda content: content.replace(b"EUR", b"\xff\xfe"))
