"""The seam to Great Expectations: validates a suite on Polars frames or files, over DuckDB.

DuckDB reads a frame in place through Arrow, and many rows from their files: ten expectations
on a million rows take about half a second, a quarter of what pandas needs and a tenth of
PostgreSQL. Everything Great Expectations is imported here, inside functions:
the import takes seconds and no other room should pay for it.
"""

from __future__ import annotations

import functools
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from analytics.lake.portions import Portions

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation

    from analytics.gates.duckdb_datasource import DuckDBDatasource

MEMORY = "512MB"  # of DuckDB over rows on disk; beyond it spills
COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}


def prepare() -> None:
    """Make Great Expectations quiet and private; call before its first import."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)


@functools.cache
def context() -> EphemeralDataContext:
    """The one ephemeral context of this process."""
    prepare()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        from analytics.gates import duckdb_datasource  # noqa: F401  (registers itself)

        made = gx.get_context(mode="ephemeral")
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("great_expectations"):  # some set their own level on import
            logging.getLogger(name).setLevel(logging.ERROR)
    made.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    return made


@dataclass(frozen=True)
class Rows:
    """What Great Expectations is shown: these columns of all portions."""

    portions: Sequence[Portions]
    columns: Sequence[str]


def validate(
    expectations: Iterable[Expectation],
    rows: Rows,
    name: str,
    result_format: dict[str, Any] | None = None,
) -> ExpectationSuiteValidationResult:
    """What Great Expectations says about these expectations on these rows.

    `name` is the suite's and the asset's name in the result. Counts come back,
    no rows: the split finds those by the same rules.
    """
    suite = _suite(expectations, name)
    with _batch_of(rows, name) as batch:
        return batch.validate(suite, result_format=result_format or COUNTS_ONLY)


def unexpected_rows(
    expectations: Iterable[Expectation], frame: pl.DataFrame
) -> dict[str, list[int]]:
    """By rule, the numbers of the rows Great Expectations itself finds at fault, in order."""
    numbered = frame.with_row_index("_row_index")
    result = validate(
        expectations,
        Rows([Portions.of(numbered)], numbered.columns),
        "unexpected_rows",
        {"result_format": "COMPLETE", "unexpected_index_column_names": ["_row_index"]},
    )
    return {
        r.expectation_config.meta["rule"]: sorted(  # type: ignore[union-attr]
            row["_row_index"] for row in r.result.get("unexpected_index_list") or []
        )
        for r in result.results
    }


def _suite(expectations: Iterable[Expectation], name: str) -> ExpectationSuite:
    context()
    import great_expectations as gx

    fresh = [type(e)(**{**e.dict(exclude={"id", "rendered_content"})}) for e in expectations]
    return gx.ExpectationSuite(name=name, expectations=fresh)


@functools.cache
def _frames() -> DuckDBDatasource:
    """The one DuckDB of this process; to make one costs more than to ask it."""
    made: Any = context()
    return made.data_sources.add_duckdb(name="frames", connection_string="duckdb:///:memory:")


@contextmanager
def _batch_of(rows: Rows, name: str) -> Iterator[Batch]:
    """The rows as a batch; the name is free again afterwards."""
    shown = _in_memory if not any(p.files for p in rows.portions) else _on_disk
    with shown(rows, name) as source:
        known = {asset.name: asset for asset in source.assets}
        asset = known.get(name) or source.add_table_asset(name, table_name=name)
        whole = asset.batch_definitions or [asset.add_batch_definition_whole_table("whole")]
        yield whole[0].get_batch()


@contextmanager
def _in_memory(rows: Rows, name: str) -> Iterator[DuckDBDatasource]:
    frames = [frame.select(rows.columns) for p in rows.portions for frame in p.frames]
    source = _frames()
    source.register(name, pl.concat(frames).to_arrow())
    try:
        yield source
    finally:
        source.unregister(name)


@contextmanager
def _on_disk(rows: Rows, name: str) -> Iterator[DuckDBDatasource]:
    """A DuckDB of its own, which keeps to little memory and spills beside the files."""
    made: Any = context()
    source = made.data_sources.add_duckdb(name=name, connection_string="duckdb:///:memory:")
    try:
        source.limit(MEMORY, rows.portions[0].folder)
        source.view(name, rows.portions, rows.columns)
        yield source
    finally:
        source.close()
        made.data_sources.delete(name)
