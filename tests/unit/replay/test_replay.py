"""After damage, a run, a fix and a replay, silver is what a clean run makes of sound data.

Compared is every silver table of every tenant, by content hash: rows, times of states and days
of arrival, less the run stamps. Quarantine and ledger differ, and should: they keep what was
set aside and how the damaged run counted it. Bronze is equal where the fix was in the
declaration or in the file, and keeps what came where it was written beside the data.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable

from analytics import gates
from analytics.errors import GateFailed, LakeError, SettingsError, SourceError
from analytics.interval import Interval
from analytics.lake import bronze, delta, fixes, ledger, paths, quarantine, read, silver
from analytics.lake.candidates import candidates
from analytics.lake.quarantine import Which
from analytics.replay import Replayed, plan, replay
from analytics.settings import Settings, load_settings
from analytics.tenants import get_tenant
from tests.landing import (
    BOTH_DAYS,
    DAY_ONE,
    DAY_TWO,
    NOON_MS,
    a_line,
    drop,
    drop_text,
)

DAYS = (DAY_ONE, DAY_TWO)
TENANTS = ("t1", "t2")
PAYMENTS = {
    "name": "payments", "format": "csv", "table": "payments",
    "columns": {"payment_id": "invoice", "listener_id": "user", "paid_at": "at",
                "amount_minor": "amount", "currency": "currency", "kind": "type"},
}  # fmt: skip
EVENTS = {"name": "events", "format": "eventsim"}
# Without a key: a row's identity is the hash of all that was declared of it.
TOUCHPOINTS = {
    "name": "touchpoints", "format": "csv", "table": "touchpoints",
    "columns": {"listener_id": "user", "occurred_at": "at", "channel": "medium"},
}  # fmt: skip
HEAD = "invoice,user,at,amount,currency,type\n"


def world(folder: Path, *sources: dict[str, Any], budget: float = 1.0) -> Settings:
    """Settings of a place of its own where both tenants have these sources."""
    folder.mkdir(exist_ok=True)
    settings = _of(folder)
    declare(settings, *sources, budget=budget)
    return settings


def copied(settings: Settings, folder: Path) -> Settings:
    """The same place once more; to run it costs more than to copy it."""
    shutil.copytree(settings.analytics_tenants_file.parent, folder)
    return _of(folder)


def _of(folder: Path) -> Settings:
    environment = {
        "ANALYTICS_VAR_DIR": str(folder / "var"),
        "ANALYTICS_TENANTS_FILE": str(folder / "tenants.yaml"),
    }
    return load_settings(environment, dotenv=None)


def declare(settings: Settings, *sources: dict[str, Any], budget: float = 1.0) -> None:
    tenants = [
        {"id": t, "name": t, "bad_row_budget": budget,
         "sources": [{**s, "path": f"{{landing}}/{t}/{s['name']}/{{date}}"
                      f"{'.jsonl' if s is EVENTS else '.csv'}"} for s in sources]}
        for t in TENANTS
    ]  # fmt: skip
    settings.analytics_tenants_file.write_text(yaml.safe_dump({"tenants": tenants}))


def run(settings: Settings, run_id: str = "run", days: tuple[Interval, ...] = DAYS) -> None:
    """The days in order, for both tenants, through the gate."""
    for day in days:
        for tenant_id in TENANTS:
            bronze.extract(settings, tenant_id, day, run_id)
            gates.bronze(settings, tenant_id, day, run_id)
            silver.land(settings, tenant_id, day, run_id)


def layer(settings: Settings, name: str = "silver") -> dict[tuple[str, str], str]:
    hashes = read.content_hash(settings)
    return {key: found for key, found in hashes.items() if key[0].startswith(f"{name}/")}


def replayed(settings: Settings, tenant_id: str = "t1", **rest: Any) -> list[Replayed]:
    which = rest.pop("which", Which(tenant_id))
    return replay(settings, tenant_id, which, rest.pop("run_id", "replay-1"), **rest)


def still_open(settings: Settings, tenant_id: str = "t1") -> pl.DataFrame:
    rows = quarantine.scan(settings, tenant_id).collect()
    return rows.filter(~pl.col("is_resolved"))


def versions(settings: Settings) -> dict[str, int]:
    root = Path(settings.lake_root)
    logs = (p.parent for p in root.rglob("_delta_log"))
    return {str(p.relative_to(root)): DeltaTable(str(p)).version() for p in logs}


def payments(settings: Settings, one: str, two: str = "p3,1,2025-01-07T09:00:00Z,300,EUR,charge\n",
             tenants: tuple[str, ...] = TENANTS) -> None:  # fmt: skip
    for tenant_id in tenants:
        drop_text(settings, f"{tenant_id}/payments/2025-01-06.csv", HEAD + one)
        drop_text(settings, f"{tenant_id}/payments/2025-01-07.csv", HEAD + two)


SOUND = "p1,1,2025-01-06T09:00:00Z,999,EUR,charge\np2,2,2025-01-06T10:00:00Z,1999,EUR,refund\n"
MAJOR = "p1,1,2025-01-06T09:00:00Z,9.99,EUR,charge\np2,2,2025-01-06T10:00:00Z,19.99,EUR,refund\n"
EPOCH = "p1,1,1736154000,999,EUR,charge\np2,2,1736157600,1999,EUR,refund\n"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """Silver after a clean run of sound payments; bronze as well."""
    settings = world(tmp_path_factory.mktemp("sound"), PAYMENTS)
    payments(settings, SOUND)
    run(settings)
    return layer(settings) | layer(settings, "bronze")


@pytest.fixture(scope="module")
def whole_logs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """Silver after a clean run of event logs that nothing is cut off."""
    settings = world(tmp_path_factory.mktemp("whole"), EVENTS)
    logs(settings, sound=True)
    run(settings)
    return layer(settings)


@pytest.fixture(scope="module")
def cut_before(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The place after a run of event logs of which t1's first day is cut."""
    settings = world(tmp_path_factory.mktemp("cut") / "w", EVENTS)
    logs(settings, sound=False)
    run(settings)
    return settings


