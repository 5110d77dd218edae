"""A place of its own to measure in: folders, a PostgreSQL, data of a size."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from analytics.interval import Interval
from analytics.secrets import secret
from analytics.settings import PROJECT, Settings, load_settings
from analytics.simulate.config import SAMPLE_DAYS, SAMPLE_START, SimulationConfig
from analytics.simulate.profiles import SAMPLE
from analytics.stack.postgres import Postgres, free_port

FILE_TENANTS = ("spotify_premium", "indie_radio")  # the third hands over a database


@dataclass(frozen=True)
class Size:
    """How much is measured, and how often."""

    rows: int  # of made-up frames
    days: int  # of simulated data
    sample_days: int  # of the simulator's own sample
    scale: float  # of its tenants
    repeats: int


FULL = Size(rows=1_000_000, days=60, sample_days=SAMPLE_DAYS, scale=3.0, repeats=5)
QUICK = Size(rows=20_000, days=8, sample_days=8, scale=0.1, repeats=1)


@dataclass
class Place:
    """Where one benchmark run works; everything in it is gone afterwards."""

    folder: Path
    size: Size
    _stack: ExitStack = field(default_factory=ExitStack)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # ------------------------------------------------------------- folders

    def fresh(self, name: str = "work") -> Path:
        """A folder nobody used."""
        path = self.folder / f"{name}-{next(self._numbers)}"
        path.mkdir(parents=True)
        return path

    def settings(self, var: Path, **changes: str) -> Settings:
        environment = {
            "ANALYTICS_VAR_DIR": str(var),
            "ANALYTICS_TENANTS_FILE": str(PROJECT / "tenants.yaml"),
            "ML_GPU_ENABLED": "false",
            **changes,
        }
        return load_settings(environment, dotenv=None)

    def landed_settings(self) -> Settings:
        """Settings with an empty lake, before the simulated landing files."""
        var = self.fresh("var")
        (var / "landing").symlink_to(self.simulated / "landing")
        return self.settings(var)

    # ---------------------------------------------------------------- data

    @property
    def config(self) -> SimulationConfig:
        tenants = tuple(p for p in SAMPLE if p.id in FILE_TENANTS)
        return SimulationConfig(
            days=self.size.days, scale=self.size.scale, tenants=tenants, drift={}
        )

    @property
    def interval(self) -> Interval:
        return Interval.of(SAMPLE_START, SAMPLE_START + timedelta(days=self.size.days))

    @cached_property
    def simulated(self) -> Path:
        """The folder with `landing/` and `truth/` of the tenants that hand over files."""
        from analytics.simulate.run import simulate

        folder = self.fresh("simulated")
        simulate(self.config, folder / "landing", folder / "truth")
        return folder

    @cached_property
    def lake(self) -> Settings:
        """Settings whose lake holds the simulated tenants up to silver."""
        from analytics import gates
        from analytics.lake import bronze, silver

        settings = self.landed_settings()
        for tenant_id in FILE_TENANTS:
            bronze.extract(settings, tenant_id, self.interval, "bench")
            gates.bronze(settings, tenant_id, self.interval, "bench")
            silver.land(settings, tenant_id, self.interval, "bench")
        return settings

    # -------------------------------------------------------------- server

    @cached_property
    def postgres(self) -> Postgres:
        var = self.fresh("postgres")
        server = Postgres(var, free_port(), secret(var, "superuser"))
        self._stack.callback(shutil.rmtree, server.home(), ignore_errors=True)
        return self._stack.enter_context(server.running())

    @cached_property
    def warehouse(self) -> Settings:
        """The lake's settings, with a prepared warehouse behind them."""
        from analytics.warehouse import bootstrap, prepare

        dsn = bootstrap(self.postgres.dsn(), self.lake)
        settings = self.settings(self.lake.var, ANALYTICS_WAREHOUSE_DSN=dsn)
        prepare(settings)
        return settings

    @cached_property
    def loaded(self) -> Settings:
        """The warehouse with features built and every tenant loaded, before dbt."""
        from analytics import warehouse
        from spark_jobs.build import build

        for tenant_id in FILE_TENANTS:
            build(self.warehouse, tenant_id, self.interval, "bench")
            warehouse.load(self.warehouse, tenant_id, self.interval)
        return self.warehouse


@contextmanager
def place(size: Size) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="analytics-bench-"))
    folder.chmod(0o755)  # PostgreSQL may run under another account
    here = Place(folder, size)
    try:
        with here._stack:
            yield here
    finally:
        shutil.rmtree(folder, ignore_errors=True)
