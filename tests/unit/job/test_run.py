"""The main job from its first step to its exit code, with an Airflow that plays its part.

Only Airflow, the stack and the warehouse are stood in for; folders, exports and
problems are real. The same against all of them is `make run`.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from analytics import cli
from analytics.errors import AnalyticsError, SourceError, WarehouseError
from analytics.job import main
from analytics.stack import Endpoints
from analytics.tenants import load_tenants
from tests.landing import a_line
from tests.unit.job.airflow import TIMEOUT, red

ADDRESSES = Endpoints(1, "http://airflow", "http://mlflow", "http://docs")


@pytest.fixture
def world(monkeypatch, airflow, settings) -> SimpleNamespace:
    """A stack that is up at once, and a closing table that names the tenants file's tenants."""
    there = SimpleNamespace(airflow=airflow, reports=[], settings=settings, unpublished=set())
    monkeypatch.setattr(main, "up", lambda settings, report: ADDRESSES)
    monkeypatch.setattr(main, "logins", lambda settings, addresses: {"Airflow": "http://airflow"})
    monkeypatch.setattr(main, "load_settings", lambda: settings)
    monkeypatch.setattr(cli, "_settings", lambda: settings)
    monkeypatch.setattr("analytics.warehouse.dbt.docs", lambda settings: None)

    def make_report(settings, tenant_id):
        if tenant_id in there.unpublished:
            raise AnalyticsError(f"nothing is published for {tenant_id} yet")
        return tenant_id

    def table(settings):
        return "TABLE " + " ".join(load_tenants(settings.analytics_tenants_file))

    monkeypatch.setattr("analytics.report.cli.make_report", make_report)
    monkeypatch.setattr("analytics.report.cli.write_page", lambda _, t: there.reports.append(t))
    monkeypatch.setattr(main, "outcome_table", table)
    return there


@pytest.fixture
def exports(tmp_path) -> Path:
    """Two tenants whose logs are fine, of two different days."""
    for name, ts in (("aa", 1_736_164_800_000), ("zz", 1_736_251_200_000)):
        log = tmp_path / "exports" / name / "events.json"
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps(a_line(ts=ts)))
    return tmp_path / "exports"


def ran(exports: Path) -> SimpleNamespace:
    """`analytics run --data` as a person types it: exit code, and all it said."""
    done = CliRunner().invoke(cli.app, ["run", "--data", str(exports)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return SimpleNamespace(code=done.exit_code, text=" ".join(done.output.split()))


# -------------------------------------------------------- a folder of exports


def test_a_folder_of_whole_exports_ends_with_table_and_addresses(world, exports):
    done = ran(exports)
    assert done.code == 0
    assert [(c["tenants"], c["from"], c["to"]) for c in world.airflow.triggered] == [
        (["aa"], "2025-01-06", "2025-01-07"), (["zz"], "2025-01-07", "2025-01-08"),
    ]  # fmt: skip
    assert "aa: events (eventsim)" in done.text
    assert world.reports == ["aa", "zz"]
    assert done.text.index("TABLE aa zz") < done.text.index("Airflow http://airflow")
    assert "✗" not in done.text


def a_cut_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "my_data.zip", "w") as archive:
        archive.writestr("endsong_0.json", "[]")
    whole = (folder / "my_data.zip").read_bytes()
    (folder / "my_data.zip").write_bytes(whole[:-30])


def a_cut_history(folder: Path) -> None:
    (folder / "endsong_0.json").write_text('[{"ts": "2025-01-06T12:00:00Z", "ms_pl')


def a_torn_parquet(folder: Path) -> None:
    (folder / "plays.parquet").write_bytes(b"PAR1 and no more")


def songs_alone(folder: Path) -> None:
    song = {"artist_name": "A", "title": "S", "duration": 1.5}
    (folder / "songs.json").write_text(json.dumps(song))


def nothing_known(folder: Path) -> None:
    (folder / "readme.txt").write_text("hello")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (a_cut_zip, "my_data.zip is damaged or cut off"),
        (a_cut_history, "endsong_0.json is not whole JSON"),
        (a_torn_parquet, "plays.parquet is damaged or cut off"),
        (songs_alone, "nothing in songs (msd_songs) says when anything happened"),
        (nothing_known, "It holds readme.txt"),
    ],
)
def test_one_tenants_damaged_export_stops_no_other_and_is_named_at_the_end(
    world, exports, damage, why
):
    (exports / "broken").mkdir()
    damage(exports / "broken")
    world.unpublished.add("broken")
    done = ran(exports)
    assert done.code == 1
    assert world.airflow.tenants() == ["aa", "zz"]
    assert set(world.reports) == {"aa", "zz"}
    at_table, at_urls = done.text.index("TABLE"), done.text.index("Airflow http://airflow")
    assert at_table < done.text.index(why) < at_urls
    assert "✗ broken: broken: " not in done.text
    assert "error not everything went through. broken: not loaded." in done.text[at_urls:]
    assert "nothing is published for broken" not in done.text


