"""Files with a declared mapping on their way to silver: rows a second, and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import yaml
from deltalake import write_deltalake

from analytics import gates
from analytics.gates import engine
from analytics.lake import bronze, silver
from analytics.lake.tables import TABLES
from analytics.settings import PROJECT, Settings
from bench import rows
from bench.figure import Figure, rate, seconds
from bench.place import Place

TENANT = "t1"
COLUMNS = [column for column in TABLES["plays"].columns if column != "tenant_id"]
Write = Callable[[pl.DataFrame, Path], object]
Read = Callable[[Path], pl.DataFrame]
FORMATS: dict[str, tuple[Write, Read]] = {
    "parquet": (pl.DataFrame.write_parquet, pl.read_parquet),
    "csv": (pl.DataFrame.write_csv, lambda path: pl.read_csv(path, try_parse_dates=True)),
    "jsonl": (pl.DataFrame.write_ndjson, pl.read_ndjson),
}
AIMS = {"parquet": 0.8, "csv": None, "jsonl": None}
TEXT_AIM = 400_000  # rows a second of CSV and JSON lines
MEMORY_AIM = 1.5  # GiB for MANY rows
MANY = 20  # times the rows of the place


def measure(place: Place) -> list[Figure]:
    """A file of each format → bronze → gate → silver, with the official gate's time apart."""
    engine.context()
    made = rows.plays(2 * place.size.rows, TENANT).select(COLUMNS)
    found = []
    for name, (write, read) in FORMATS.items():
        file = place.fresh("files") / f"plays.{name}"
        write(made, file)
        found += _of_format(place, name, file, made.height, read)
    return [*found, _memory(place)]


def _of_format(place: Place, name: str, file: Path, height: int, read: Read) -> list[Figure]:
    official = Official()
    worlds: list[Settings] = []

    def ingest() -> None:
        through(worlds[-1], place)

    with official.timed():
        whole = seconds(
            ingest, place.size.repeats, before=lambda: worlds.append(_world(place, file))
        )
    apart = whole - official.wall / place.size.repeats
    bare = seconds(lambda: _bare(place, file, read), place.size.repeats)
    what = f"{height:,} plays of one file → bronze → gate → silver"
    found = [
        rate(
            f"ingest_{name}", f"{name} file → silver", height, apart, bare,
            how=f"{what}; Great Expectations' own time apart",
            bare="Polars reads the file, delta-rs writes its rows twice",
            aim_ratio=AIMS[name], aim=None if AIMS[name] else TEXT_AIM,
        )
    ]  # fmt: skip
    if name == "parquet":
        cpu = official.cpu / place.size.repeats / height * 1e6
        found += [
            rate(
                "ingest_parquet_all", "parquet file → silver, gate included", height, whole, None,
                how=what, aim=1_000_000,
            ),
            Figure(
                "gate_cpu", "gate: CPU for a million plays", round(cpu, 2), "s",
                f"Great Expectations' own, the whole suites of both doors, on {height:,} plays",
                aim="≤ 1 s", met=cpu <= 1,
            ),
        ]  # fmt: skip
    return found


class Official:
    """Takes the time that Great Expectations itself needs."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        validate = engine.validate

        def watched(*args: object, **kwargs: object) -> object:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return validate(*args, **kwargs)  # type: ignore[arg-type]
            finally:
                self.wall += time.perf_counter() - wall
                self.cpu += time.process_time() - cpu

        engine.validate = watched  # type: ignore[assignment]
        try:
            yield
        finally:
            engine.validate = validate


def through(settings: Settings, place: Place) -> None:
    bronze.extract(settings, TENANT, place.interval, "bench")
    gates.bronze(settings, TENANT, place.interval, "bench")
    silver.land(settings, TENANT, place.interval, "bench")


def _world(place: Place, file: Path) -> Settings:
    """Settings with an empty lake and one tenant who drops this file."""
    var = place.fresh("var")
    source = {
        "name": "plays", "format": file.suffix[1:], "table": "plays", "path": str(file),
        "columns": {column: column for column in COLUMNS},
    }  # fmt: skip
    tenants = var / "tenants.yaml"
    entry = {"id": TENANT, "name": TENANT, "sources": [source]}
    tenants.write_text(yaml.safe_dump({"tenants": [entry]}))
    return place.settings(var, ANALYTICS_TENANTS_FILE=str(tenants))


def _bare(place: Place, file: Path, read: Read) -> None:
    out = place.fresh("bare")
    frame = read(file).with_columns(tenant_id=pl.lit(TENANT))
    write_deltalake(str(out / "one"), frame)
    write_deltalake(str(out / "two"), frame, partition_by=["tenant_id"])


ALONE = """
import json, resource, sys
from pathlib import Path
from bench.measures.files import through
from bench.place import Place, Size
from analytics.settings import load_settings
about = json.loads(sys.argv[1])
place = Place(Path(about["folder"]), Size(**about["size"]))
through(load_settings(about["environment"], dotenv=None), place)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def _memory(place: Place) -> Figure:
    """The peak of a process that takes a large file all the way."""
    height = MANY * place.size.rows
    file = place.fresh("files") / "plays.parquet"
    parts = [
        rows.plays(place.size.rows, TENANT, seed=number).select(
            pl.concat_str(pl.lit(f"{number}-"), "play_id").alias("play_id"),
            pl.all().exclude("play_id", "tenant_id"),
        ).lazy()
        for number in range(MANY)
    ]  # fmt: skip
    pl.concat(parts).select(COLUMNS).sink_parquet(file)
    del parts
    settings = _world(place, file)
    about = {
        "folder": str(place.folder),
        "size": place.size.__dict__,
        "environment": {
            "ANALYTICS_VAR_DIR": str(settings.var),
            "ANALYTICS_TENANTS_FILE": str(settings.analytics_tenants_file),
        },
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE, json.dumps(about)],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak = float(done.stdout.split()[-1])
    return Figure(
        "ingest_memory", "memory for a large file", round(peak, 2), "GiB",
        f"peak of one process that takes {height:,} plays of a Parquet file to silver",
        aim=f"≤ {MEMORY_AIM} GiB", met=peak <= MEMORY_AIM,
    )  # fmt: skip
