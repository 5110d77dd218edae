"""ListenBrainz: the public dump and a user's export, whole and damaged."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given

from analytics import gates
from analytics.errors import SchemaError, SourceError
from analytics.lake import bronze, quarantine, read, silver
from analytics.lake.content import content_hash
from analytics.sources import json_lines
from analytics.sources.sniff import sniff
from tests.landing import DAY_ONE, DAY_TWO, a_tenant, drop_text, land_staged, run
from tests.unit.sources.samples import Sample, taken
from tests.unit.sources.test_hostile import FEW, check, examples, spliced

NOON = 1_736_164_800  # 2025-01-06 12:00 UTC
MSID, MBID = "0c4b7f1e-2a31-4a44-9f0e-6c1d5f1c9a01", "50e6dad8-1efd-4c96-b370-6a2a50b69df3"
ARTIST = "46e32991-1e7b-4575-9206-8e6519c97c14"


def told(**more: Any) -> dict[str, Any]:
    """What a listen says of its track; `more` is what a player adds."""
    return {
        "artist_name": 'AC\\DC "live"', "track_name": "Hey\t& you", "release_name": "Red",
        "additional_info": {"recording_msid": MSID, "tags": ["loud"], "source": {"a": 1}, **more},
    }  # fmt: skip


def of_dump(user: str = "rob", at: int = NOON, **more: Any) -> dict[str, Any]:
    """A listen as the public dump writes it."""
    return {"user_id": 7, "user_name": user, "timestamp": at, "track_metadata": told(**more),
            "recording_msid": MSID}  # fmt: skip


def of_export(at: int = NOON, **more: Any) -> str:
    """The same listen in an export: numbers with decimals, and nobody's name."""
    track = {**told(**more), "recording_msid": MSID, "mbid_mapping": None}
    line = json.dumps({"inserted_at": at + 5, "listened_at": at, "track_metadata": track})
    return line.replace(f'"listened_at": {at}', f'"listened_at": {at}.000000')


def lines(*listens: dict[str, Any] | str | bytes) -> bytes:
    return b"".join(
        (x if isinstance(x, bytes) else (x if isinstance(x, str) else json.dumps(x)).encode())
        + b"\n"
        for x in listens
    )


def source_of(tenant_id: str, name: str = "*.listens") -> dict[str, Any]:
    path = f"{{landing}}/{tenant_id}/{name}"
    return {"name": "listens", "format": "listenbrainz_dump", "path": path, "owner": "Ann"}


@pytest.fixture
def settings(make_settings):
    """Two tenants with listens of one name; half of a tenant's rows may be bad."""
    return make_settings(
        [{**a_tenant(t, source_of(t)), "bad_row_budget": 0.5} for t in ("t1", "t2")]
    )  # fmt: skip


def gated(settings, tenant_id: str, run_id: str = "run") -> silver.Landed:
    bronze.extract(settings, tenant_id, DAY_ONE, run_id)
    gates.bronze(settings, tenant_id, DAY_ONE, run_id)
    return land_staged(settings, tenant_id, DAY_ONE, run_id)


def plays(settings, tenant_id: str = "t1") -> pl.DataFrame:
    return read.scan(settings, "plays", tenant_id).sort("started_at", "play_id").collect()