def test_a_folder_without_one_whole_export_ends_before_the_stack_starts(
    world, exports, monkeypatch
):
    monkeypatch.setattr(main, "up", lambda *_: pytest.fail("nothing to start it for"))
    for name in ("aa", "zz"):
        (exports / name / "events.json").unlink()
    a_cut_history(exports / "aa")
    nothing_known(exports / "zz")
    done = ran(exports)
    assert done.code == 1
    assert "endsong_0.json is not whole JSON" in done.text
    assert "zz: nothing in" in done.text
    assert f"nothing in {exports} can be loaded" in done.text


def test_files_in_no_tenants_folder_are_mentioned_and_harmless(world, exports):
    (exports / "logs.tar.gz").write_bytes(b"packed")
    done = ran(exports)
    assert done.code == 0
    assert "left alone, as in no tenant's folder: logs.tar.gz" in done.text


@pytest.mark.parametrize(
    ("ending", "brief"),
    [
        (red("ingest"), "aa: ingest ended red, see docs/runbooks/ingest.md"),
        (red("transform"), "aa: transform ended red, see docs/runbooks/transform.md"),
        (TIMEOUT, "aa: transform did not end, see docs/runbooks/transform.md"),
    ],
)
def test_a_red_or_endless_chain_still_ends_with_table_reports_and_addresses(
    world, exports, ending, brief
):
    world.airflow.endings["aa"] = ending
    world.unpublished.add("aa")
    done = ran(exports)
    assert done.code == 1
    assert world.airflow.tenants() == ["aa", "zz"]
    assert world.reports == ["zz"]
    at_table, at_urls = done.text.index("TABLE"), done.text.index("Airflow http://airflow")
    assert at_table < done.text.index("✗ aa: 2025-01-06 to 2025-01-07: ") < at_urls
    assert f"error not everything went through. {brief}." in done.text[at_urls:]


def test_what_fails_while_closing_is_named_and_keeps_nothing_back(world, exports, monkeypatch):
    def broken(settings):
        raise WarehouseError("dbt docs generate failed (exit 2)")

    monkeypatch.setattr("analytics.warehouse.dbt.docs", broken)
    world.unpublished.add("zz")
    done = ran(exports)
    assert done.code == 1
    assert world.reports == ["aa"]
    assert "✗ all tenants: dbt docs generate failed" in done.text
    assert "✗ zz: nothing is published for zz yet" in done.text
    assert "Airflow http://airflow" in done.text


def test_without_a_closing_table_problems_and_addresses_are_still_there(
    world, exports, monkeypatch
):
    def broken(settings):
        raise WarehouseError("the warehouse does not answer")

    monkeypatch.setattr(main, "outcome_table", broken)
    world.airflow.endings["aa"] = red("score")
    done = ran(exports)
    assert done.code == 1
    assert "score ended red" in done.text
    assert "✗ all tenants: the warehouse does not answer" in done.text
    assert "Airflow http://airflow" in done.text


# ----------------------------------------------------------------- sample


def test_the_sample_is_history_a_normal_day_and_a_day_of_drift(world, monkeypatch):
    monkeypatch.setattr(main, "_simulate", lambda settings, console: None)
    world.airflow.endings["all"] = red("monitor")
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(AnalyticsError, match="t1, t2: monitor ended red"):
        main.run_sample(world.settings, console)
    spans = [(c["from"], c["to"]) for c in world.airflow.triggered]
    assert [later[0] for later in spans[1:]] == [earlier[1] for earlier in spans[:-1]]
    assert len(spans) == 3
    assert "TABLE t1 t2" in console.file.getvalue()


def test_no_folder_is_refused_before_anything_else(world, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="has no subfolders"):
        main.run_on(world.settings, tmp_path / "empty", Console(file=io.StringIO()))
