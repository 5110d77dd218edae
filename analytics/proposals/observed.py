"""What the rows of a table have in common, as rules that leave room for the next day. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from analytics.gates import split
from analytics.interval import Interval
from analytics.lake.tables import Table

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

LEAST_ROWS = 100  # fewer tell no habit
LEAST_DAYS = 7  # fewer hold no weekend
MOST_WORDS = 20  # more is no list that anybody closes
NARROWER = 0.9  # of a range in force; what shrinks it less is noise
PAIRS = {"plays": ("listened_ms", "track_ms")}
SHAPES = {
    "^[0-9a-f]{32}$": "32 hexadecimal digits",
    "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$": "a UUID",
    "^[0-9A-Za-z]{22}$": "22 letters and digits",
    "^[0-9]+$": "digits",
}
Force = Mapping[tuple[str, str], "Expectation"]  # (base class, column) → rule in force


@dataclass(frozen=True)
class Proposed:
    """One rule: the shape of `expectations/rules.py` that makes it, and what it is called with."""

    shape: str
    arguments: dict[str, Any]
    observed: str
    of_interval: bool = False  # its bounds follow the interval that is judged

    def rule(self, interval: Interval) -> Expectation:
        from expectations import rules

        more = {"interval": interval} if self.of_interval else {}
        return getattr(rules, self.shape)(**self.arguments, **more)


def observe(
    table: Table, rows: pl.DataFrame, interval: Interval, force: Sequence[Expectation]
) -> tuple[Proposed, ...]:
    """The rules that the rows keep and no rule in force says as well."""
    known = _by_subject(force)
    return (
        *_given(table, rows, known),
        *_words(table, rows, known),
        *_ranges(table, rows, known),
        *_shapes(table, rows, known),
        *_lateness(table, rows),
        *_pairs(table, rows),
        *_once(table, rows),
        *_volume(table, rows, interval, force),
    )


def _by_subject(force: Sequence[Expectation]) -> Force:
    """The rules in force by what Great Expectations' own class says of which column."""
    found = {}
    for rule in force:
        base = next(c for c in type(rule).__mro__ if c.__module__.startswith("great_expectations."))
        for column in split.columns_of(rule):
            found[base.__name__, column] = rule
    return found


def _given(table: Table, rows: pl.DataFrame, known: Force) -> Iterator[Proposed]:
    for column in table.columns:
        if ("ExpectColumnValuesToNotBeNull", column) in known:
            continue
        missing = rows[column].null_count()
        if not missing:
            observed = f"never missing in {rows.height:,} rows"
            reason = _reason(observed, "What was always given and stops is a change at the source.")
            yield Proposed("is_given", {"column": column, "reason": reason}, observed)
            continue
        least = _least_share_of_a_day(table, rows, column)
        share = math.floor((2 * least - 1) * 100) / 100
        if share > 0:
            observed = (
                f"given in {1 - missing / rows.height:.1%}, on the poorest day in {least:.1%}"
            )
            reason = _reason(observed, "Twice as much may be missing as on the poorest day.")
            arguments = {"column": column, "share": share, "reason": reason}
            yield Proposed("mostly_given", arguments, observed)


def _least_share_of_a_day(table: Table, rows: pl.DataFrame, column: str) -> float:
    days = rows.group_by(_day(table)).agg(pl.len(), share=pl.col(column).is_not_null().mean())
    told = days.filter(pl.col("len") >= LEAST_ROWS)["share"]
    whole = 1 - rows[column].null_count() / rows.height
    return min([whole, *told])


