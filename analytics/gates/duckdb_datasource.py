"""Teaches Great Expectations to read DuckDB, by SQLAlchemy.

Importing this module imports Great Expectations and registers the datasource
type `duckdb`; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import sqlalchemy
import sqlalchemy.dialects.postgresql
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from sqlalchemy.pool import StaticPool

from analytics.lake.portions import ROWS, Portions


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):
    """Fetches each result before its connection is handed back, where DuckDB would drop it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # DuckDB speaks PostgreSQL's operators; this makes regular expressions `~`.
        self.dialect_module = sqlalchemy.dialects.postgresql

    def execute_query(self, query: Any) -> Any:
        with self.get_connection() as connection:
            return self._execute_query_with_recovery(connection, query).freeze()()


class DuckDBDatasource(SQLDatasource):
    """One in-memory DuckDB whose tables are Arrow tables of this process."""

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]

    def _create_engine(self) -> sqlalchemy.Engine:
        # One connection, or each checkout would open an empty database of its own.
        return sqlalchemy.create_engine(str(self.connection_string), poolclass=StaticPool)

    @property
    def execution_engine_type(self) -> Any:
        return DuckDBExecutionEngine

    def get_execution_engine(self) -> SqlAlchemyExecutionEngine:
        if self._execution_engine is None:
            self._execution_engine = DuckDBExecutionEngine(
                engine=self.get_engine(),
                create_temp_table=False,  # a copy of every row, to be read a few times
            )
        return self._execution_engine

    def register(self, name: str, table: pa.Table) -> None:
        """Show an Arrow table as `name`, without a copy."""
        self._raw().register(name, table)

    def unregister(self, name: str) -> None:
        self._raw().unregister(name)

    def view(self, name: str, portions: Iterable[Portions], columns: Sequence[str]) -> None:
        """Show these columns of what the portions hold, in files and in memory, as `name`."""
        parts = []
        for number, portion in enumerate(portions):
            held = f"{name}_{number}"
            if portion.files:
                fixed = [f"{_text(v)} as {_quoted(c)}" for c, v in portion.constants.items()]
                files = ", ".join(_text(str(kinds[ROWS])) for kinds in portion.files)
                whole = f"(select {', '.join([*fixed, '*'])} from read_parquet([{files}]))"  # noqa: S608
                parts.append(f"select {_list(columns)} from {whole}")  # noqa: S608
            if portion.frames:
                self.register(held, pl.concat(portion.frames).select(columns).to_arrow())
                parts.append(f"select {_list(columns)} from {_quoted(held)}")  # noqa: S608
        self._raw().execute(f"create view {_quoted(name)} as {' union all '.join(parts)}")

    def limit(self, memory: str, folder: Path) -> None:
        """Take no more memory than this; what does not fit goes below the folder."""
        self._raw().execute(f"set memory_limit = {_text(memory)}")
        self._raw().execute(f"set temp_directory = {_text(str(folder / 'duckdb'))}")
        self._raw().execute("set preserve_insertion_order = false")

    def close(self) -> None:
        self.get_engine().dispose()

    def _raw(self) -> Any:
        return self.get_engine().raw_connection().dbapi_connection


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(columns: Iterable[str]) -> str:
    return ", ".join(map(_quoted, columns))
