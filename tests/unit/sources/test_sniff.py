"""What a folder of exports is taken for, and what is said of what it cannot be."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.sources.sniff import extent, sniff, tenant_id_of, tenants_from_folder
from tests.builders import a_play
from tests.landing import DAY_ONE, a_line, run

HISTORY_ROW = {
    "ts": "2025-01-06T12:00:00Z", "ms_played": 60_000, "username": "u",
    "spotify_track_uri": "spotify:track:1",
}  # fmt: skip


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_log(folder: Path) -> Path:
    return put(folder / "events.json", json.dumps(a_line()))


def put_plays(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {k: v for k, v in a_play().items() if k != "tenant_id"}
    pl.DataFrame([row]).write_parquet(path)
    return path.read_bytes()


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As a file without the right to read it; root may read everything."""
    usual = Path.open

    def opened(self, *arguments, **options):
        if self.name == name:
            raise PermissionError(13, "Permission denied", str(self))
        return usual(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)


# ------------------------------------------------------------- recognised


def test_each_kind_of_export_is_known_by_its_names_and_fields(tmp_path):
    put(tmp_path / "log_data" / "2018" / "2018-11-01-events.json", json.dumps(a_line()))
    song = {"artist_name": "A", "title": "S", "duration": 1.5}
    put(tmp_path / "song_data" / "A" / "TRA.json", json.dumps(song))
    put(tmp_path / "My Data" / "endsong_0.json", json.dumps([HISTORY_ROW]))
    put(tmp_path / "my_data.zip", zipped("Streaming_History_Audio_2020.json", "[]"))
    put_plays(tmp_path / "plays" / "2025-01-06.parquet")
    put(tmp_path / "payments.csv", "payment_id,listener_id,paid_at,amount_minor,currency,kind\n")
    put(tmp_path / "payments_of_others.csv", "invoice,user\n")
    put(tmp_path / "notes.json", '{"a": 1}')
    put(tmp_path / "__MACOSX" / "payments.csv", "payment_id\n")
    put(tmp_path / ".cache" / "plays.parquet", b"x")

    found = {
        (s.format, s.table, Path(s.path or "").relative_to(tmp_path).as_posix())
        for s in sniff(tmp_path).sources
    }
    assert found == {
        ("eventsim", None, "log_data/**/{date}-events.json"),
        ("msd_songs", None, "song_data/**/*.json"),
        ("spotify_extended", None, "**/endsong_*.json"),
        ("spotify_extended", None, "**/*.zip"),
        ("parquet", "plays", "plays/**/{date}.parquet"),
        ("csv", "payments", "payments.csv"),
    }


def test_a_folder_whose_name_holds_the_signs_of_a_pattern_is_read(tmp_path, make_settings):
    put_log(tmp_path / "exports" / "Radio [One]*")
    tenants = tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml")
    settings = make_settings([t.model_dump(mode="json") for t in tenants.values()])
    assert extent(settings, tenants["radio_one"]) == DAY_ONE
    assert run(settings, "radio_one", DAY_ONE, "run").rows["plays"]["landed"] == 1


@pytest.mark.parametrize(
    ("name", "tenant_id"),
    [
        ("Radio One", "radio_one"),
        ("a", "t_a"),
        ("2fm", "t_2fm"),
        ("日本", "t_"),
        ("x" * 60, "x" * 40),
    ],
)
def test_every_folder_name_makes_a_valid_tenant(tmp_path, name, tenant_id):
    put_log(tmp_path / "exports" / name)
    assert tenant_id_of(name) == tenant_id
    assert list(tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml")) == [tenant_id]


# ---------------------------------------------------------------- refused


def test_what_is_wrong_with_one_folder_does_not_touch_the_others(tmp_path):
    folder = tmp_path / "exports"
    put_log(folder / "good")
    put_log(folder / "user a")
    put_log(folder / "user-a")
    put(folder / "notes" / "readme.txt", "hello")
    put(folder / "torn" / "plays.parquet", b"PAR1 and no more")
    refused: dict[str, str] = {}

    tenants = tenants_from_folder(folder, tmp_path / "found.yaml", refused)

    assert list(tenants) == ["good", "user_a"]
    assert {key: why.split(":")[0] for key, why in refused.items()} == {
        "notes": "notes", "torn": "torn", "user-a": "user-a",
    }  # fmt: skip
    assert "It holds readme.txt" in refused["notes"]
    assert "this folder and user a would both be tenant user_a; rename" in refused["user-a"]
    with pytest.raises(SourceError, match="notes: nothing in"):
        tenants_from_folder(folder, tmp_path / "strict.yaml")


def test_where_nothing_is_known_no_tenants_file_is_written(tmp_path):
    put(tmp_path / "exports" / "notes" / "readme.txt", "hello")
    refused: dict[str, str] = {}
    assert tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml", refused) == {}
    assert list(refused) == ["notes"]
    assert not (tmp_path / "found.yaml").exists()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("logs.tar.gz", "`tar -xf {folder}/logs.tar.gz -C {folder}`"),
        ("all.7z", "Unpack all.7z first."),
        ("artists.dat.gz", "It holds artists.dat.gz."),
    ],
)
def test_of_something_packed_it_says_how_to_unpack_it(tmp_path, name, command):
    put(tmp_path / "radio" / name, gzip.compress(b"packed"))
    with pytest.raises(SourceError) as error:
        sniff(tmp_path / "radio")
    assert command.format(folder=tmp_path / "radio") in str(error.value)
    assert "docs/sources.md" in str(error.value)


