"""Lines cut into fields, as the csv module would where they are whole, and set aside where not."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.sources import json_lines
from analytics.sources.delimited import Layout, parsed, pieces

THREE = Layout({"first": 0, "last": 2}, width=3)
TABS = Layout({"first": 0, "last": 2}, width=3, separator="\t", is_quoted=False)


def rows(line: bytes, layout: Layout = THREE) -> list[tuple[str | None, str | None]]:
    return parsed(0, [line], layout)[0].select("first", "last").rows()


@pytest.mark.parametrize(
    ("line", "first", "last"),
    [
        (b"a,b,c", "a", "c"),
        (b'"a, A",b,"say ""c"""', "a, A", 'say "c"'),
        (b'"Weird Al" Yankovic,b,"c"', '"Weird Al" Yankovic', "c"),
        (b'"never closed,b,c', '"never closed', "c"),
        (b'12" mix,b,c\r', '12" mix', "c"),
        (b' ,b,""', None, None),
        ("ä,b,\u2028é".encode(), "ä", "\u2028é"),
    ],
)
def test_a_quote_is_one_only_around_a_whole_field(line, first, last):
    assert rows(line) == [(first, last)]


def test_without_quoting_every_quote_belongs_to_the_name():
    assert rows(b'"a"\tb\t""c', TABS) == [('"a"', '""c')]


def test_broken_lines_are_set_aside_by_number_and_the_others_stay():
    lines = [b"a,b,c", b"a,b", b"", b"\xff,b,c", b"a\x00,b,c", b'"a,b', b"d,e,f", b"x" * 5000]
    found, broken = parsed(10, lines, THREE)

    assert found.select("_row", "first").rows() == [(10, "a"), (16, "d")]
    assert broken.select("row", "rule").rows() == [
        (n, "row_parses") for n in (11, 13, 14, 15, 17)
    ]  # fmt: skip
    assert broken["raw"].to_list()[1] == "\ufffd,b,c"


def test_numbers_go_on_over_pieces_and_the_mark_of_utf8_is_no_text(monkeypatch):
    monkeypatch.setattr(json_lines, "PIECE", 7)
    content = b"\xef\xbb\xbfa,b,c\r\nbroken\nd,e,f\n\ng,h,i"
    found, broken = [], []
    for number, lines in pieces(io.BytesIO(content), first=100):
        good, bad = parsed(number, lines, THREE)
        found += good.select("_row", "first", "last").rows()
        broken += bad["row"].to_list()

    assert found == [(100, "a", "c"), (102, "d", "f"), (104, "g", "i")]
    assert broken == [101]


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@settings(max_examples=60, deadline=None, database=None)
@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from([",", "\t", ";"]),
)
def test_what_the_csv_module_writes_comes_back(given_rows, quoting, separator):
    kept = io.StringIO()
    csv.writer(kept, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(
        given_rows
    )
    layout = Layout({"a": 0, "b": 1, "c": 2}, 3, separator)
    found, broken = parsed(0, kept.getvalue().encode().split(b"\n"), layout)

    expected = [
        tuple(field if field.strip() else None for field in row)
        for row in given_rows
        if quoting == csv.QUOTE_ALL or separator != "\t" or any(field.strip() for field in row)
    ]
    assert broken.is_empty()
    assert found.select("a", "b", "c").rows() == expected