@pytest.fixture
def cut_logs(cut_before: Settings, tmp_path: Path) -> Settings:
    """A place of one's own after that run."""
    return copied(cut_before, tmp_path / "w")


def of_silver(hashes: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    return {key: found for key, found in hashes.items() if key[0].startswith("silver/")}


# ---------------------------------------------------------- the fix is in the declaration


@pytest.mark.parametrize(
    ("wrong", "door"),
    [
        pytest.param({"columns": {**PAYMENTS["columns"], "kind": "currency", "currency": "type"}},
                     "bronze", id="two columns swapped"),
        pytest.param({"columns": {**PAYMENTS["columns"], "currency": "user"}},
                     "bronze", id="a column nobody read", marks=pytest.mark.long),
        pytest.param({"units": {"paid_at": "epoch_s"}}, "extract", id="a clock"),
    ],
)  # fmt: skip
def test_a_corrected_declaration_gives_what_a_clean_run_gives(
    tmp_path: Path, sound: dict[tuple[str, str], str], wrong: dict[str, Any], door: str
) -> None:
    settings = world(tmp_path / "w", {**PAYMENTS, **wrong})
    payments(settings, SOUND)
    run(settings)
    before = quarantine.scan(settings).collect()
    assert {*before["door"]} == {door}
    assert layer(settings) != of_silver(sound)

    declare(settings, PAYMENTS)
    for tenant_id in TENANTS:
        bad = still_open(settings, tenant_id).height
        assert sum(one.resolved for one in replayed(settings, tenant_id)) == bad > 0
        assert still_open(settings, tenant_id).is_empty()

    assert layer(settings) | layer(settings, "bronze") == sound
    held = quarantine.scan(settings).collect()
    assert held.height == before.height, "nothing is taken out"
    assert {*held["run_id"]} == {"replay-1"}
    assert held["fix"].null_count() == held.height


def test_a_unit_corrected_for_values_that_could_not_be_typed(
    tmp_path: Path, sound: dict[tuple[str, str], str]
) -> None:
    major = {**PAYMENTS, "units": {"amount_minor": "major"}}
    settings = world(tmp_path / "w", PAYMENTS)
    payments(settings, MAJOR, "p3,1,2025-01-07T09:00:00Z,3.00,EUR,charge\n")
    run(settings)
    assert still_open(settings)["rule"].to_list() == ["type:amount"] * 2  # 3.00 is whole

    declare(settings, major)
    for tenant_id in TENANTS:
        replayed(settings, tenant_id)
    assert still_open(settings).is_empty()
    assert layer(settings, "bronze_rejects") == {}
    # What the wrong unit let through was in no quarantine: its day is run again.
    run(settings, "again", (DAY_TWO,))
    assert layer(settings) == of_silver(sound)


def test_a_source_declared_otherwise_is_read_anew_whole_by_any_run(tmp_path: Path) -> None:
    """Bronze never holds rows of two declarations; of a file that is gone stays what fits."""
    settings = world(tmp_path / "w", PAYMENTS)
    payments(settings, SOUND)
    run(settings)
    uri = paths.bronze(settings, "t1", "payments")
    before = delta.version(uri)
    (settings.landing / "t1/payments/2025-01-07.csv").unlink()

    texts = {**PAYMENTS, "columns": {**PAYMENTS["columns"], "plan": "type"}, "units":
             {"amount_minor": "major"}}  # fmt: skip
    declare(settings, texts)
    extracted = bronze.extract(settings, "t1", DAY_ONE, "again")
    assert delta.version(uri) == before + 1, "one commit"
    found = pl.read_delta(uri).sort("invoice")
    assert found.schema["amount"] == pl.Float64
    assert found["invoice"].to_list() == ["p1", "p2", "p3"]
    assert found["amount"].to_list() == [999.0, 1999.0, 300.0]
    assert extracted.units_read == 1  # of two; one file is gone
    assert bronze.extract(settings, "t1", DAY_ONE, "more").units_read == 0


def test_rows_of_another_declaration_are_never_judged(tmp_path: Path) -> None:
    settings = world(tmp_path / "w", PAYMENTS)
    payments(settings, SOUND)
    run(settings)
    declare(settings, {**PAYMENTS, "units": {"amount_minor": "major"}})
    with pytest.raises(SourceError, match="t1: source payments was read as it was declared before"):
        candidates(settings, "t1", DAY_ONE)


# --------------------------------------------------------------- the fix is in the file


def logs(settings: Settings, *, sound: bool) -> None:
    """Day one's first lines are cut, or whole; day two repeats one of them and goes on."""
    later = NOON_MS + 3_600_000
    next_day = NOON_MS + 86_400_000
    first = a_line(ts=NOON_MS - 3_600_000)
    other = a_line(userId="2", ts=NOON_MS - 1_800_000, itemInSession=4, country="SE")
    for tenant_id in TENANTS:
        lines = [json.dumps(first), json.dumps(other)]
        if not sound and tenant_id == "t1":
            lines = [line[:-20] for line in lines]
        drop(settings, tenant_id, "2025-01-06", *lines, a_line(ts=later, itemInSession=2))
        drop(
            settings, tenant_id, "2025-01-07", other,
            a_line(ts=next_day, itemInSession=3), a_line(userId="2", ts=next_day, sessionId=9),
        )  # fmt: skip


def test_rows_that_come_late_are_settled_as_if_they_had_come_in_time(
    cut_logs: Settings, whole_logs: dict[tuple[str, str], str]
) -> None:
    """Silver dated a listener from the second mention, and a play from the day of its copy."""
    settings = cut_logs
    before = layer(settings)
    assert {key for key, found in whole_logs.items() if found != before[key]} == {
        ("silver/listeners", "t1"), ("silver/plays", "t1"),
    }  # fmt: skip

    logs(settings, sound=True)
    (done,) = replayed(settings)
    assert done.resolved == 2
    assert done.touched == DAY_ONE
    assert layer(settings) == whole_logs
    for table in ("plays", "listeners"):
        balanced(settings, "t1", table)


@pytest.mark.long
def test_an_ordinary_run_would_not_settle_them_so_and_a_replay_after_it_does(
    cut_logs: Settings, whole_logs: dict[tuple[str, str], str]
) -> None:
    settings = cut_logs
    logs(settings, sound=True)
    run(settings, "again", (DAY_ONE,))
    assert layer(settings)["silver/plays", "t1"] != whole_logs["silver/plays", "t1"]
    replayed(settings)  # the rows are open still
    assert layer(settings) == whole_logs


@pytest.mark.long
def test_a_replay_of_a_range_gives_what_a_clean_range_gives(tmp_path: Path) -> None:
    damaged, clean = (world(tmp_path / name, EVENTS) for name in ("damaged", "clean"))
    logs(damaged, sound=False)
    logs(clean, sound=True)
    for settings in (damaged, clean):
        run(settings, days=(BOTH_DAYS,))
    logs(damaged, sound=True)
    replayed(damaged)
    assert layer(damaged) == layer(clean)


# ------------------------------------------------------------ the fix is beside the data

FIXES = [
    pytest.param("values: {currency: {'€': EUR, '': EUR}}",
                 SOUND.replace("999,EUR", "999,€").replace("1999,EUR", "1999,"), id="values"),
    pytest.param("constants: {currency: EUR}", SOUND.replace("EUR", "eur"), id="constants",
                 marks=pytest.mark.long),
    pytest.param("units: {amount_minor: major}", MAJOR, id="units", marks=pytest.mark.long),
    pytest.param("units: {paid_at: epoch_s}", EPOCH, id="clock", marks=pytest.mark.long),
    pytest.param("columns: {kind: currency, currency: type}",
                 SOUND.replace("EUR,charge", "charge,EUR").replace("EUR,refund", "refund,EUR"),
                 id="columns"),
    pytest.param("values: {amount: {'nine ninety-nine': 999}}",
                 SOUND.replace("999,EUR,charge", "nine ninety-nine,EUR,charge"), id="their name",
                 marks=pytest.mark.long),
]  # fmt: skip


def a_fix(settings: Settings, text: str, tenant_id: str = "t1") -> dict[str, fixes.Fix]:
    path = settings.analytics_tenants_file.with_name("fix.yaml")
    path.write_text(text)
    return fixes.read(path, get_tenant(settings, tenant_id))


@pytest.mark.parametrize(("fix", "came"), FIXES)
def test_a_fix_for_damaged_rows_gives_what_sound_data_gives(
    tmp_path: Path, sound: dict[tuple[str, str], str], fix: str, came: str
) -> None:
    damaged = world(tmp_path / "w", PAYMENTS)
    payments(damaged, came, tenants=("t1",))
    payments(damaged, SOUND, tenants=("t2",))
    run(damaged)
    assert layer(damaged) != of_silver(sound)
    bad = still_open(damaged).n_unique(quarantine.SOURCE_ROW)
    others = layer(damaged, "bronze")

    given = a_fix(damaged, f"payments: {{{fix}}}")
    (planned,) = plan(damaged, "t1", Which("t1"), given)
    assert planned.look
    assert len(planned.look.passing) == planned.job.chosen
    assert layer(damaged) != of_silver(sound), "a plan changes nothing"
    assert quarantine.scan(damaged).collect()["fix"].null_count() > 0

    (done,) = replayed(damaged, given=given)
    assert layer(damaged) == of_silver(sound)
    assert layer(damaged, "bronze") == others, "bronze keeps what came"
    held = quarantine.scan(damaged, "t1").collect()
    assert held["is_resolved"].all()
    assert {*held["fix"]} == {given["payments"].text}
    counts = done.rows["payments"]
    assert (counts["landed"], counts["quarantined"], counts["rows_in"]) == (bad, 0, 2)
    balanced(damaged, "t1", "payments")
    assert quarantine.scan(damaged, "t2").collect().is_empty()


def test_a_fix_holds_in_every_later_run_and_after_turning_back(
    tmp_path: Path, sound: dict[tuple[str, str], str]
) -> None:
    damaged = world(tmp_path / "w", PAYMENTS)
    payments(damaged, SOUND.replace("999,EUR,charge", "999,€,charge"))
    run(damaged)
    given = a_fix(damaged, 'payments: {values: {currency: {"€": EUR}}}')
    for tenant_id in TENANTS:
        replayed(damaged, tenant_id, given=given)
    assert layer(damaged) == of_silver(sound)

    hashes, at = read.content_hash(damaged), versions(damaged)
    run(damaged, "again")
    assert read.content_hash(damaged) == hashes
    assert versions(damaged) == at, "a second run commits nothing"
    DeltaTable(paths.table(damaged, "silver", "payments")).delete()
    for day in DAYS:
        for tenant_id in TENANTS:
            gates.bronze(damaged, tenant_id, day, "once more")
            silver.land(damaged, tenant_id, day, "once more")
    assert layer(damaged) == of_silver(sound)


def test_a_row_without_a_key_gets_the_one_that_sound_data_gives(tmp_path: Path) -> None:
    damaged, clean = (world(tmp_path / name, TOUCHPOINTS) for name in ("damaged", "clean"))
    for settings, at in ((damaged, "yesterday"), (clean, "2025-01-06T09:00:00Z")):
        for tenant_id in TENANTS:
            text = f"user,at,medium\n1,{at},search\n1,2025-01-06T11:00:00Z,social\n"
            drop_text(settings, f"{tenant_id}/touchpoints/2025-01-06.csv", text)
            drop_text(settings, f"{tenant_id}/touchpoints/2025-01-07.csv", "user,at,medium\n")
        run(settings)
    fix = a_fix(damaged, "touchpoints: {values: {at: {yesterday: 2025-01-06T09:00:00Z}}}")
    for tenant_id in TENANTS:
        replayed(damaged, tenant_id, given=fix)
    assert layer(damaged) == layer(clean)


@pytest.mark.long
def test_a_fix_of_an_event_log_mends_all_that_its_line_feeds(tmp_path: Path) -> None:
    damaged, clean = (world(tmp_path / name, EVENTS) for name in ("damaged", "clean"))
    for settings, ts in ((damaged, "noon"), (clean, NOON_MS)):
        for tenant_id in TENANTS:
            submit = a_line(userId="5", page="Submit Registration", ts=ts, country="FR")
            drop(settings, tenant_id, "2025-01-06", a_line(), submit, '{"cut')
            drop(settings, tenant_id, "2025-01-07", a_line(userId="5", ts=NOON_MS + 86_400_000))
        run(settings)
    fix = a_fix(damaged, f"events: {{values: {{ts: {{noon: {NOON_MS}}}}}}}")
    for tenant_id in TENANTS:
        (done,) = replayed(damaged, tenant_id, given=fix)
        assert (done.resolved, done.look and done.look.bad) == (1, 1), "broken text stays"
    assert layer(damaged) == layer(clean)
    assert still_open(damaged)["rule"].to_list() == ["row_parses"]


@pytest.mark.long
def test_a_row_too_long_to_be_kept_whole_stays_in_quarantine(tmp_path: Path) -> None:
    settings = world(tmp_path / "w", EVENTS)
    for tenant_id in TENANTS:
        drop(settings, tenant_id, "2025-01-06", a_line(), a_line(ts="x", song="y" * 5000))
        drop(settings, tenant_id, "2025-01-07", a_line(ts=NOON_MS + 86_400_000, itemInSession=2))
    run(settings)
    fix = a_fix(settings, f"events: {{constants: {{ts: {NOON_MS}}}}}")
    (done,) = replayed(settings, given=fix)
    assert (done.resolved, done.look and done.look.bad) == (0, 1)
    assert read.scan(settings, "plays", "t1").collect().height == 2


@pytest.mark.long
def test_a_fix_that_does_not_help_is_said_and_another_one_does(
    tmp_path: Path, sound: dict[tuple[str, str], str]
) -> None:
    damaged = world(tmp_path / "w", PAYMENTS)
    payments(damaged, SOUND.replace("999,EUR,charge", "999,€,charge"))
    run(damaged)
    for wrong in ("eur", "Euro"):
        fix = a_fix(damaged, f'payments: {{values: {{currency: {{"€": {wrong}}}}}}}')
        (done,) = replayed(damaged, given=fix)
        assert (done.resolved, done.look and done.look.bad) == (0, done.job.chosen)
    for tenant_id in TENANTS:
        fix = a_fix(damaged, 'payments: {values: {currency: {"€": EUR}}}')
        replayed(damaged, tenant_id, given=fix)
        assert still_open(damaged, tenant_id).is_empty()
    assert layer(damaged) == of_silver(sound)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("payments: {value: {a: {b: c}}}", "source payments: value: Extra inputs"),
        ("payments: {values: {colour: {b: c}}}", "values: csv has no column 'colour'"),
        ("payments: {columns: {currency: land}}", "columns: land is in no row that bronze holds"),
        ("payments: {units: {paid_at: weeks}}", "units: paid_at cannot be in 'weeks'"),
        ("payments: {constants: {colour: red}}", "constants: payments has no column colour"),
        ("payments: {constants: {plan: free}, columns: {plan: type}}", None),
        ("events: {units: {ts: epoch_s}}", "units: format eventsim has no mapping"),
        ("events: {constants: {colour: red}}", "constants: eventsim has no column 'colour'"),
        ("nobody: {constants: {a: b}}", "source nobody: t1 has none of that name; events, pay"),
        ("- payments", "must map sources to fixes"),
        ("{", "is no YAML"),
    ],
)  # fmt: skip
def test_a_fix_that_cannot_work_is_refused_with_its_place(
    tmp_path: Path, text: str, says: str | None
) -> None:
    settings = world(tmp_path / "w", EVENTS, PAYMENTS)
    if says is None:
        assert a_fix(settings, text)
        return
    with pytest.raises(SettingsError, match=r"fix\.yaml") as refusal:
        a_fix(settings, text)
    assert says in str(refusal.value)


