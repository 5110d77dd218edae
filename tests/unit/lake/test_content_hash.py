import polars as pl
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

from analytics.lake import paths, read
from analytics.lake.cli import app
from tests.builders import a_frame, a_play

KEY = ("silver/plays", "t1")


def written(settings, *frames: pl.DataFrame, run: str = "run-1") -> str:
    uri = paths.table(settings, "silver", "plays")
    for frame in frames:
        stamped = frame.with_columns(pl.lit(run).alias("ingest_run"))
        write_deltalake(uri, stamped, mode="append", partition_by=["tenant_id"])
    return uri


def test_the_hash_sees_no_order_no_file_layout_and_no_run(make_settings, tmp_path):
    rows = [a_frame("plays", a_play(play_id=f"p{n}", listened_ms=n)) for n in range(4)]
    one = make_settings(analytics_lake_root=tmp_path / "one")
    written(one, pl.concat(rows))
    many = make_settings(analytics_lake_root=tmp_path / "many")
    uri = written(many, *reversed(rows), run="run-2")

    assert read.content_hash(one)[KEY] == read.content_hash(many)[KEY]
    DeltaTable(uri).optimize.compact()
    assert read.content_hash(one)[KEY] == read.content_hash(many)[KEY]


def test_the_hash_sees_every_value_null_and_repetition(make_settings, tmp_path):
    hashes = []
    for number, rows in enumerate(
        (
            [a_play()],
            [a_play(), a_play()],
            [a_play(platform=None)],
            [a_play(platform="")],
            [a_play(listened_ms=180_001)],
            [a_play(platform="ios\x1fDE", country=None)],
        )
    ):
        settings = make_settings(analytics_lake_root=tmp_path / str(number))
        written(settings, a_frame("plays", *rows))
        hashes.append(read.content_hash(settings)[KEY])
    assert len(set(hashes)) == len(hashes)


def test_the_hash_is_the_one_written_here_on_every_machine_and_version(settings):
    written(settings, a_frame("plays", a_play(), a_play("t2", listened_ms=7)))
    hashes = read.content_hash(settings)
    assert hashes == {
        ("silver/plays", "t1"): "440af22101d33885e05c191709335b71",
        ("silver/plays", "t2"): "64b5a8016f722254257b15a5432ea4fe",
    }


def test_the_command_prints_a_line_per_table_and_tenant(settings, monkeypatch):
    monkeypatch.setattr("analytics.lake.cli.load_settings", lambda: settings)
    written(settings, a_frame("plays", a_play(), a_play("t2")))
    printed = CliRunner().invoke(app, ["hash"]).output.splitlines()
    assert [line.split()[1:] for line in printed] == [
        ["silver/plays", "t1"],
        ["silver/plays", "t2"],
    ]
    assert "silver/plays" in CliRunner().invoke(app, ["tables"]).output
