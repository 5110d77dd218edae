"""Names matched to a catalogue: who is chosen, who is not, and never another tenant's."""

from __future__ import annotations

from itertools import permutations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from analytics.catalogue import candidates, match, matching, similarity
from analytics.catalogue.names import parsed
from analytics.lake.tables import TABLES
from tests.builders import a_row

TITLES = st.lists(st.text("abcdeäéø", min_size=1, max_size=6), min_size=1, max_size=4).map(" ".join)
KINDS = st.sampled_from(["", " (Live)", " - Remastered 2011", " [Explicit]", " (Ana Remix)"])
SONGS = st.tuples(TITLES, KINDS).map("".join)
LENGTHS = st.none() | st.integers(60_000, 70_000)
TRACKS = st.lists(st.tuples(SONGS, TITLES, LENGTHS), max_size=8)


def tracks(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TABLES["tracks"].columns)


def a_name(title: str, artist: str | None = "Artist", tenant_id: str = "t1", **changes) -> dict:
    """A track with nothing but names."""
    unknown = dict.fromkeys(["artist_id", "album", "genre", "duration_ms", "released_on"])
    track = {**unknown, "track_id": "n1", "title": title, "artist_name": artist, **changes}
    return a_row("tracks", tenant_id, **track)


def all_of(tenant_id: str, songs: list[tuple], ids: str = "s") -> list[dict]:
    return [
        a_name(title, artist, tenant_id, track_id=f"{ids}{n}", duration_ms=length)
        for n, (title, artist, length) in enumerate(songs)
    ]


def chosen(named: pl.DataFrame, catalogue: pl.DataFrame) -> list[tuple]:
    found = match(named, catalogue)
    return found.select("tenant_id", "track_id", "matched_track_id", "how").rows()


def one(named: dict, *catalogue: dict) -> tuple[str | None, str]:
    return chosen(tracks(named), tracks(*catalogue))[0][2:]


# ---------------------------------------------------------------------- decisions


def test_equal_names_match_without_album_or_length():
    assert one(a_name("Déjà Vu"), a_name("DEJA VU (feat. Bo)", track_id="c1")) == (
        "c1",
        "same_names",
    )


def test_equal_names_match_before_likelier_lengths_of_other_names():
    asked = a_name("Heart", duration_ms=200_000)
    heart = a_name("Heart", track_id="c1", duration_ms=300_000)
    hearts = a_name("Hearts", track_id="c2", duration_ms=200_000)
    assert one(asked, heart, hearts) == ("c1", "same_names")


def test_a_letter_wrong_in_a_long_title_matches():
    asked, song = a_name("Midnight Highway Signal"), a_name("Midnigt Highway Signal", track_id="c1")
    assert one(asked, song) == ("c1", "similar_names")


def test_a_letter_wrong_in_a_short_title_needs_the_length():
    song = a_name("Hello", track_id="c1", duration_ms=295_000)
    assert one(a_name("Helo"), song) == (None, "too_different")
    assert one(a_name("Helo", duration_ms=295_300), song) == ("c1", "similar_names")


@pytest.mark.parametrize("title", ["Halo (Live)", "Halo (Ana Remix)", "Halo - Acoustic"])
def test_another_recording_is_no_match(title):
    assert one(a_name(title), a_name("Halo", track_id="c1"))[0] is None
    assert one(a_name("Halo"), a_name(title, track_id="c1"))[0] is None


def test_the_recording_asked_for_is_taken_of_several():
    songs = [a_name("Halo", track_id="c1"), a_name("Halo - Live", track_id="c2")]
    assert one(a_name("Halo (Live)"), *songs) == ("c2", "same_names")


def test_the_same_title_by_another_artist_is_no_match():
    assert one(a_name("Hello", "Lionel"), a_name("Hello", "Adele", track_id="c1"))[0] is None


def test_a_title_without_an_artist_is_no_match():
    assert one(a_name("Hello", None), a_name("Hello", None, track_id="c1"))[0] is None


def test_two_songs_about_as_likely_are_too_close_to_choose():
    songs = [
        a_name("Midnight Highway Signals", track_id="c1"),
        a_name("Midnight Highway Signale", track_id="c2"),
    ]
    assert one(a_name("Midnight Highway Signal"), *songs) == (None, "too_close")


def test_of_equal_names_album_and_length_choose_and_then_the_first_id():
    asked = a_name("Halo", album="Best Of", duration_ms=200_000)
    single = a_name("Halo", track_id="c1", album="Halo", duration_ms=180_000)
    best_of = a_name("Halo", track_id="c3", album="Best Of", duration_ms=200_100)
    again = a_name("Halo", track_id="c2", album="Best Of", duration_ms=200_100)
    assert one(asked, single, best_of, again)[0] == "c2"
    assert one(a_name("Halo"), best_of, again, single)[0] == "c1"


def test_every_named_track_gives_one_row_and_says_how_sure():
    named = tracks(a_name("Halo"), a_name("Nowhere", track_id="n2"))
    found = match(named, tracks(a_name("Halo", track_id="c1"), a_name("Halos", track_id="c2")))
    assert found["track_id"].to_list() == ["n1", "n2"]
    assert found.schema == matching.MATCHES
    score, second = found.row(0, named=True)["score"], found.row(0, named=True)["second_score"]
    assert 1 > score > 0.5 > second > 0
    assert found.row(1)[2:] == (None, None, "too_different", None)


