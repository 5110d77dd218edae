"""`analytics ingest FOLDER --tenant T`, as typed: recognised, judged, landed, remembered."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from analytics.cli import app
from analytics.errors import AnalyticsError
from analytics.lake import ledger, quarantine, read, silver
from analytics.proposals import propose
from analytics.tenants import get_tenant, registry
from tests.landing import DAY_ONE, DAY_TWO, NOON_MS, a_line, a_tenant, drop, land_staged, run

HISTORY = [
    {"ts": f"2025-01-0{6 + n // 2}T12:0{n}:00Z", "ms_played": 60_000, "username": "1",
     "spotify_track_uri": f"spotify:track:{n}", "master_metadata_track_name": f"T{n}",
     "master_metadata_album_artist_name": "Can"}
    for n in range(4)
]  # fmt: skip


@pytest.fixture
def settings(make_settings):
    """Both tenants have a source of their own; t1 has landed day one of it."""
    settings = make_settings([a_tenant("t1"), a_tenant("t2")])
    for tenant_id in ("t1", "t2"):
        drop(settings, tenant_id, "2025-01-06", a_line(), a_line(userId="2", itemInSession=1))
        drop(settings, tenant_id, "2025-01-07", a_line(ts=NOON_MS + 86_400_000))
    run(settings, "t1", DAY_ONE, "own-1")
    return settings


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "endsong_0.json").write_text(json.dumps(HISTORY))
    (folder / "notes [of mine].txt").write_text("nothing")
    return folder


@pytest.fixture
def ingest(settings):
    environment = {
        "ANALYTICS_VAR_DIR": str(settings.var),
        "ANALYTICS_TENANTS_FILE": str(settings.analytics_tenants_file),
        "COLUMNS": "200",
    }

    def call(*arguments: str | Path) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["ingest", *map(str, arguments)], env=environment)
        assert "Traceback" not in done.output
        return done.exit_code, " ".join(done.output.split())

    return call


def plays(settings, tenant_id: str) -> pl.DataFrame:
    return read.scan(settings, "plays", tenant_id).collect()


def test_a_folder_is_recognised_and_landed_beside_what_a_tenant_has(settings, exports, ingest):
    code, said = ingest(exports, "--tenant", "t1")
    assert code == 0, said
    assert "spotify_extended 1 " in said
    assert "nobody knows notes [of mine].txt; left alone" in said
    assert "2025-01-06 to 2025-01-08" in said
    assert "trigger `features` for t1 from 2025-01-06 to 2025-01-08" in said
    assert plays(settings, "t1").height == 2 + 4
    assert plays(settings, "t2").is_empty()
    lines = ledger.read(settings, "t1").filter(pl.col("table") == "plays")
    assert (lines["rows_in"] == lines.select(pl.sum_horizontal(ledger.BUCKETS)).to_series()).all()
    assert lines["landed"].sum() == 6


def test_the_same_folder_again_brings_nothing_and_a_new_file_just_its_own(
    settings, exports, ingest
):
    ingest(exports, "--tenant", "t1")
    before = read.content_hash(settings)
    code, said = ingest(exports, "--tenant", "t1")
    assert (code, "nothing new: silver holds all of it already" in said) == (0, True)
    assert read.content_hash(settings) == before

    more = {**HISTORY[0], "ts": "2025-01-06T18:00:00Z"}
    (exports / "endsong_1.json").write_text(json.dumps([HISTORY[1], more]))
    code, said = ingest(exports, "--tenant", "t1")
    assert code == 0
    assert plays(settings, "t1").height == 2 + 5
    assert len(get_tenant(settings, "t1").by_hand) == 1


def test_an_id_nobody_has_makes_a_tenant_and_ids_of_others_stay_theirs(settings, exports, ingest):
    assert ingest(exports, "--tenant", "t1")[0] == 0
    code, said = ingest(exports, "--tenant", "radio_one")
    assert code == 0, said
    assert [*registry(settings)] == ["t1", "t2", "radio_one"]
    given, own = plays(settings, "radio_one"), plays(settings, "t1")
    assert {*given["play_id"]} < {*own["play_id"]}, "the same ids, each tenant's own"
    assert given.height == 4


def test_own_runs_never_see_what_was_given_by_hand(settings, exports, ingest):
    ingest(exports, "--tenant", "t1")
    landed = run(settings, "t1", DAY_TWO, "own-2")
    assert landed.rows["plays"]["rows_in"] == 1
    exported = (exports / "endsong_0.json").rename(exports / "gone")
    exported.unlink()
    assert run(settings, "t1", DAY_ONE, "own-1-again").rows["plays"]["rows_in"] == 2
    assert plays(settings, "t1").height == 3 + 4


def test_only_the_days_asked_for_are_taken(settings, exports, ingest):
    code, said = ingest(exports, "--tenant", "t2", "--from", "2025-01-07", "--to", "2025-01-08")
    assert code == 0, said
    assert plays(settings, "t2")["started_at"].dt.day().unique().to_list() == [7]
    code, _ = ingest(exports, "--tenant", "t2")
    assert (code, plays(settings, "t2").height) == (0, 4)


def test_bad_rows_are_set_aside_and_it_says_where_to_look(settings, exports, ingest):
    bad = {**HISTORY[0], "ts": "2025-01-06T19:00:00Z", "ms_played": -5}
    many = [{**HISTORY[0], "ts": f"2025-01-06T{h:02}:{m:02}:30Z"} for h in range(10, 13)
            for m in range(60)]  # fmt: skip
    (exports / "endsong_0.json").write_text(json.dumps([*many, bad]))
    code, said = ingest(exports, "--tenant", "t2")
    assert code == 0, said
    assert "`analytics quarantine show --tenant t2`" in said
    assert quarantine.scan(settings, "t2").collect()["rule"].to_list() == [
        "listened_ms_is_plausible"
    ]


def test_too_many_bad_rows_stop_it_and_it_goes_on_once_they_are_accepted(settings, exports, ingest):
    rows = [{**HISTORY[0], "ms_played": -5}, *HISTORY[1:]]
    (exports / "endsong_0.json").write_text(json.dumps(rows))
    code, said = ingest(exports, "--tenant", "t2")
    assert code == 1
    assert "listened_ms_is_plausible" in said
    assert f"raise `bad_row_budget` of t2 in {settings.analytics_tenants_file}" in said
    assert plays(settings, "t2").is_empty()
    tenants = yaml.safe_load(settings.analytics_tenants_file.read_text())
    tenants["tenants"][1]["bad_row_budget"] = 0.5
    settings.analytics_tenants_file.write_text(yaml.safe_dump(tenants))
    code, said = ingest(exports, "--tenant", "t2")
    assert (code, plays(settings, "t2").height) == (0, 3), said


def test_rows_of_its_own_that_wait_to_land_are_not_overwritten(
    settings, exports, ingest, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(silver, "land", lambda *_, **audit: None)
        run(settings, "t2", DAY_ONE, "own-1")
    days = ("--from", "2025-01-06", "--to", "2025-01-07")
    code, said = ingest(exports, "--tenant", "t2", *days)
    assert code == 1
    assert "Clear the `land` of that `ingest` run" in said
    assert land_staged(settings, "t2", DAY_ONE, "own-1").rows["plays"]["landed"] == 2
    assert ingest(exports, "--tenant", "t2", *days)[0] == 0


def test_a_catalogue_alone_needs_no_dates(settings, tmp_path, ingest):
    folder = tmp_path / "catalogue"
    folder.mkdir()
    song = {"artist_name": "Can", "title": "Halleluhwah", "duration": 1111.5, "artist_id": "a"}
    (folder / "TRA.json").write_text(json.dumps(song))
    code, said = ingest(folder, "--tenant", "t2")
    assert code == 0, said
    assert read.scan(settings, "tracks", "t2").collect()["title"].to_list() == ["Halleluhwah"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "-t", "t1"], "nowhere is no folder; put the exports into one"),
        (["{exports}", "-t", "T 1"], "cannot be a tenant's id"),
        (["{empty}", "-t", "t1"], "nothing in"),
        (["{exports}", "-t", "t1", "--from", "2025-01-08", "--to", "2025-01-07"], "later"),
    ],
)
def test_what_cannot_be_taken_is_said(ingest, exports, tmp_path, arguments, says):
    (tmp_path / "empty").mkdir()
    places = {"exports": exports, "empty": tmp_path / "empty"}
    code, said = ingest(*(a.format(**places) for a in arguments))
    assert code == 1
    assert says in said


def test_rules_are_proposed_from_what_was_handed_over(settings, exports, ingest):
    many = [
        {**HISTORY[0], "ts": f"2025-01-{6 + n // 20:02}T12:{n % 20:02}:00Z"} for n in range(140)
    ]
    (exports / "endsong_0.json").write_text(json.dumps(many))
    assert ingest(exports, "--tenant", "radio_two")[0] == 0

    (plays,) = propose(settings, "radio_two")
    assert (plays.table, plays.rows) == ("plays", 140)
    assert "play_id looks like ^[0-9a-f]{32}$" in {change.after for change in plays.changes}
    with pytest.raises(AnalyticsError, match="has no source"):
        propose(sourceless(settings), "t1")


def sourceless(settings):
    tenants = yaml.safe_load(settings.analytics_tenants_file.read_text())
    tenants["tenants"][0]["sources"] = []
    settings.analytics_tenants_file.write_text(yaml.safe_dump(tenants))
    return settings
