"""Input made to hurt: what is refused, what still arrives, and how much memory it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from analytics import gates
from analytics.errors import SettingsError, SourceError
from analytics.lake import bronze, quarantine, read
from analytics.sources.sniff import sniff
from tests.fresh import fresh
from tests.landing import BOTH_DAYS, DAY_ONE, a_line, a_tenant, drop, land_staged, run, stage
from tests.unit.sources.samples import DECLARED, PAID, Sample, taken

PROJECT = Path(__file__).parents[3]
MIB = 1 << 20


@pytest.fixture
def settings(make_settings):
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant in ("t1", "t2"):
        drop(settings, tenant, "2025-01-06", a_line())
    return settings


# --------------------------------------------------------------------- links


def test_a_link_out_of_the_landing_folder_is_not_followed_and_the_rest_arrives(settings, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_text(json.dumps(a_line(userId="secret")) + "\n")
    folder = settings.landing / "t1" / "events"
    (folder / "2025-01-07.jsonl").symlink_to(secret)
    message = r"^t1: source events: t1/events/2025-01-07.jsonl is a link that leads out .*app team"
    with pytest.raises(SourceError, match=message):
        bronze.extract(settings, "t1", BOTH_DAYS, "run")
    assert stage(settings, "t1", BOTH_DAYS)["plays"]["listener_id"].to_list() == ["1"]
    assert run(settings, "t2", DAY_ONE, "run").rows["plays"]["landed"] == 1


def test_a_link_within_the_folder_and_one_that_the_declaration_names_are_followed(
    make_settings, tmp_path
):
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    (elsewhere / "today.jsonl").write_text(json.dumps(a_line()) + "\n")
    (tmp_path / "current.jsonl").symlink_to(elsewhere / "today.jsonl")
    named = {"name": "events", "format": "eventsim", "path": str(tmp_path / "current.jsonl")}
    settings = make_settings([a_tenant("t1", named), a_tenant("t2")])
    real = drop(settings, "t2", "2025-01-06", a_line())
    (real.parent / "2025-01-07.jsonl").symlink_to(real)
    assert run(settings, "t1", DAY_ONE, "run").rows["plays"]["landed"] == 1
    assert run(settings, "t2", BOTH_DAYS, "run").rows["plays"]["rows_in"] == 2


def test_a_link_out_of_a_folder_of_exports_is_named_as_unknown(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "events.jsonl").write_text(json.dumps(a_line()) + "\n")
    (tmp_path / "given" / "more.jsonl").symlink_to(PROJECT / "README.md")
    found = sniff(tmp_path / "given")
    assert [s.name for s in found.sources] == ["events"]
    assert found.unknown == ("more.jsonl (a link out of the folder)",)


# -------------------------------------------------------------------- shapes


@pytest.mark.parametrize("columns", [1_000, 100_000])
def test_a_csv_of_very_many_columns_gives_the_declared_ones_or_is_refused(
    make_settings, tmp_path, columns
):
    more = "," + ",".join(f"column_{n}" for n in range(columns))
    header = ",".join(PAID[0]) + more
    row = ",".join(str(v) for v in PAID[0].values()) + "," * columns
    sample = Sample("csv", "payments.csv", b"", 1, DECLARED)
    found = taken(make_settings(), sample, f"{header}\n{row}\n".encode(), tmp_path)
    if columns > 10_000:
        assert isinstance(found, SourceError)
        assert "its header is longer than" in str(found)
    else:
        assert not isinstance(found, SourceError)
        assert [b.rows["invoice"].to_list() for b in found] == [["1"]]


def test_a_line_of_a_million_fields_gives_the_known_ones(settings):
    wide = json.dumps({**a_line(itemInSession=5), **{f"x{n}": n for n in range(1_000_000)}})
    drop(settings, "t1", "2025-01-06", a_line(), wide)
    for tenant, landed in (("t1", 2), ("t2", 1)):
        assert run(settings, tenant, DAY_ONE, "run").rows["plays"]["landed"] == landed


@pytest.mark.parametrize("name", ['a"; drop table plays; --', "select", "row", "é"])
def test_columns_named_like_sql_are_only_names(make_settings, tmp_path, name):
    rows = pl.DataFrame(PAID).rename({"invoice": name})
    columns = {**DECLARED["columns"], "payment_id": name}
    for format_, write in (("csv", rows.write_csv), ("parquet", rows.write_parquet)):
        file = tmp_path / f"given.{format_}"
        write(file)
        source = {
            "name": "payments", "format": format_, "table": "payments", "path": str(file),
            "columns": columns,
        }  # fmt: skip
        settings = make_settings([a_tenant("t1", source), a_tenant("t2", source)])
        for tenant in ("t1", "t2"):
            run(settings, tenant, DAY_ONE, f"run-{format_}")
            paid = read.scan(settings, "payments", tenant).collect()
            assert sorted(paid["payment_id"]) == ["1", "2"]
            assert set(paid["tenant_id"]) == {tenant}


@pytest.mark.parametrize("name", ["tenant_id", "_row", "_file"])
def test_columns_named_like_ours_are_refused_where_they_are_declared(make_settings, name):
    source = {
        "name": "payments", "format": "csv", "table": "payments", "path": "/data/*.csv",
        "columns": {**DECLARED["columns"], "payment_id": name},
    }  # fmt: skip
    settings = make_settings([a_tenant("t1", source), a_tenant("t2")])
    with pytest.raises(SettingsError, match=f"bronze has a column {name} of its own"):
        run(settings, "t1", DAY_ONE, "run")


# -------------------------------------------------------------------- values


NO_CLOCK = {
    -1: "started_at_not_before_2000", 0: "started_at_not_before_2000",
    -(2**62): "started_at_not_before_2000", 2**62: "started_at_not_after_interval",
    18_448_480_873_709_551: "started_at_not_after_interval",  # would overflow into 2025
    4_102_444_800_000: "started_at_not_after_interval", 1.5: "type:ts", 1e300: "type:ts",
    "Infinity": "type:ts", "NaN": "type:ts", "noon": "type:ts", True: "type:ts",
}  # fmt: skip


def test_times_no_clock_shows_are_set_aside_with_their_rule_and_lose_nobody(settings):
    lines = [a_line(itemInSession=5000 + n, ts=ts) for n, ts in enumerate(NO_CLOCK)]
    lines += [a_line(itemInSession=n) for n in range(1500)]
    drop(settings, "t1", "2025-01-06", *lines)
    bronze.extract(settings, "t1", DAY_ONE, "run")
    gates.bronze(settings, "t1", DAY_ONE, "run")
    landed = land_staged(settings, "t1", DAY_ONE, "run").rows
    counts = [landed["plays"][c] for c in ("rows_in", "landed", "quarantined")]
    assert counts == [1500 + len(NO_CLOCK), 1500, len(NO_CLOCK)]
    assert landed["listeners"]["landed"] == 1, "a broken clock took the listener with it"
    bad = quarantine.scan(settings, "t1").filter(pl.col("table") == "plays").collect()
    assert dict(bad.select("row_number", "rule").iter_rows()) == dict(enumerate(NO_CLOCK.values()))


# -------------------------------------------------------------------- memory

READ = """
import resource, sys
from pathlib import Path
from analytics.settings import load_settings
from tests.unit.sources.samples import SAMPLES, declared
from analytics.sources import reader
from analytics.sources.base import Unit
folder = Path(sys.argv[1])
sample = next(s for s in SAMPLES if s.format == sys.argv[2])
tenant, source = declared(sample, "t1", folder)
settings = load_settings({"ANALYTICS_VAR_DIR": str(folder / "var")}, dotenv=None)
unit = Unit(sample.name, "0" * 64, None, str(folder / sample.name))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = bad = 0
for batch in reader(sample.format).read(settings, tenant, source, unit):
    rows, bad = rows + batch.rows.height, bad + batch.rejects.height
print(rows, bad, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("mebibytes", [200, pytest.param(1100, marks=pytest.mark.long)])
def test_a_line_that_never_ends_is_set_aside_in_bounded_memory(tmp_path, mebibytes):
    with (tmp_path / "2025-01-06.jsonl").open("wb") as file:
        file.write(json.dumps(a_line()).encode() + b'\n{"page": "')
        for _ in range(mebibytes):
            file.write(b"x" * MIB)
        file.write(b'"}\n' + json.dumps(a_line(itemInSession=1)).encode() + b"\n")
    done = subprocess.run(
        fresh(sys.executable, "-c", READ, str(tmp_path), "eventsim"),
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    rows, bad, grown = map(int, done.stdout.split())
    assert (rows, bad) == (2, 1)
    assert grown < 400, "MiB"