def test_a_damaged_parquet_is_named(tmp_path):
    whole = put_plays(tmp_path / "whole.parquet")
    file = put(tmp_path / "radio" / "plays.parquet", whole[:-20])
    with pytest.raises(SourceError, match=rf"^radio: {file} is damaged or cut off .* run again$"):
        sniff(tmp_path / "radio")


def test_an_empty_parquet_is_no_export_and_is_called_empty(tmp_path):
    put(tmp_path / "radio" / "plays.parquet", b"")
    with pytest.raises(SourceError, match=r"^radio: .* It holds plays.parquet \(empty\)"):
        sniff(tmp_path / "radio")
    put_log(tmp_path / "radio")
    assert [s.format for s in sniff(tmp_path / "radio").sources] == ["eventsim"]


@pytest.mark.parametrize("name", ["plays.csv", "events.jsonl"])
def test_a_file_without_the_right_to_read_it_is_named(tmp_path, monkeypatch, name):
    file = put(tmp_path / "radio" / name, "a,b\n")
    refuse_to_open(monkeypatch, name)
    with pytest.raises(
        SourceError, match=rf"^radio: {file} cannot be read \(Permission denied\). Let this user"
    ):
        sniff(tmp_path / "radio")


def test_a_folder_without_the_right_to_look_into_it_is_named(tmp_path, monkeypatch):
    def is_file(self):
        raise PermissionError(13, "Permission denied", str(self))

    put_log(tmp_path / "radio")
    monkeypatch.setattr(Path, "is_file", is_file)
    message = rf"^radio: {tmp_path / 'radio'} cannot be read \(Permission denied\)"
    with pytest.raises(SourceError, match=message):
        sniff(tmp_path / "radio")


# ----------------------------------------------------------------- extent


def known(tmp_path: Path, make_settings):
    """Settings and the one tenant of the folder `exports`."""
    (tenant,) = tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml").values()
    return make_settings([tenant.model_dump(mode="json")]), tenant


def test_a_history_without_the_right_to_read_it_names_tenant_source_and_file(
    tmp_path, make_settings, monkeypatch
):
    file = put(tmp_path / "exports" / "radio" / "endsong_0.json", json.dumps([HISTORY_ROW]))
    settings, tenant = known(tmp_path, make_settings)
    refuse_to_open(monkeypatch, "endsong_0.json")
    message = rf"^radio: source history: {file} cannot be read \(Permission denied\). Let this user"
    with pytest.raises(SourceError, match=message):
        extent(settings, tenant)


def test_a_zip_with_broken_bytes_inside_is_damaged(tmp_path, make_settings):
    rows = [{**HISTORY_ROW, "ms_played": n} for n in range(2000)]
    content = bytearray(zipped("endsong_0.json", json.dumps(rows)))
    content[50:70] = bytes(byte ^ 0xFF for byte in content[50:70])
    put(tmp_path / "exports" / "radio" / "history.zip", bytes(content))
    settings, tenant = known(tmp_path, make_settings)
    message = r"^radio: source history: .*history.zip is damaged or cut off"
    with pytest.raises(SourceError, match=message):
        extent(settings, tenant)
    with pytest.raises(SourceError, match=message):
        run(settings, "radio", DAY_ONE, "run")


def test_a_file_dated_a_day_that_is_none_is_named(tmp_path, make_settings):
    put(tmp_path / "exports" / "radio" / "2025-02-30.json", json.dumps(a_line()))
    settings, tenant = known(tmp_path, make_settings)
    with pytest.raises(SourceError, match=r"2025-02-30.json is dated 2025-02-30, which is no day"):
        extent(settings, tenant)


def test_an_export_without_dates_says_what_is_missing(tmp_path, make_settings):
    song = {"artist_name": "A", "title": "S", "duration": 1.5}
    put(tmp_path / "exports" / "radio" / "songs.json", json.dumps(song))
    settings, tenant = known(tmp_path, make_settings)
    message = r"^radio: nothing in songs \(msd_songs\) says when .* Put the plays or the event log"
    with pytest.raises(SourceError, match=message):
        extent(settings, tenant)


def test_the_extent_of_dated_files_is_that_of_their_names(tmp_path, make_settings):
    for day in ("2025-01-06", "2025-01-09"):
        put_plays(tmp_path / "exports" / "radio" / "plays" / f"{day}.parquet")
    settings, tenant = known(tmp_path, make_settings)
    assert extent(settings, tenant) == Interval.of("2025-01-06", "2025-01-10")