def test_a_fix_for_a_source_without_open_rows_is_refused(tmp_path: Path) -> None:
    settings = world(tmp_path / "w", EVENTS, PAYMENTS)
    logs(settings, sound=True)
    payments(settings, SOUND.replace("EUR", "€"))
    run(settings, days=(DAY_ONE,))
    with pytest.raises(LakeError, match=r"the fix is for events, but no open row .* payments"):
        replayed(settings, given=a_fix(settings, "events: {constants: {page: Home}}"))
    held = quarantine.scan(settings).collect()
    assert held["fix"].null_count() == held.height


# ----------------------------------------------------------------- once, and after kills


def test_a_second_replay_finds_nothing_and_commits_nothing(cut_logs: Settings) -> None:
    settings = cut_logs
    logs(settings, sound=True)
    assert replayed(settings)
    hashes, at = read.content_hash(settings), versions(settings)
    assert replayed(settings, run_id="replay-2") == []
    assert (read.content_hash(settings), versions(settings)) == (hashes, at)


def test_rows_that_are_still_bad_change_nothing_either(cut_logs: Settings) -> None:
    settings = cut_logs
    hashes, at = read.content_hash(settings), versions(settings)
    (done,) = replayed(settings)
    assert (done.resolved, done.look and done.look.bad, done.touched) == (0, 2, None)
    assert (read.content_hash(settings), versions(settings)) == (hashes, at)


