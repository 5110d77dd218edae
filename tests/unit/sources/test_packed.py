"""Packed files: what comes out, and what is refused before it fills the memory."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile

import pyarrow as pa
import pytest

from analytics.errors import SourceError
from analytics.lake import quarantine, read
from analytics.sources import packed
from tests.landing import DAY_ONE, a_line, a_tenant, drop, drop_text, run

MIB = 1 << 20


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


@pytest.fixture
def settings(make_settings):
    """t1's logs are packed, t2 has the same ids in a plain one."""
    source = {
        "name": "events", "format": "eventsim", "owner": "app team",
        "path": "{landing}/t1/events/{date}.jsonl.*",
    }  # fmt: skip
    settings = make_settings([a_tenant("t1", source), a_tenant("t2")])
    drop(settings, "t2", "2025-01-06", a_line())
    return settings


def a_zip(members: dict[str, bytes]) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return kept.getvalue()


def log(*numbers: int) -> bytes:
    return b"".join(json.dumps(a_line(itemInSession=n)).encode() + b"\n" for n in numbers)


def drop_packed(settings, suffix: str, content: bytes) -> None:
    drop_text(settings, f"t1/events/2025-01-06.jsonl.{suffix}", content)


def plays(settings, tenant: str) -> int:
    return read.scan(settings, "plays", tenant).collect().height


def test_a_zip_gives_each_of_its_files_and_counts_their_rows_on(settings):
    drop_packed(
        settings, "zip",
        a_zip({"b/2.jsonl": log(2, 3), "a/1.jsonl": log(0, 1), ".DS_Store": b"x",
               "__MACOSX/a/._1.jsonl": b"x", "../../outside.jsonl": log(4)}),
    )  # fmt: skip
    for tenant in ("t1", "t2"):
        run(settings, tenant, DAY_ONE, "run")
    rows = read.scan(settings, "events", layer="bronze/t1").collect().sort("_row")
    assert rows["_row"].to_list() == [0, 1, 2, 3]
    assert rows["itemInSession"].to_list() == [0, 1, 2, 3]
    assert (plays(settings, "t1"), plays(settings, "t2")) == (4, 1)


def test_what_would_grow_without_bound_is_refused_and_names_its_owner(settings, monkeypatch):
    monkeypatch.setattr(packed, "SMALL", 4 * MIB)
    drop_packed(settings, "gz", gzip.compress(b" " * (64 * MIB)))
    message = r"^t1: source events: .*\(it unpacks to more than .* bytes.*app team"
    with pytest.raises(SourceError, match=message):
        run(settings, "t1", DAY_ONE, "run")
    assert run(settings, "t2", DAY_ONE, "run").rows["plays"]["landed"] == 1


@pytest.mark.parametrize("suffix", ["gz", "zst", "zip"])
def test_each_packing_has_the_same_bound(suffix, monkeypatch):
    monkeypatch.setattr(packed, "SMALL", MIB)
    big = b"0" * (32 * MIB)
    parts = {f"{n}.csv": big[: MIB // 2] for n in range(8)}
    content = {"gz": gzip.compress(big), "zst": zstd(big), "zip": a_zip(parts)}[suffix]
    with pytest.raises(packed.Grown, match="unpacks to more than"):
        drained(content, f"plays.csv.{suffix}")


def drained(content: bytes, name: str) -> int:
    """How many bytes come out of a packed file."""
    size = 0
    for _, stream in packed.members(io.BytesIO(content), name, len(content)):
        while piece := stream.read(MIB):
            size += len(piece)
    return size


def test_a_zip_of_too_many_files_is_refused(monkeypatch):
    monkeypatch.setattr(packed, "MOST_MEMBERS", 3)
    with pytest.raises(packed.Grown, match="holds 4 files, more than 3"):
        drained(a_zip({f"{n}.csv": b"" for n in range(4)}), "a.zip")


def encrypted() -> bytes:
    """A zip whose only file claims to need a password."""
    content = bytearray(a_zip({"1.jsonl": log(0)}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content[at : at + 2] = struct.pack("<H", 1)
    return bytes(content)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("gz", gzip.compress(log(*range(2000)))[:-200]),
        ("gz", b"no gzip at all"),
        ("zst", zstd(log(*range(2000)))[:-200]),
        ("zst", b"no zstd at all"),
        ("zip", a_zip({"1.jsonl": log(0)})[:-30]),
        ("zip", encrypted()),
    ],
)
def test_damage_takes_nothing_of_the_file_and_says_so(settings, suffix, content):
    drop_packed(settings, suffix, content)
    message = r"^t1: source events: t1/events/.* is damaged or cut off .* Nothing of it was taken"
    with pytest.raises(SourceError, match=message):
        run(settings, "t1", DAY_ONE, "run")
    assert quarantine.scan(settings, "t1").collect().is_empty()
    assert run(settings, "t2", DAY_ONE, "run").rows["plays"]["landed"] == 1
    drop_packed(settings, suffix, a_whole(suffix))
    assert run(settings, "t1", DAY_ONE, "again").rows["plays"]["landed"] == 2


def a_whole(suffix: str) -> bytes:
    pack = {"gz": gzip.compress, "zst": zstd, "zip": lambda t: a_zip({"1": t})}
    return pack[suffix](log(0, 1))
