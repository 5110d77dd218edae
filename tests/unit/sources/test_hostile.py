"""Whatever bytes come: rows, rejects or one clear refusal, in bounded time and memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from analytics.errors import SourceError
from analytics.lake.lineage import ORIGIN, REJECTS
from analytics.lake.tables import TABLES
from analytics.sources import reader
from analytics.sources.base import Batch
from analytics.sources.sniff import sniff
from tests.unit.sources.samples import (
    SAMPLES,
    Sample,
    conformed,
    declared,
    formats_of_files,
    taken,
)

EVERY = pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.format}-{s.name}")
FEW, MANY = 15, 2000  # mutations a format, in `make test` and in `make test-long`

NASTY = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\n\n", b'"', b'""', b"'", b",",
    b"\t", b";", b"{", b"}", b"[", b"]", b"\\", b"\\u0000", b"\\ud800", b"NaN", b"Infinity",
    b"-Infinity", b"1e400", b"-1", b"99999999999999999999", b"0001-01-01T00:00:00Z",
    b"1969-12-31T23:59:59Z", b"9999-12-31T23:59:59Z", b"2025-02-30", b"'; drop table plays; --",
    b"tenant_id", b"_row", b"null", b"true", "é".encode("latin-1"), "😀".encode(), b"\x1f",
    b"PK\x03\x04", b"\x1f\x8b\x08", b"a" * 5000, b"[" * 300, b'{"a":' * 300,
]  # fmt: skip


def check(sample: Sample, found: list[Batch] | SourceError, tenant_id: str = "t1") -> None:
    """The promise of a reader."""
    if isinstance(found, SourceError):
        text = str(found)
        assert text.startswith(f"{tenant_id}: source theirs: ")
        assert "data team" in text
        return
    tenant, source = declared(sample, tenant_id, Path("/landing"))
    types = {"tenant_id": pl.String, **reader(sample.format).schema(source), **ORIGIN}
    for batch in found:
        assert dict(batch.rows.schema) == {c: _made(t) for c, t in types.items()}
        assert dict(batch.rejects.schema) == {c: _made(t) for c, t in REJECTS.items()}
        assert (batch.rows["tenant_id"] == tenant_id).all()
    good = [n for b in found for n in b.rows["_row"]]
    bad = {n for b in found for n in b.rejects["row"]}
    assert len(good) == len(set(good)), "a row came twice"
    assert not bad.intersection(good), "a row is good and set aside"
    for table, frame in conformed(tenant, source, found):
        assert frame.columns[: len(TABLES[table].columns)] == list(TABLES[table].columns)


def _made(dtype: object) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[return-value]


def test_every_format_of_files_has_a_sample():
    assert {sample.format for sample in SAMPLES} == formats_of_files()


@EVERY
def test_a_whole_file_comes_whole_for_two_tenants_with_the_same_ids(
    sample, make_settings, tmp_path
):
    for tenant in ("t1", "t2"):
        found = taken(make_settings(), sample, sample.content, tmp_path, tenant)
        check(sample, found, tenant)
        assert not isinstance(found, SourceError)
        assert sum(b.rows.height for b in found) == sample.rows
        assert sum(b.rejects.height for b in found) == 0


@EVERY
def test_a_whole_file_is_taken_for_what_it_is(sample, tmp_path):
    folder = tmp_path / (sample.fields.get("table") or "given")
    folder.mkdir()
    (folder / sample.name).write_bytes(sample.content)
    if "columns" in sample.fields:
        pytest.skip("a declared mapping is declared, not recognised")
    assert [s.format for s in sniff(tmp_path).sources] == [sample.format]


def spliced(content: bytes) -> st.SearchStrategy[bytes]:
    """The content after a few cuts, repetitions and insertions."""

    def apply(steps: list[tuple[int, int, bytes]]) -> bytes:
        made = content
        for start, length, piece in steps:
            at = start % (len(made) + 1)
            made = made[:at] + piece + made[at + length :]
        return made

    piece = st.one_of(st.sampled_from(NASTY), st.binary(max_size=8), st.just(b""))
    step = st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), piece)
    return st.lists(step, min_size=1, max_size=4).map(apply)


@EVERY
@pytest.mark.parametrize("many", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
def test_no_bytes_break_a_reader(sample, many, make_settings, tmp_path):
    settings = make_settings()

    @examples(
        max_examples=many, deadline=timedelta(seconds=20), database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(spliced(sample.content))
    def holds(content: bytes) -> None:
        check(sample, taken(settings, sample, content, tmp_path))

    holds()


@EVERY
@pytest.mark.parametrize("content", [b"", b"\n", b"\x00" * 4096, b"\xef\xbb\xbf", b"{}", b"[]",
                                     b"null", b"\xff" * 4096, b"," * 100_000])  # fmt: skip
def test_files_without_sense_are_refused_or_bring_nothing(sample, content, make_settings, tmp_path):
    found = taken(make_settings(), sample, content, tmp_path)
    check(sample, found)
    if not isinstance(found, SourceError):
        assert sum(b.rows.height for b in found) == 0
