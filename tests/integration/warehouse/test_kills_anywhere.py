"""A chain killed at any moment and run again ends like one that nobody harmed, to the last row."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from analytics import warehouse as wh
from analytics.interval import Interval
from analytics.lake import ledger, quarantine, read
from analytics.settings import PROJECT, Settings, load_settings
from tests.landing import NOON_MS, a_line, a_tenant, drop

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000
DAYS = {"before": ("2025-01-05", "2025-01-06"), "killed": ("2025-01-06", "2025-01-07")}
SEED = 20250106
POINTS, FEW = 100, 10


class Nursery:
    """The process that forks the chains."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.warehouse.victim"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
        )  # fmt: skip
        assert self._answer() == "ready"

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def chain(self, world: World, tenant_id: str, day: str, run: str, point: Any = None) -> dict:
        task = {
            "settings": world.environment, "tenant": tenant_id, "days": DAYS[day], "run": run,
            "point": point,
        }  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@dataclass
class World:
    """A lake of its own, and the module's warehouse as it was after the day before."""

    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment, dotenv=None)

    def outcome(self) -> tuple:
        lines = (
            ledger.read(self.settings)
            .drop("ingest_run")
            .sort("tenant_id", "interval_from", "table")
        )
        held = quarantine.scan(self.settings).select("tenant_id", "rule", "file", "row_number")
        return (
            read.content_hash(self.settings), wh.content_hash(self.settings), lines.rows(),
            sorted(held.collect().rows()),
        )  # fmt: skip


def lines_of(day: int, plays: int) -> list[dict | str]:
    """Plays of some listeners, one twice, one late, some bad."""
    noon = NOON_MS + (day - 6) * DAY_MS
    found: list[dict | str] = [
        a_line(ts=noon + n * 1000, userId=str(n % 7), sessionId=n % 11, itemInSession=n)
        for n in range(plays)
    ]
    found += [found[3], a_line(page="Home", ts=noon, itemInSession=5000)]
    found += [a_line(listenedMs=-5, ts=noon, itemInSession=5001), a_line(ts="never"), '{"cut": ']
    return found


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as found:
        yield found


@pytest.fixture(scope="module")
def day_before(
    module_warehouse: Settings, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> World:
    """The lake after a first day of two tenants who share ids, and the next day's files."""
    folder = tmp_path_factory.mktemp("day-before")
    tenants = [{**a_tenant(t), "bad_row_budget": 0.1} for t in ("t1", "t2")]
    (folder / "tenants.yaml").write_text(yaml.safe_dump({"tenants": tenants}))
    dsn = module_warehouse.analytics_warehouse_dsn
    assert dsn is not None
    (folder / "var").mkdir()
    (folder / "var" / "secrets").symlink_to(module_warehouse.secrets.resolve())
    world = World(
        {
            "ANALYTICS_VAR_DIR": str(folder / "var"),
            "ANALYTICS_TENANTS_FILE": str(folder / "tenants.yaml"),
            "ANALYTICS_WAREHOUSE_DSN": dsn.get_secret_value(),
        }
    )
    for tenant_id in ("t1", "t2"):
        drop(world.settings, tenant_id, "2025-01-05", *lines_of(5, 60))
        corrected = a_line(
            ts=NOON_MS - DAY_MS, userId="0", sessionId=0, itemInSession=0, song="New"
        )
        drop(world.settings, tenant_id, "2025-01-06", *lines_of(6, 200), corrected)
        assert nursery.chain(world, tenant_id, "before", "run-0")["status"] == 0
    return world


def again(day_before: World, folder: Path) -> World:
    """A copy of that world; the warehouse is put back to that day."""
    var = folder / "var"
    shutil.copytree(day_before.environment["ANALYTICS_VAR_DIR"], var, symlinks=True)
    world = World({**day_before.environment, "ANALYTICS_VAR_DIR": str(var)})
    with wh.connect(world.settings) as connection:
        tables = (
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'raw'"
        )
        parents = [t for (t,) in connection.execute(tables).fetchall()]
        connection.execute(f"truncate {', '.join(parents)}")

    for tenant_id in ("t1", "t2"):
        wh.load(world.settings, tenant_id, Interval.of(*DAYS["before"]))
    return world


@pytest.fixture(scope="module")
def unharmed(
    day_before: World, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple, list[tuple[float, str]]]:
    """How an undisturbed run ends, and when it did what."""
    world = again(day_before, tmp_path_factory.mktemp("unharmed"))
    told = nursery.chain(world, "t1", "killed", "run-1")
    assert told["status"] == 0
    return world.outcome(), told["events"]


def point(number: int, events: list[tuple[float, str]]) -> dict[str, Any]:
    """The number-th point to be killed at: any moment, within a commit, or within a COPY."""
    draw = Random(SEED + number)
    kind = ("moment", "commit", "moment", "copy")[number % 4]
    if kind == "moment":
        return {"after": draw.uniform(0, events[-1][0])}
    began = [(at, what) for at, what in events if what.startswith(f"{kind} ")]
    at, what = draw.choice(began)
    ended = next(when for when, event in events if event == f"after {what}")
    return {"at": what, "plus": draw.uniform(0, ended - at)}


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[] if n < FEW else [pytest.mark.long]) for n in range(POINTS)]
)
def test_a_chain_killed_anywhere_and_run_again_ends_like_an_unharmed_one(
    day_before: World, unharmed: tuple, nursery: Nursery, tmp_path: Path, number: int
) -> None:
    whole, events = unharmed
    world = again(day_before, tmp_path)
    death = nursery.chain(world, "t1", "killed", "run-1", point(number, events))
    assert death["status"] in (-signal.SIGKILL, 0)  # 0: it was quicker this time
    print(f"point {number}: {death['events'][-1:]}")  # shown by `pytest -rP`

    assert nursery.chain(world, "t1", "killed", "run-2")["status"] == 0
    assert world.outcome() == whole


@pytest.mark.parametrize("second", ["t1", pytest.param("t2", marks=pytest.mark.long)])
def test_two_chains_at_once_end_like_one_after_the_other_and_a_reader_sees_whole_days(
    day_before: World, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory, second: str
) -> None:
    after = again(day_before, tmp_path_factory.mktemp("after"))
    for tenant_id in dict.fromkeys(["t1", second]):
        assert nursery.chain(after, tenant_id, "killed", "run-1")["status"] == 0
    expected, whole = after.outcome(), seen(after)

    world = again(day_before, tmp_path_factory.mktemp("at-once"))
    before = seen(world)
    with Nursery() as other, ThreadPoolExecutor() as threads:
        chains = [
            threads.submit(nursery.chain, world, "t1", "killed", "run-1"),
            threads.submit(other.chain, world, second, "killed", "run-2"),
        ]
        states = [before]
        while not all(chain.done() for chain in chains):
            states.append(seen(world))
    statuses = [chain.result()["status"] for chain in chains]

    assert statuses == [0, 0]
    assert world.outcome() == expected
    assert len(states) > 10
    for number in range(len(before)):
        assert {state[number] for state in states} <= {before[number], whole[number]}


def seen(world: World) -> tuple[int, ...]:
    """How many plays a reader finds of each tenant, in the lake and in the warehouse."""
    lake = [read.scan(world.settings, "plays", t).select("play_id").collect() for t in ("t1", "t2")]
    with wh.connect(world.settings) as connection:
        query = "select count(*) from raw.plays where tenant_id = %s"
        loaded = [connection.execute(query, [t]).fetchone() for t in ("t1", "t2")]
    return (*(rows.height for rows in lake), *(count for (count,) in loaded if count is not None))
