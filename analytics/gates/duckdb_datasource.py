"""Teaches Great Expectations to read DuckDB, by SQLAlchemy.

Importing this module imports Great Expectations and registers the datasource
type `duckdb`; import it inside functions.
"""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa
import sqlalchemy
import sqlalchemy.dialects.postgresql
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from sqlalchemy.pool import StaticPool


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
            self._execution_engine = DuckDBExecutionEngine(engine=self.get_engine())
        return self._execution_engine

    def register(self, name: str, table: pa.Table) -> None:
        """Show an Arrow table as `name`, without a copy."""
        self._raw().register(name, table)

    def unregister(self, name: str) -> None:
        self._raw().unregister(name)

    def _raw(self) -> Any:
        return self.get_engine().raw_connection().dbapi_connection