def test_a_dump_lands_and_each_tenant_keeps_its_own(settings):
    more = {"recording_mbid": MBID, "artist_mbids": [ARTIST], "duration_ms": 200_000}
    one = of_dump(**more, duration_played=120)
    drop_text(
        settings, "t1/1.listens", lines(one, of_dump("ann", duration=200), of_dump(at=NOON + 1))
    )
    drop_text(settings, "t2/1.listens", lines(of_dump(artist_mbids=[ARTIST, MBID])))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)

    heard = plays(settings).select("listener_id", "listened_ms", "track_ms", "started_at")
    noon = datetime(2025, 1, 6, 12, tzinfo=UTC)
    assert set(heard.rows()) == {
        ("rob", 120_000, 200_000, noon), ("ann", None, 200_000, noon),
        ("rob", None, None, noon.replace(second=1)),
    }  # fmt: skip
    track = read.scan(settings, "tracks", "t1").filter(pl.col("track_id") == MBID).collect()
    assert track.select("title", "artist_name", "album", "duration_ms").rows() == [
        ("Hey\t& you", 'AC\\DC "live"', "Red", 200_000)
    ]
    artists = read.scan(settings, "artists").sort("tenant_id").collect()
    assert artists.select("tenant_id", "external_id").rows() == [("t1", ARTIST), ("t2", None)]
    assert artists["artist_id"].n_unique() == 1
    assert plays(settings, "t2").height == 1
    before = content_hash(settings)
    assert gated(settings, "t1", "again").touched is None
    assert content_hash(settings) == before


def test_the_export_of_a_user_and_the_dump_tell_the_same_play(make_settings):
    tenants = [a_tenant(t, source_of(t, "{date}*")) for t in ("t1", "t2")]
    settings = make_settings(tenants)
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("feedback.jsonl", '{"recording_msid": "x", "score": 1}\n')
        archive.writestr("listens/2025/1.jsonl", of_export() + "\n")
        archive.writestr("listens/2025/2.jsonl", of_export(NOON + 1, recording_mbid=MBID) + "\n")
        archive.writestr("pinned_recording.jsonl", "{}\n")
        archive.writestr("user.json", '{"user_id": 7, "username": "rob"}\n')
    for tenant in ("t1", "t2"):
        drop_text(settings, f"{tenant}/2025-01-06.listens", lines(of_dump(), of_dump(at=NOON + 1)))
        run(settings, tenant, DAY_ONE, "dump")
    drop_text(settings, "t1/2025-01-07.zip", kept.getvalue())
    counts = run(settings, "t1", DAY_TWO, "export").rows["plays"]

    assert (counts["landed"], counts["duplicates"], counts["corrected"]) == (0, 1, 1)
    assert plays(settings)["track_id"].to_list()[1] == MBID
    assert MBID not in plays(settings, "t2")["track_id"].to_list()


def test_a_bare_export_is_its_owners_and_zstd_is_unpacked(make_settings):
    settings = make_settings([a_tenant(t, source_of(t, "*.zst")) for t in ("t1", "t2")])
    nobody = {k: v for k, v in of_dump().items() if k not in ("user_id", "user_name")}
    numbered = {k: v for k, v in of_dump().items() if k != "user_name"}
    for tenant, listens in (("t1", (of_export(), numbered)), ("t2", (nobody,))):
        packed = pa.Codec("zstd").compress(lines(*listens), asbytes=True)
        drop_text(settings, f"{tenant}/1.listens.zst", packed)
        run(settings, tenant, DAY_ONE, "run")
    assert sorted(plays(settings)["listener_id"]) == ["7", "owner"]
    assert plays(settings, "t2")["listener_id"].to_list() == ["owner"]


def test_damaged_lines_are_set_aside_alone_with_their_number(settings, monkeypatch):
    monkeypatch.setattr(json_lines, "PIECE", 300)
    whole = json.dumps(of_dump())
    odd = [
        whole[:40], "[1, 2]", "5", whole.replace('"Red"', '"R\x00ed"'),
        json.dumps(of_dump()).encode().replace(b"Red", b"R\xff"),
        {**of_dump(), "track_metadata": {"artist_name": ["A"], "track_name": "Hey"}},
        of_dump(at="noon"), of_dump(duration_ms="long"), of_dump(duration_played=2**40),
    ]  # fmt: skip
    content = b"\xef\xbb\xbf" + lines(of_dump(), "", *odd, of_dump(at=NOON + 1))
    drop_text(settings, "t1/1.listens", content.replace(b"\n", b"\r\n"))
    drop_text(settings, "t2/1.listens", lines(of_dump()))
    for tenant in ("t1", "t2"):
        run(settings, tenant, DAY_ONE, "run")

    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("row_number", "rule", "value").rows() == [
        *((n, "row_parses", None) for n in range(2, 8)),
        (8, "type:at", "noon"), (9, "type:duration_ms", "long"),
        (10, "type:duration_played", str(2**40)),
    ]  # fmt: skip
    assert plays(settings)["started_at"].dt.second().to_list() == [0, 1]
    assert plays(settings, "t2").height == 1