def _words(table: Table, rows: pl.DataFrame, known: Force) -> Iterator[Proposed]:
    """Closed lists: few words, of which the second half of the days brought no new one."""
    in_order = rows.sort(table.time)
    if rows.select(_day(table)).n_unique() < LEAST_DAYS:
        return
    for column in _texts(table, rows):
        if ("ExpectColumnValuesToMatchRegex", column) in known or column.endswith("_id"):
            continue
        words = sorted(rows[column].drop_nulls().unique())
        old = in_order[column].head(rows.height // 2).drop_nulls().unique()
        before = known.get(("ExpectColumnValuesToBeInSet", column))
        listed = list(before.value_set or []) if before else []  # type: ignore[attr-defined]
        if before and set(words) <= set(listed):
            continue
        if not before and (not 2 <= len(words) <= MOST_WORDS or set(words) != set(old)):
            continue
        observed = f"{len(words)} words" if not before else f"also {_new(words, listed)}"
        room = (
            "A word in force is kept, though it did not come; what came is added."
            if before
            else "The second half of the days brought no new one; a new one is news, no harm."
        )
        arguments = {
            "column": column,
            "values": [*listed, *(w for w in words if w not in listed)],
            "reason": _reason(observed, room),
            "severity": "warning",
        }
        yield Proposed("one_of", arguments, observed)


def _ranges(table: Table, rows: pl.DataFrame, known: Force) -> Iterator[Proposed]:
    for column in (c for c, kind in table.columns.items() if kind.is_numeric()):
        values = rows[column].drop_nulls()
        if values.len() < LEAST_ROWS:
            continue
        low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
        before = known.get(("ExpectColumnValuesToBeBetween", column))
        minimum, maximum = _with_room(low, high, _bounds(before))
        if not _is_news(_bounds(before), (minimum, maximum)):
            continue
        observed = f"{low:,.10g} to {high:,.10g}"
        reason = _reason(
            observed, "Twice the largest is left as room; more is another unit, or a stuck clock."
        )
        as_kind = float if table.columns[column].is_float() else int
        arguments = {
            "column": column,
            "rule": split.rule_of(before) if before else f"{column}_is_as_usual",
            "reason": reason,
            "minimum": as_kind(minimum),
            "maximum": as_kind(maximum),
            "severity": _severity(before),
        }
        yield Proposed("between", arguments, observed)


def _with_room(low: float, high: float, force: tuple[float, float]) -> tuple[float, float]:
    """Twice the extremes on their side of nothing; what is in force stays where it is narrower."""
    least, most = min(force[0], low), max(force[1], high)
    return (
        max(least, _doubled(low) if low < 0 else 0.0),
        min(most, _doubled(high) if high > 0 else 0.0),
    )


def _bounds(rule: Expectation | None) -> tuple[float, float]:
    if rule is None:
        return -math.inf, math.inf
    low, high = rule.min_value, rule.max_value  # type: ignore[attr-defined]
    return (-math.inf if low is None else low, math.inf if high is None else high)


def _is_news(before: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether the range would be another one: wider, or notably narrower."""
    if after[0] < before[0] or after[1] > before[1] or math.inf in (-before[0], before[1]):
        return True
    return after[1] - after[0] < NARROWER * (before[1] - before[0])


def _shapes(table: Table, rows: pl.DataFrame, known: Force) -> Iterator[Proposed]:
    for column in _texts(table, rows):
        if not column.endswith("_id") or ("ExpectColumnValuesToMatchRegex", column) in known:
            continue
        ids = rows[column].drop_nulls()
        regex = next((r for r in SHAPES if ids.str.contains(r).all()), None)
        if regex is None:
            lengths = ids.str.len_chars()
            shortest, longest = int(lengths.min()), int(lengths.max())  # type: ignore[arg-type]
            observed = f"{shortest} to {longest} characters"
            regex, room = f"^.{{1,{2 * longest}}}$", "Twice the length is another kind of id."
        else:
            observed, room = f"always {SHAPES[regex]}", "Another shape is another kind of id."
        arguments = {
            "column": column,
            "regex": regex,
            "rule": f"{column}_has_its_shape",
            "reason": _reason(observed, room),
        }
        yield Proposed("matches", arguments, observed)


def _lateness(table: Table, rows: pl.DataFrame) -> Iterator[Proposed]:
    if not table.is_event or rows["_arrived_on"].null_count():
        return
    late = rows.select((pl.col("_arrived_on") - pl.col(table.time).dt.date()).dt.total_days().max())
    most = max(int(late.item()), 0)
    observed = f"up to {most} day{'' if most == 1 else 's'} before the arrival"
    reason = _reason(observed, "Twice that and a day more is an old file, or a clock that is slow.")
    arguments = {"column": table.time, "days": 2 * most + 1, "reason": reason}
    yield Proposed("arrives_within", arguments, observed, of_interval=True)


def _pairs(table: Table, rows: pl.DataFrame) -> Iterator[Proposed]:
    if table.name not in PAIRS:
        return
    column, other = PAIRS[table.name]
    both = rows.filter(pl.col(column).is_not_null(), pl.col(other) > 0)
    if both.height < LEAST_ROWS:
        return
    most = float(both.select((pl.col(column) / pl.col(other)).max()).item())
    observed = f"at most {most:.2f} times"
    reason = _reason(observed, "Half as much again for who starts over; more is another unit.")
    arguments = {
        "column": column,
        "other": other,
        "times": math.ceil(15 * most) / 10,
        "reason": reason,
    }
    yield Proposed("at_most_times", arguments, observed)


def _once(table: Table, rows: pl.DataFrame) -> Iterator[Proposed]:
    columns = ["tenant_id", "listener_id", table.time]
    if not table.is_event or "listener_id" not in table.columns:
        return
    if rows.select(columns).is_unique().all():
        observed = f"no two of {rows.height:,} rows"
        reason = _reason(observed, "Two at one instant come of a file that was sent twice.")
        arguments = {
            "columns": columns,
            "rule": f"{table.time}_is_once_a_listener",
            "reason": reason,
            "severity": "warning",
        }
        yield Proposed("unique", arguments, observed)


def _volume(
    table: Table, rows: pl.DataFrame, interval: Interval, force: Sequence[Expectation]
) -> Iterator[Proposed]:
    """Rows a day of arrival, where each day from the first to the last had some."""
    if not table.is_event:
        return
    days = rows.group_by(_day(table)).len().sort("day")
    gaps = days["day"].diff().dt.total_days().max()
    quietest, most = int(days["len"].min()), int(days["len"].max())  # type: ignore[arg-type]
    if days.height < LEAST_DAYS or gaps != 1 or quietest < LEAST_ROWS:
        return
    owed = [e.min_value for e in force if split.rule_of(e) == "enough_rows"]  # type: ignore[attr-defined]
    if quietest // 2 * len(interval.days()) <= max([0, *owed]):
        return
    observed = f"{quietest:,} to {most:,} rows a day"
    reason = _reason(observed, "Half of the quietest day; fewer, and a part of it is missing.")
    arguments = {"least": quietest // 2, "reason": reason}
    yield Proposed("enough_rows_a_day", arguments, observed, of_interval=True)


def _texts(table: Table, rows: pl.DataFrame) -> list[str]:
    """The columns of text that say something, but for the tenant."""
    return [
        column
        for column, kind in table.columns.items()
        if kind == pl.String and column != "tenant_id"
        and rows[column].count() >= LEAST_ROWS
    ]  # fmt: skip


def _day(table: Table) -> pl.Expr:
    return pl.col("_arrived_on").fill_null(pl.col(table.time).dt.date()).alias("day")


def _severity(rule: Expectation | None) -> str:
    severity = rule.severity if rule else "critical"
    return str(getattr(severity, "value", severity))


def _new(words: Sequence[str], listed: Sequence[str]) -> str:
    return ", ".join(word for word in words if word not in listed)


def _doubled(number: float) -> float:
    """Twice the number, to two digits, away from nothing."""
    if number == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(number))) - 1)
    return math.copysign(math.ceil(2 * abs(number) / unit) * unit, number)


def _reason(observed: str, room: str) -> str:
    return f"Observed: {observed}. {room}"
