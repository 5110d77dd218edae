"""The servers these tests run on: PostgreSQL, and TimescaleDB where a DSN names one."""

from __future__ import annotations

import os
from pathlib import Path

from psycopg.conninfo import make_conninfo

from analytics.stack.postgres import Postgres

TIMESCALE_DSN = os.environ.get("ANALYTICS_TEST_TIMESCALE_DSN", "")  # its superuser's
SERVERS = ["postgresql", *(["timescaledb"] if TIMESCALE_DSN else [])]


class Timescale(Postgres):
    """A server with TimescaleDB that is up already and stays up."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull), port=0, password="")

    def dsn(self, database: str = "postgres", user: str = "", password: str = "") -> str:
        changes = {"dbname": database, "user": user, "password": password}
        return make_conninfo(TIMESCALE_DSN, **{k: v for k, v in changes.items() if v})
