"""Lines of JSON: every whole one is a row under its number, every other is set aside."""

from __future__ import annotations

import io

import polars as pl
import pytest

from analytics.sources import json_lines
from analytics.sources.json_lines import parsed, pieces

COLUMNS = {"id": pl.Int64, "word": pl.String}
FINE = [b'{"id": %d, "word": "w%d"}' % (n, n) for n in range(40)]


@pytest.mark.parametrize(
    "broken",
    [b'{"id": 7, "wo', b'{"id": 7, "word": }', b"nonsense", b"[1, 2", b'{"id": 7,, "word": "}'],
)
@pytest.mark.parametrize("at", [0, 17, 39])
def test_one_broken_line_is_set_aside_and_the_others_keep_their_numbers(broken, at):
    lines = [*FINE[:at], broken, *FINE[at + 1 :]]
    rows, bad = parsed(100, lines, COLUMNS)
    assert rows["_row"].to_list() == [100 + n for n in range(40) if n != at]
    assert rows["word"].to_list() == [f"w{n}" for n in range(40) if n != at]
    assert bad.select("row", "rule", "raw").rows() == [(100 + at, "row_parses", broken.decode())]


def test_broken_lines_of_every_kind_come_back_in_the_order_of_the_file():
    lines = [b'{"id": 1', b'{"id": }', FINE[2], b"nonsense", b'{"id": 4,, }', FINE[5], b'{"id"']
    rows, bad = parsed(0, lines, COLUMNS)
    assert rows["_row"].to_list() == [2, 5]
    assert bad["row"].to_list() == [0, 1, 3, 4, 6]


def test_blank_lines_and_line_ends_of_other_systems_are_nobodys_row():
    lines = [FINE[0] + b"\r", b"", b"  \r", FINE[1] + b"  "]
    rows, bad = parsed(0, lines, COLUMNS)
    assert rows.select("_row", "word").rows() == [(0, "w0"), (3, "w1")]
    assert bad.is_empty()


def test_cut_lines_cost_no_second_reading_of_the_whole_ones(monkeypatch):
    sizes: list[int] = []
    real = pl.read_ndjson

    def counted(source: io.BytesIO, **options):
        sizes.append(source.getvalue().count(b"\n") + 1)
        return real(source, **options)

    monkeypatch.setattr(json_lines.pl, "read_ndjson", counted)
    lines = list(FINE)
    lines[3], lines[30] = lines[3][:12], lines[30][:9]
    rows, bad = parsed(0, lines, COLUMNS)
    assert (rows.height, bad.height) == (38, 2)
    assert sizes == [38, 2, 1, 1]


def test_pieces_hold_whole_lines_whatever_their_size(monkeypatch):
    monkeypatch.setattr(json_lines, "PIECE", 50)
    found = list(pieces(io.BytesIO(b"\n".join(FINE))))
    assert [line for _, lines in found for line in lines] == FINE
    assert len(found) > 5
    counts = [0, *[len(lines) for _, lines in found]]
    assert [number for number, _ in found] == [sum(counts[: n + 1]) for n in range(len(found))]


@pytest.mark.parametrize("longest", [100, 1000])
def test_a_line_too_long_for_any_event_is_cut_and_the_others_keep_their_numbers(
    monkeypatch, longest
):
    monkeypatch.setattr(json_lines, "PIECE", 64)
    monkeypatch.setattr(json_lines, "LONGEST_LINE", longest)
    monkeypatch.setattr(json_lines, "RAW_WIDTH", 20)
    giant = b'{"id": 1, "word": "' + b"x" * 5000 + b'"}'
    file = io.BytesIO(b"\n".join([FINE[0], giant, FINE[2], giant, FINE[4]]))
    held, numbered = 0, []
    for number, lines in pieces(file):
        held = max(held, sum(map(len, lines)))
        numbered += list(enumerate(lines, number))
    assert [n for n, _ in numbered] == list(range(5))
    assert [line for n, line in numbered if n in (0, 2, 4)] == [FINE[0], FINE[2], FINE[4]]
    assert numbered[1][1] == numbered[3][1] == giant[:20]
    assert held < longest + 200