# Counts every commit to the lake and kills the process before or after the one asked for.
VICTIM = """
import os, signal, sys
from pathlib import Path
from analytics.lake import anew, delta
from analytics.replay import replay
from analytics.lake.quarantine import Which
from analytics.settings import load_settings
from analytics.lake import fixes
from analytics.tenants import get_tenant

folder, wanted, moment = sys.argv[1:]
commits = 0

def deadly(commit):
    def step(*args, **kwargs):
        global commits
        commits += 1
        if commits == int(wanted) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(*args, **kwargs)
        if commits == int(wanted) and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
    return step

delta.write, delta.upsert, anew.write = map(deadly, (delta.write, delta.upsert, anew.write))
settings = load_settings(
    {"ANALYTICS_VAR_DIR": f"{folder}/var", "ANALYTICS_TENANTS_FILE": f"{folder}/tenants.yaml"},
    dotenv=None,
)
fix = fixes.read(Path(folder, "fix.yaml"), get_tenant(settings, "t1"))
replay(settings, "t1", Which("t1"), "replay-1", fix)
print(commits)
"""
MAPPED = {**PAYMENTS, "columns": {**PAYMENTS["columns"], "currency": "user"}}
MENDED = [EVENTS, PAYMENTS, TOUCHPOINTS]
# Bind; the log's rejects and rows, the payments anew; of day one its profile, plays and listeners
# settled again, payments, touchpoints, ledger, snapshot, resolved; of day two its profile,
# payments and these three.
MOST = 17
FEW = [(10, "after")]