# ------------------------------------------------------------------------ tenants


def test_two_tenants_with_the_same_names_and_ids_match_their_own():
    named = tracks(a_name("Halo"), a_name("Halo", tenant_id="t2"))
    songs = [
        a_name("Halo", track_id="c1"),
        a_name("Other", track_id="c2"),
        a_name("Other", tenant_id="t2", track_id="c1"),
        a_name("Halo", tenant_id="t2", track_id="c2"),
    ]
    expected = [("t1", "n1", "c1", "same_names"), ("t2", "n1", "c2", "same_names")]
    for order in permutations(songs):
        assert chosen(named, tracks(*order)) == expected


def test_a_song_only_another_tenant_has_is_no_match():
    asked = a_name("Halo", tenant_id="t2")
    assert one(asked, a_name("Halo", track_id="c1")) == (None, "too_different")


@tried(max_examples=40, deadline=None)
@given(named=TRACKS, first=TRACKS, second=TRACKS)
def test_together_the_tenants_get_what_each_gets_alone(named, first, second):
    mine, theirs = (tracks(*all_of(t, named, "n")) for t in ("t1", "t2"))
    songs, others = tracks(*all_of("t1", first)), tracks(*all_of("t2", second))
    together = match(pl.concat([mine, theirs]), pl.concat([others, songs]))
    assert together.equals(pl.concat([match(mine, songs), match(theirs, others)]))


# --------------------------------------------------------------------- properties


@tried(max_examples=60, deadline=None)
@given(
    title=st.text(max_size=30),
    artist=st.text(max_size=20).filter(lambda t: any(c.isalnum() for c in t)),
    length=LENGTHS,
    others=TRACKS,
)
def test_identical_names_always_match(title, artist, length, others):
    twin = a_name(title, artist, track_id="twin", duration_ms=9_000_000, album="Another")
    asked = a_name(title, artist, duration_ms=length, album="One")
    found = match(tracks(asked), tracks(*all_of("t1", others), twin)).row(0, named=True)
    assert found["how"] == "same_names"
    assert found["score"] > matching.THRESHOLD


@tried(max_examples=60, deadline=None)
@given(one=TRACKS, other=TRACKS)
def test_likeness_is_the_same_from_either_side(one, other):
    size = min(len(one), len(other))
    sides = [parsed(tracks(*all_of("t1", songs[:size]))) for songs in (one, other)]

    def compared(ours: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        pairs = [ours, known.rename(lambda c: f"{c}_known")]
        both = pl.concat(pairs, how="horizontal")
        return pl.concat([similarity.of_names(both), similarity.of_track(both)], how="horizontal")

    assert compared(*sides).equals(compared(*reversed(sides)))


@tried(max_examples=60, deadline=None)
@given(named=TRACKS, known=TRACKS, unrelated=st.lists(st.text("xyzw", min_size=2), max_size=6))
def test_unrelated_songs_change_no_match(named, known, unrelated):
    asked, songs = tracks(*all_of("t1", named, "n")), all_of("t1", known)
    more = all_of("t1", [(name, f"{name} q", None) for name in unrelated], "a")
    assert match(asked, tracks(*songs)).equals(match(asked, tracks(*more, *songs)))


@tried(max_examples=30, deadline=None)
@given(named=TRACKS, known=TRACKS, order=st.randoms(use_true_random=False))
def test_order_and_portions_change_nothing(named, known, order):
    asked, songs = all_of("t1", named, "n"), all_of("t1", known)
    whole = match(tracks(*asked), tracks(*songs))
    order.shuffle(asked)
    order.shuffle(songs)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matching, "ROWS", 2)
        assert match(tracks(*asked), tracks(*songs)).equals(whole)


# ------------------------------------------------------------------------- bounds


def test_a_key_that_too_many_names_share_is_no_key():
    songs = all_of("t1", [(f"Halo {n}", "Artist", None) for n in range(candidates.MOST + 1)])
    said = parsed(tracks(a_name("Halo"))).with_row_index("track")
    assert matching.to_compare(said, matching.ready(tracks(*songs))).is_empty()
    assert matching.to_compare(said, matching.ready(tracks(*songs[1:]))).height == candidates.MOST


def test_a_title_of_a_million_words_is_compared_by_its_beginning():
    words = " ".join(f"word{n}" for n in range(1_000_000))
    said = parsed(tracks(a_name(words, words))).with_row_index("track")
    assert candidates.keys(said, "track").height <= 4 + candidates.WORDS
    assert one(a_name(words, words), a_name(words, words, track_id="c1"))[0] == "c1"


def test_equal_names_match_however_many_carry_them():
    twins = [a_name("Intro", track_id=f"c{n:03}") for n in range(3 * candidates.MOST)]
    mixes = all_of("t1", [(f"Intro (DJ {n} Remix)", "Artist", None) for n in range(200)])
    assert one(a_name("INTRO"), *mixes, *twins) == ("c000", "same_names")


def test_an_empty_catalogue_and_no_names_are_answers():
    assert match(tracks(), tracks(a_name("Halo"))).is_empty()
    assert one(a_name("Halo")) == (None, "too_different")