def test_what_the_gate_sets_aside_is_a_listen_without_time_or_track(settings):
    shapes: list[dict[str, Any]] = [
        {**of_dump(), "timestamp": None},
        {**of_dump(), "track_metadata": "text"},
        {**of_dump(), "track_metadata": {"artist_name": "A", "additional_info": []}},
    ]
    zero = of_dump(at=NOON + 1, duration_ms=0, duration_played=0)
    drop_text(settings, "t1/1.listens", lines(of_dump(), zero, of_dump(at=NOON + 2), *shapes))
    assert gated(settings, "t1").rows["plays"]["landed"] == 3
    assert plays(settings).select("listened_ms", "track_ms").rows()[1] == (0, None)
    found = quarantine.scan(settings, "t1").sort("row_number", "rule").collect()
    assert found.select("row_number", "rule").rows() == [
        (3, "started_at_is_given"), (4, "track_id_is_given"), (5, "track_id_is_given"),
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_brings_nothing_and_stops_nothing(settings, content):
    drop_text(settings, "t1/1.listens", content)
    assert run(settings, "t1", DAY_ONE, "run").rows["plays"]["rows_in"] == 0


def test_what_holds_no_listens_is_named_with_its_owner(make_settings):
    settings = make_settings([a_tenant(t, source_of(t, "x.*")) for t in ("t1", "t2", "t3")])
    for tenant, names in (("t2", ("read me.md",)), ("t3", ("1.jsonl", "user.json"))):
        with zipfile.ZipFile(drop_text(settings, f"{tenant}/x.zip", b""), "w") as archive:
            for name in names:
                archive.writestr(name, of_export())
    drop_text(settings, "t1/x.jsonl", '{"recording_msid": "x", "score": 1}\n')

    with pytest.raises(SchemaError, match=r"t1: source listens: .*x.jsonl names no track.*Ann"):
        bronze.extract(settings, "t1", DAY_ONE, "run")
    with pytest.raises(SchemaError, match=r"t2: source listens: t2/x.zip holds no file .*Ann"):
        bronze.extract(settings, "t2", DAY_ONE, "run")
    with pytest.raises(SourceError, match=r"t3: source listens: .*user.json names no `username`"):
        bronze.extract(settings, "t3", DAY_ONE, "run")


def test_files_of_a_dump_are_one_source_and_other_objects_are_none(tmp_path):
    for name in ("2024/1.listens", "2025/1.listens", "listens/2025/1.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(lines(of_dump()))
    (tmp_path / "feedback.jsonl").write_text('{"recording_msid": "x", "score": 1}\n')
    found = sniff(tmp_path)
    assert {s.format for s in found.sources} == {"listenbrainz_dump"}
    assert (found.files, found.unknown) == ({"listens": 2, "listens_2": 1}, ("feedback.jsonl",))


def test_no_bytes_break_the_reader(make_settings, tmp_path):
    content = lines(of_dump(duration_ms=1, artist_mbids=[ARTIST]), of_export())
    sample = Sample("listenbrainz_dump", "1.listens", content, 2)
    settings = make_settings()

    @examples(max_examples=FEW, deadline=None, database=None)
    @given(spliced(sample.content))
    def holds(content: bytes) -> None:
        check(sample, taken(settings, sample, content, tmp_path))

    holds()