def damaged_in_every_way(settings: Settings) -> None:
    """A wrong mapping, a cut file and a word nobody knows; then two of the three are mended."""
    touch = "user,at,medium\n1,2025-01-06T09:00:00Z,search\n1,yesterday,social\n"
    declare(settings, EVENTS, MAPPED, TOUCHPOINTS)
    logs(settings, sound=False)
    payments(settings, SOUND)
    for tenant_id in TENANTS:
        drop_text(settings, f"{tenant_id}/touchpoints/2025-01-06.csv", touch)
        drop_text(settings, f"{tenant_id}/touchpoints/2025-01-07.csv", "user,at,medium\n")
    run(settings)
    declare(settings, *MENDED)
    logs(settings, sound=True)
    fix = "touchpoints: {values: {at: {yesterday: 2025-01-06T11:00:00Z}}}"
    settings.analytics_tenants_file.with_name("fix.yaml").write_text(fix)


def killed(settings: Settings, wanted: int, moment: str) -> subprocess.CompletedProcess[str]:
    folder = str(settings.analytics_tenants_file.parent)
    return subprocess.run(
        [sys.executable, "-c", VICTIM, folder, str(wanted), moment],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def every_way(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = world(tmp_path_factory.mktemp("every") / "w", *MENDED)
    damaged_in_every_way(settings)
    return settings


@pytest.fixture(scope="module")
def unharmed(every_way: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, int]:
    """The world after one whole replay, and how many commits that took."""
    settings = copied(every_way, tmp_path_factory.mktemp("unharmed") / "w")
    whole = killed(settings, 0, "never")
    assert whole.returncode == 0, whole.stderr
    return settings, int(whole.stdout)


@pytest.mark.parametrize(
    ("wanted", "moment"),
    [
        pytest.param(n, moment, marks=[] if (n, moment) in FEW else [pytest.mark.long])
        for n in range(1, MOST + 1)
        for moment in ("before", "after")
    ],
)
def test_a_replay_killed_anywhere_and_run_again_ends_like_a_whole_one(
    tmp_path: Path, every_way: Settings, unharmed: tuple[Settings, int], wanted: int, moment: str
) -> None:
    whole, commits = unharmed
    assert commits == MOST, "every step is killed once; correct MOST"
    harmed = copied(every_way, tmp_path / "harmed")
    death = killed(harmed, wanted, moment)
    assert death.returncode == -signal.SIGKILL, death.stdout + death.stderr
    again = killed(harmed, 0, "never")
    assert again.returncode == 0, again.stderr
    assert read.content_hash(harmed) == read.content_hash(whole)
    assert still_open(harmed).is_empty()
    assert replayed(harmed, run_id="replay-3") == []


def test_all_kinds_of_damage_together_end_as_sound_data(
    tmp_path: Path, unharmed: tuple[Settings, int]
) -> None:
    """Of tenant t1, which was replayed; t2 stands as its damaged run left it."""
    clean = world(tmp_path / "clean", *MENDED)
    logs(clean, sound=True)
    payments(clean, SOUND)
    for tenant_id in TENANTS:
        touch = "user,at,medium\n1,2025-01-06T09:00:00Z,search\n1,2025-01-06T11:00:00Z,social\n"
        drop_text(clean, f"{tenant_id}/touchpoints/2025-01-06.csv", touch)
        drop_text(clean, f"{tenant_id}/touchpoints/2025-01-07.csv", "user,at,medium\n")
    run(clean)
    mine = {key: found for key, found in layer(unharmed[0]).items() if key[1] == "t1"}
    assert mine == {key: found for key, found in layer(clean).items() if key[1] == "t1"}
    assert still_open(unharmed[0], "t2").height == 4


# ------------------------------------------------------------------- what is chosen, counted


def balanced(settings: Settings, tenant_id: str, table: str) -> None:
    """Every line adds up, and what landed over all runs is what silver holds."""
    lines = ledger.read(settings, tenant_id).filter(pl.col("table") == table)
    assert (lines["rows_in"] == lines.select(pl.sum_horizontal(ledger.BUCKETS)).to_series()).all()
    held = read.scan(settings, table, tenant_id).collect()
    assert lines["landed"].sum() == held.height


def test_only_the_intervals_that_are_asked_for_run_again(tmp_path: Path) -> None:
    settings = world(tmp_path / "w", PAYMENTS)
    payments(settings, SOUND.replace("EUR", "€"), "p3,1,2025-01-07T09:00:00Z,300,€,charge\n")
    run(settings)
    fix = a_fix(settings, 'payments: {values: {currency: {"€": EUR}}}')
    first = Which("t1", table="payments", source="payments", until=DAY_ONE.end)
    (done,) = replayed(settings, which=first, given=fix)
    assert done.job.interval == DAY_ONE
    assert read.scan(settings, "payments").collect()["payment_id"].sort().to_list() == ["p1", "p2"]
    assert replayed(settings, which=Which("t1", rule="listener_id_is_given")) == []
    (done,) = replayed(settings, which=Which("t1", rule="currency_is_a_code"), given=fix)
    assert done.job.interval == DAY_TWO
    balanced(settings, "t1", "payments")
    assert still_open(settings, "t2").height == 3


def test_a_gate_that_stops_again_leaves_everything_as_it_was(tmp_path: Path) -> None:
    settings = world(tmp_path / "w", PAYMENTS)
    payments(settings, SOUND.replace("EUR", "€"))
    run(settings)
    declare(settings, PAYMENTS, budget=0.0)
    before = layer(settings)
    with pytest.raises(GateFailed, match="tenant t1"):
        replayed(settings)
    assert layer(settings) == before
    assert still_open(settings).height == 2


@pytest.mark.long
def test_a_vanished_file_does_not_keep_what_bronze_holds_from_replay(
    tmp_path: Path, sound: dict[tuple[str, str], str]
) -> None:
    wrong = {**PAYMENTS, "columns": {**PAYMENTS["columns"], "kind": "currency", "currency": "type"}}
    damaged = world(tmp_path / "w", wrong)
    payments(damaged, SOUND)
    run(damaged)
    for day in ("06", "07"):
        (damaged.landing / f"t1/payments/2025-01-{day}.csv").unlink()
    declare(damaged, PAYMENTS)
    done = replayed(damaged)
    assert all("went on with what bronze holds" in one.notes[0] for one in done)
    replayed(damaged, "t2")
    assert layer(damaged) == of_silver(sound)


def test_a_row_that_is_bad_again_is_open_again(tmp_path: Path) -> None:
    wrong = {**PAYMENTS, "columns": {**PAYMENTS["columns"], "kind": "currency", "currency": "type"}}
    settings = world(tmp_path / "w", wrong)
    payments(settings, SOUND)
    run(settings)
    broken = still_open(settings)["quarantine_id"].sort().to_list()
    declare(settings, PAYMENTS)
    replayed(settings)
    assert still_open(settings).is_empty()
    declare(settings, wrong)
    run(settings, "again")
    assert still_open(settings)["quarantine_id"].sort().to_list() == broken


def test_a_quarantine_of_before_replays_gets_their_columns(cut_logs: Settings) -> None:
    settings = cut_logs
    uri = paths.quarantine(settings)
    old = pl.read_delta(uri).drop("is_resolved", "run_id", "fix")
    old.write_delta(
        uri, mode="overwrite",
        delta_write_options={"schema_mode": "overwrite", "partition_by": ["tenant_id"]},
    )  # fmt: skip
    assert still_open(settings).height == old.height
    logs(settings, sound=True)
    (done,) = replayed(settings)
    assert done.resolved == 2
    assert still_open(settings).is_empty()
    assert quarantine.scan(settings).collect().height == old.height


# ----------------------------------------------------------------------- undated sources


@pytest.fixture
def undated(tmp_path: Path) -> Callable[[str], Settings]:
    """Payments in one file that no day is named in, loaded day by day."""

    def make(name: str) -> Settings:
        settings = world(tmp_path / name)
        tenants = [
            {"id": t, "name": t, "bad_row_budget": 1.0,
             "sources": [{**PAYMENTS, "path": f"{{landing}}/{t}/all.csv"}]}
            for t in TENANTS
        ]  # fmt: skip
        settings.analytics_tenants_file.write_text(yaml.safe_dump({"tenants": tenants}))
        return settings

    return make


@pytest.mark.parametrize("moves_to", [DAY_ONE, pytest.param(DAY_TWO, marks=pytest.mark.long)])
def test_a_row_lands_in_the_interval_its_mended_time_belongs_to(
    undated: Callable[[str], Settings], moves_to: Interval
) -> None:
    mended = (moves_to.start + timedelta(hours=3)).isoformat()
    damaged, clean = undated("damaged"), undated("clean")
    for settings, at in ((damaged, "1970-01-01T00:00:00Z"), (clean, mended)):
        last = f"p3,1,{at},300,EUR,charge\n"
        for tenant_id in TENANTS:
            day_two = "p4,2,2025-01-07T09:00:00Z,400,EUR,charge\n"
            drop_text(settings, f"{tenant_id}/all.csv", HEAD + SOUND + day_two + last)
        run(settings)
    fix = a_fix(damaged, f"payments: {{values: {{at: {{'1970-01-01 00:00:00.000000+00:00': "
                         f"'{mended}'}}}}}}")  # fmt: skip
    for tenant_id in TENANTS:
        replayed(damaged, tenant_id, given=fix)
        assert still_open(damaged, tenant_id).is_empty()
        balanced(damaged, tenant_id, "payments")
    assert layer(damaged) == layer(clean)


def test_a_row_that_belongs_to_days_that_never_ran_waits(
    undated: Callable[[str], Settings],
) -> None:
    settings = undated("w")
    bad = "p3,1,1970-01-01T00:00:00Z,300,EUR,charge\n"
    for tenant_id in TENANTS:
        drop_text(settings, f"{tenant_id}/all.csv", HEAD + SOUND + bad)
    run(settings, days=(DAY_ONE,))
    fix = a_fix(settings, "payments: {constants: {paid_at: 2025-01-08T10:00:00Z}}")
    (done,) = replayed(settings, given=fix)
    assert (done.resolved, done.look and done.look.waiting) == (0, 1)
    assert still_open(settings).height == 1
    run(settings, "later", (Interval.of("2025-01-08", "2025-01-09"),))
    assert sum(one.resolved for one in replayed(settings, given=fix)) == 1
    found = read.scan(settings, "payments", "t1").collect()["payment_id"]
    assert found.sort().to_list() == ["p1", "p2", "p3"]
