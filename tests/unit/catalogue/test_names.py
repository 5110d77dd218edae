"""What the names of a track say, spelling aside."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from analytics.catalogue.names import parsed

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüéñçøßłœжйвλδ"
NAMES = st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=4).map(" ".join)


def said(title: str | None, artist: str | None = "Artist", album: str | None = None) -> dict:
    track = {"tenant_id": "t1", "title": title, "artist_name": artist, "album": album}
    return parsed(pl.DataFrame(track, schema=dict.fromkeys(track, pl.String))).row(0, named=True)


def song_and_recording(title: str) -> tuple[str, str]:
    found = said(title)
    return found["song"], found["recording"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Déjà Vu", "deja vu"),
        ("Don't Stop", "DON\u2019T STOP"),
        ("Rock & Roll", "Rock and Roll"),
        ("Rock &amp; Roll", "Rock & Roll"),
        ("Halo", "Halo (feat. Ana)"),
        ("Halo", "Halo ft. Ana & Bo"),
        ("Halo", "Halo [With Ana]"),
        ("Halo", "Halo (& Ana)"),
        ("Halo", "Halo - Remastered 2011"),
        ("Halo", "Halo - 2011 Digital Remaster"),
        ("Halo", "Halo [Explicit]"),
        ("Halo", "Halo (Album Version (Edited)) [Clean]"),
        ("Halo", "Halo (Bonus Track)"),
        ("Halo", "Halo (Original Mix)"),
        ("Halo (Live)", "Halo - Live"),
        ("Halo - Live", "Halo - Live / Remastered 2009"),
        ("Halo (Light Em Up)", "Halo - Light Em Up"),
        ("(I Can't Get No) Satisfaction", "I Can't Get No Satisfaction"),
        ("Halo, Part II", "Halo, Pt. 2"),
        ("Strasse", "STRAẞE"),
    ],
)
def test_two_spellings_of_one_recording_say_the_same(one, other):
    assert song_and_recording(one) == song_and_recording(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Halo", "Halo (Live)"),
        ("Halo", "Halo - Acoustic Version"),
        ("Halo", "Halo (Tiësto Remix)"),
        ("Halo (Tiësto Remix)", "Halo (Moby Remix)"),
        ("Halo", "Halo (Karaoke Version)"),
        ("Halo", "Halo (Ana's Version)"),
        ("Halo, Pt. 1", "Halo, Pt. 2"),
        ("Halo (Live at Wembley)", "Halo (Live in Berlin)"),
        ("Live Forever", "Forever"),
    ],
)
def test_two_recordings_never_say_the_same(one, other):
    assert song_and_recording(one) != song_and_recording(other)


@pytest.mark.parametrize(
    ("artist", "whole", "main"),
    [
        ("The Beatles", "beatles", "the beatles"),
        ("Skrillex & Diplo", "skrillex diplo", "skrillex"),
        ("Calvin Harris feat. HAIM", "calvin harris haim", "calvin harris"),
        ("Dillon Francis x DJ Snake", "dillon francis x dj snake", "dillon francis"),
        ("P!nk", "pink", "pink"),
        ("Ke$ha", "kesha", "kesha"),
        ("The The", "the the", "the the"),
        ("!!!", "!!!", "!!!"),
        ("+/-", "and", "and"),
    ],
)
def test_an_artist_is_all_who_are_credited_and_the_one_named_first(artist, whole, main):
    found = said("Song", artist)
    assert (found["artist"], found["main_artist"]) == (whole, main)


def test_an_album_is_its_name_whatever_the_edition():
    assert said("Song", album="Listen (Deluxe Version) [Explicit]")["album"] == "listen"
    assert said("Song", album="Caldwell County - EP")["album"] == "caldwell county"


def test_nothing_given_is_an_empty_word_and_never_null():
    found = said(None, None, None)
    assert [found[c] for c in ("song", "recording", "artist", "main_artist", "album")] == [""] * 5


@tried(max_examples=60, deadline=None)
@given(title=NAMES, artist=NAMES)
def test_case_accents_and_spacing_change_nothing(title, artist):
    def shouted(name: str) -> str:
        return "  " + name.upper().replace(" ", " \t ") + " "

    def accented(name: str) -> str:
        return "".join(f"{c}\u0301" if c in "aeiou" else c for c in name)

    plain = said(title, artist)
    for spelt in (shouted, accented):
        other = said(spelt(title), spelt(artist))
        assert [other[c] for c in ("song", "recording", "artist", "main_artist")] == [
            plain[c] for c in ("song", "recording", "artist", "main_artist")
        ]
