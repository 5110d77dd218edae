"""Ten expectations on a million rows."""

from __future__ import annotations

from typing import Any

import duckdb

from analytics.gates import engine, split
from analytics.gates.judge import judge
from analytics.lake.portions import Portions
from bench import rows
from bench.figure import Figure, rate, seconds
from bench.place import Place

EXPECTATIONS = 10


def measure(place: Place) -> list[Figure]:
    """Great Expectations over DuckDB, and the whole judgement with its split."""
    frame = rows.plays(place.size.rows)
    engine.context()
    from expectations import bronze as suites

    suite = suites.suite("plays", place.interval)
    ten = [e for e in suite.expectations if split.is_row_rule(e)][:EXPECTATIONS]
    shown = engine.Rows([Portions.of(frame)], frame.columns)
    validated = seconds(lambda: engine.validate(ten, shown, "bench"), place.size.repeats)
    judged = seconds(lambda: judge(suite, frame, 0.01), place.size.repeats)

    query = "select " + ", ".join(f"count_if({_fault(e)})" for e in ten) + " from plays"  # noqa: S608
    with duckdb.connect() as connection:
        connection.register("plays", frame.to_arrow())
        bare = seconds(lambda: connection.execute(query).fetchall(), place.size.repeats)
    size = f"{frame.height:,} plays"
    return [
        Figure(
            "gate_ten", f"gate: {len(ten)} expectations", round(validated, 3), "s",
            f"Great Expectations over DuckDB on {size}", round(bare / validated, 3),
            "the same predicates as one plain DuckDB query",
        ),
        rate(
            "gate_judge", "gate: a whole suite, judged and split", frame.height, judged, bare,
            how=f"{len(suite.expectations)} expectations on {size}, bad rows found and set apart",
            bare="ten of them as one plain DuckDB query",
        ),
    ]  # fmt: skip


def _fault(expectation: Any) -> str:
    """The rows at fault, in SQL written by hand: what somebody without a gate would ask."""
    kind = type(expectation).__mro__
    names = {base.__name__ for base in kind}
    if "ExpectColumnValuesToNotBeNull" in names:
        return f"{expectation.column} is null"
    if "ExpectColumnValuesToMatchRegex" in names:
        return f"not regexp_matches({expectation.column}, '{expectation.regex}')"
    bounds = []
    for side, sign in (("min_value", "<"), ("max_value", ">")):
        bound = getattr(expectation, side)
        if bound is not None:
            value = bound if isinstance(bound, int | float) else f"timestamptz '{bound}'"
            bounds.append(f"{expectation.column} {sign} {value}")
    return " or ".join(bounds) or "false"
