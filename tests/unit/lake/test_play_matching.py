"""Plays that two sources both tell of: who is compared, who is joined, and how often rightly."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from hashlib import md5
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from analytics.interval import Interval
from analytics.lake import play_matching
from analytics.lake.play_matching import (
    MATCHES,
    SCROBBLED,
    SCROBBLED_TO_THE_MINUTE,
    TO_THE_MINUTE,
    TO_THE_SECOND,
    Clock,
    Heard,
    matches,
)
from analytics.settings import PROJECT, Settings, load_settings
from analytics.simulate.run import simulate
from analytics.sources import reader
from analytics.sources.base import Unit
from analytics.sources.spotify_account import SpotifyAccount
from analytics.sources.spotify_extended import SpotifyExtended
from analytics.sources.typed import typed_batch
from analytics.tenants import Tenant, load_tenants
from tests.builders import NOON, a_frame, a_play, a_row
from tests.unit.simulate.small_worlds import START, small

Names = tuple[str | None, str | None]  # artist, title
SONG: Names = ("Can", "Halleluhwah")


def heard(clock: Clock, *plays: dict[str, Any], songs: dict[str, Names] | None = None) -> Heard:
    """Plays and their songs (default: every track is SONG), for both tenants alike."""
    tracks = [
        a_row("tracks", tenant, track_id=track_id, artist_name=artist, title=title)
        for tenant in ("t1", "t2")
        for track_id, (artist, title) in (songs or {"s1": SONG}).items()
    ]
    return Heard(a_frame("plays", *plays), a_frame("tracks", *tracks), clock)


def at(seconds: float) -> dict[str, Any]:
    return {"started_at": NOON + timedelta(seconds=seconds)}


def pairs(found: pl.DataFrame) -> set[tuple[str, str, str]]:
    return set(found.select("tenant_id", "play_id", "same_as").rows())


# ------------------------------------------------------------ who is compared


def test_one_play_in_two_sources_is_one_pair_in_its_own_tenant_alone():
    fine = heard(TO_THE_SECOND, a_play(play_id="p"), a_play("t2", play_id="p", **at(7200)))
    coarse = heard(TO_THE_MINUTE, a_play(play_id="q", **at(-30)), a_play("t2", play_id="q"))
    found = matches(fine, coarse)
    assert dict(found.schema) == {c: t() for c, t in MATCHES.items()}
    assert found.rows() == [("t1", "q", "p", 0.9934, "same_names")]
    both = heard(TO_THE_SECOND, a_play(play_id="p"), a_play("t2", play_id="p"))
    assert pairs(matches(both, coarse)) == {("t1", "q", "p"), ("t2", "q", "p")}


def test_another_listener_or_another_song_is_never_compared():
    fine = heard(TO_THE_SECOND, a_play())
    songs = {"s2": ("Can", "Vitamin C"), "s3": ("Can", "Halleluhwah (Live)")}
    coarse = heard(
        TO_THE_MINUTE, a_play(play_id="a", track_id="s2"), a_play(play_id="b", track_id="s3"),
        songs=songs,
    )  # fmt: skip
    assert matches(fine, coarse).is_empty()
    assert matches(fine, heard(TO_THE_MINUTE, a_play(play_id="q", listener_id="l2"))).is_empty()


def test_a_listener_is_who_the_declaration_says_within_each_tenant():
    fine = heard(TO_THE_SECOND, a_play(listener_id="anna"), a_play("t2", listener_id="anna"))
    coarse = heard(
        TO_THE_MINUTE,
        a_play(play_id="q", listener_id="owner"), a_play("t2", play_id="q", listener_id="owner"),
        a_play(play_id="r", listener_id="anna"),
    )  # fmt: skip
    known = pl.DataFrame({"tenant_id": ["t1"], "listener_id": ["owner"], "same_as": ["anna"]})
    assert pairs(matches(fine, coarse, known)) == {("t1", "q", "p1")}
    assert pairs(matches(fine, coarse)) == {("t1", "r", "p1")}


@pytest.mark.parametrize(
    ("clock", "seconds", "is_one"),
    [
        (TO_THE_MINUTE, -60, True),
        (TO_THE_MINUTE, -60.001, False),
        (TO_THE_MINUTE, 1, True),
        (TO_THE_MINUTE, 1.001, False),
        (SCROBBLED, -30, True),
        (SCROBBLED, 31.001, False),
        (SCROBBLED_TO_THE_MINUTE, -90, True),
        (SCROBBLED_TO_THE_MINUTE, -91, False),
    ],
)
def test_starts_that_the_clocks_do_not_allow_are_two_plays(clock, seconds, is_one):
    found = matches(heard(TO_THE_SECOND, a_play()), heard(clock, a_play(**at(seconds))))
    assert found.height == is_one


@pytest.mark.parametrize(
    ("clock", "length", "is_one"),
    [
        (TO_THE_MINUTE, 180_000, True),
        (TO_THE_MINUTE, 180_001, False),
        (SCROBBLED, 181_000, True),
        (SCROBBLED, 181_001, False),
        (SCROBBLED, None, True),
    ],
)
def test_lengths_that_both_know_must_agree(clock, length, is_one):
    coarse = heard(clock, a_play(play_id="q", listened_ms=length))
    assert matches(heard(TO_THE_SECOND, a_play()), coarse).height == is_one


@pytest.mark.parametrize(
    "names", [("CAN", "Halleluhwah - 2004 Remaster"), ("Can feat. Damo Suzuki", "halleluhwah")]
)
def test_spellings_of_one_recording_are_one_song(names):
    coarse = heard(TO_THE_MINUTE, a_play(play_id="q", track_id="x"), songs={"x": names})
    assert matches(heard(TO_THE_SECOND, a_play()), coarse)["rule"].to_list() == ["same_names"]


@pytest.mark.parametrize(
    ("artist", "length", "is_one"),
    [("Various Artists", 180_000, True), (None, 180_000, True), ("Various Artists", None, False),
     ("Various Artists", 400, False)],
)  # fmt: skip
def test_the_title_alone_is_enough_only_with_a_length_that_tells(artist, length, is_one):
    fine = heard(TO_THE_SECOND, a_play(listened_ms=length or 180_000))
    songs = {"x": (artist, "Halleluhwah")}
    coarse = heard(
        TO_THE_MINUTE, a_play(play_id="q", track_id="x", listened_ms=length), songs=songs
    )
    assert matches(fine, coarse)["rule"].to_list() == ["same_title"] * is_one


def test_a_play_joined_by_both_names_is_not_joined_again_by_its_title():
    songs = {"s1": SONG, "x": ("Various Artists", "Halleluhwah")}
    alone = heard(TO_THE_SECOND, a_play(play_id="p"))
    two = heard(
        TO_THE_MINUTE, a_play(play_id="a", track_id="x", **at(-30)), a_play(play_id="b"),
        songs=songs,
    )  # fmt: skip
    assert pairs(matches(alone, two)) == {("t1", "b", "p")}
    assert pairs(matches(two, alone)) == {("t1", "p", "b")}


def test_two_sources_to_the_instant_meet_at_the_instant():
    exact = Clock(timedelta(0), timedelta(0), timedelta(0))
    coarse = heard(exact, a_play(play_id="q"), a_play(play_id="r", **at(0.000001)))
    assert matches(heard(exact, a_play()), coarse).rows() == [
        ("t1", "q", "p1", 1.0, "same_names")
    ]  # fmt: skip


def test_a_play_without_a_name_or_a_start_has_no_match():
    fine = heard(TO_THE_SECOND, a_play(), a_play(play_id="p2", track_id="unnamed"))
    coarse = heard(
        TO_THE_MINUTE, a_play(play_id="q", started_at=None), a_play(play_id="r", track_id="unnamed")
    )
    assert matches(fine, coarse).is_empty()
    assert matches(coarse, fine).is_empty()


# -------------------------------------------------------------- who is joined


def test_a_song_on_repeat_is_joined_play_by_play_also_where_one_is_missing():
    starts = [n * 200 for n in range(6)]
    fine = heard(TO_THE_SECOND, *(a_play(play_id=f"p{n}", **at(n)) for n in starts if n != 400))
    coarse = heard(TO_THE_MINUTE, *(a_play(play_id=f"q{n}", **at(n // 60 * 60)) for n in starts))
    expected = {("t1", f"q{n}", f"p{n}") for n in starts if n != 400}
    assert pairs(matches(fine, coarse)) == expected


def test_a_crowd_that_nobody_can_tell_apart_is_left_alone(monkeypatch):
    monkeypatch.setattr(play_matching, "MOST", 3)
    crowd = [a_play(play_id=f"p{n}", listened_ms=0, **at(0.001 * n)) for n in range(4)]
    lone = a_play("t2", play_id="p0")
    coarse = heard(TO_THE_MINUTE, a_play(play_id="q", listened_ms=0), a_play("t2", play_id="q"))
    assert pairs(matches(heard(TO_THE_SECOND, *crowd, lone), coarse)) == {("t2", "q", "p0")}
    assert matches(heard(TO_THE_SECOND, *crowd[1:], lone), coarse).height == 2


def test_the_rounds_of_joining_end_whatever_comes(monkeypatch):
    chain = [0.0, 20.0, 39.0, 57.0, 74.0, 90.0]  # each nearer to the next than to the one before
    plays = [a_play(play_id=f"p{n}", listened_ms=None, **at(s)) for n, s in enumerate(chain)]
    fine, coarse = heard(SCROBBLED, *plays[::2]), heard(SCROBBLED, *plays[1::2])
    monkeypatch.setattr(play_matching, "ROUNDS", 1)
    assert pairs(matches(fine, coarse)) == {("t1", "p5", "p4")}
    monkeypatch.setattr(play_matching, "ROUNDS", 3)
    assert matches(fine, coarse).height == 3


some_plays = st.lists(
    st.tuples(st.sampled_from(["t1", "t2"]), st.integers(0, 200), st.sampled_from([0, 500, None])),
    max_size=14,
)


@examples(max_examples=60, deadline=None, database=None)
@given(some_plays, some_plays, st.randoms(use_true_random=False))
def test_joined_are_the_likest_first_whatever_the_order_of_the_rows(ours, theirs, random):
    def side(clock: Clock, given_plays: list[tuple[str, int, int | None]]) -> Heard:
        rows = [
            a_play(tenant, play_id=f"p{n}", listened_ms=length, **at(seconds))
            for n, (tenant, seconds, length) in enumerate(given_plays)
        ]
        random.shuffle(rows)
        return heard(clock, *rows)

    found = matches(side(SCROBBLED, ours), side(TO_THE_MINUTE, theirs))
    likeness = sorted(
        (tenant, -_score(late - early, length, other), late, early, f"p{n}", f"p{k}")
        for n, (tenant, late, length) in enumerate(theirs)
        for k, (same_tenant, early, other) in enumerate(ours)
        if tenant == same_tenant and -90 <= late - early <= 30
        and (length is None or other is None or abs(length - other) <= 1000)
    )  # fmt: skip
    taken: set[tuple[str, str, str]] = set()
    expected = set()
    for tenant, _, _, _, theirs_id, ours_id in likeness:
        ends = {(tenant, "their", theirs_id), (tenant, "our", ours_id)}
        if not ends & taken:
            taken |= ends
            expected.add((tenant, theirs_id, ours_id))
    assert pairs(found) == expected


def _score(late: int, length: int | None, other: int | None) -> float:
    alike = 0.5 if length is None or other is None else 1 - abs(length - other) / 1001
    return round(0.6 * alike + 0.4 * (1 - abs(late + 30) / 60), 4)


# ------------------------------------------------- how often rightly, measured


def is_in(half: str, key: object) -> bool:
    """A fixed half of everything, another for each name."""
    return md5(f"{half} {key}".encode()).digest()[0] % 2 == 0


def judged(found: pl.DataFrame, truth: dict[tuple[str, str], set[str]]) -> tuple[float, float]:
    """Precision and recall; `truth` has the right plays of each (tenant, play) that has any."""
    right = sum(kept in truth.get((t, play), ()) for t, play, kept in pairs(found))
    return right / max(found.height, 1), right / len(truth)


def conformed(handler: Any, rows: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    """The rows of one Spotify export as our tables; play n is made of row n."""
    entry = {"name": "s", "format": handler.format, "path": "/nowhere"}
    tenant = Tenant.model_validate({"id": "t1", "name": "t1", "sources": [entry]})
    types = handler.schema(tenant.sources[0])
    texts = [{k: None if v is None else str(v) for k, v in row.items()} for row in rows]
    frame = pl.DataFrame(texts, schema=dict.fromkeys(types, pl.String))
    batch = typed_batch(tenant, tenant.sources[0], "plays", Unit("f", "0", None), frame, types)
    return handler.conform(tenant, tenant.sources[0], batch.rows)


def as_account_data(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "endTime": row["ts"][:16].replace("T", " "), "msPlayed": row["ms_played"],
        "artistName": row["master_metadata_album_artist_name"] or row["episode_show_name"],
        "trackName": row["master_metadata_track_name"] or row["episode_name"],
    }  # fmt: skip


@pytest.fixture(scope="module")
def real_rows(real_data) -> list[dict[str, Any]]:
    """Every row of a real history once, of plays that are named."""
    file = real_data / "listening" / "spotify_extended" / "userA_2013-2024.zip"
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        rows = [row for name in names for row in json.loads(archive.read(name))]
    once = {json.dumps(row, sort_keys=True): row for row in rows}.values()
    return [row for row in once if as_account_data(row)["trackName"]]


@pytest.mark.parametrize(
    "in_history",
    [lambda n: True, lambda n: is_in("history", n)],
    ids=["half of it in the account data", "other halves of it in both"],
)
def test_a_real_history_meets_its_own_coarser_export(real_rows, in_history: Callable[[int], bool]):
    fine = conformed(SpotifyExtended(), real_rows)
    coarse = conformed(SpotifyAccount(), [as_account_data(row) for row in real_rows])
    ids = list(zip(fine["plays"]["play_id"], coarse["plays"]["play_id"], strict=True))
    mine = {kept for n, (kept, _) in enumerate(ids) if in_history(n)}
    theirs = {other for n, (_, other) in enumerate(ids) if is_in("account", n)}
    truth = defaultdict(set)
    for n, (kept, other) in enumerate(ids):
        if is_in("account", n) and in_history(n):
            truth["t1", other].add(kept)

    once = coarse["plays"].unique("play_id").filter(pl.col("play_id").is_in(theirs))
    found = matches(
        Heard(fine["plays"].filter(pl.col("play_id").is_in(mine)), fine["tracks"], TO_THE_SECOND),
        Heard(once, coarse["tracks"], TO_THE_MINUTE),
        pl.DataFrame({"tenant_id": ["t1"], "listener_id": ["owner"], "same_as": ["user_a"]}),
    )
    precision, recall = judged(found, truth)
    print(f"{found.height} pairs, {precision=}, {recall=}")
    assert len(truth) > 10_000
    assert precision >= 0.997
    assert recall >= 0.999


def test_halves_of_a_real_history_that_share_no_play_are_hardly_joined(real_rows):
    first = [row for n, row in enumerate(real_rows) if is_in("history", n)]
    second = [as_account_data(r) for n, r in enumerate(real_rows) if not is_in("history", n)]
    fine, coarse = conformed(SpotifyExtended(), first), conformed(SpotifyAccount(), second)
    found = matches(
        Heard(fine["plays"], fine["tracks"], TO_THE_SECOND),
        Heard(coarse["plays"].unique("play_id"), coarse["tracks"], TO_THE_MINUTE),
        pl.DataFrame({"tenant_id": ["t1"], "listener_id": ["owner"], "same_as": ["user_a"]}),
    )
    print(f"{found.height} of {len(second)} joined wrongly")
    assert found.height < 0.002 * len(second)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> dict[str, dict[str, pl.DataFrame]]:
    """Plays and tracks of five days of two simulated services whose ids are the same."""
    folder = tmp_path_factory.mktemp("simulated")
    config = small(5, late_share=0.0, duplicate_share=0.0, damaged_share=0.0)
    settings = load_settings({"ANALYTICS_VAR_DIR": str(folder / "var")}, dotenv=None)
    simulate(config, settings.landing, folder / "truth")
    days = Interval.of(START, START + timedelta(days=config.days))
    known = load_tenants(PROJECT / "tenants.yaml")
    return {p.id: _tables(settings, known[p.id], days) for p in config.tenants}


def _tables(settings: Settings, tenant: Tenant, days: Interval) -> dict[str, pl.DataFrame]:
    parts: dict[str, list[pl.DataFrame]] = {"plays": [], "tracks": []}
    for source in tenant.sources:
        handler = reader(source.format)
        if not set(parts).intersection(handler.feeds(source)):
            continue
        for unit in handler.units(settings, tenant, source, days).found:
            for batch in handler.read(settings, tenant, source, unit):
                for name, frame in handler.conform(tenant, source, batch.rows).items():
                    if name in parts:
                        parts[name].append(frame)
    keys = {"plays": "play_id", "tracks": "track_id"}
    return {
        name: pl.concat(frames).unique(["tenant_id", keys[name]], keep="last", maintain_order=True)
        for name, frames in parts.items()
    }


SPELLINGS = ["{}", "{} - 2011 Remaster", "{} (feat. Somebody)", "{} [Explicit]"]


def scrobbled(tables: dict[str, pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What a scrobbler would send of the plays: names, the minute, and only what was heard out.

    Its clock is up to 20 seconds wrong, one scrobble in ten is lost, names are spelt otherwise.
    """
    songs = tables["tracks"].select("tenant_id", "track_id", "title", "artist_name", "duration_ms")
    plays = tables["plays"].join(songs, on=["tenant_id", "track_id"])
    long_enough = pl.min_horizontal(pl.col("duration_ms") // 2, 240_000)
    chance = pl.col("play_id").hash(7)
    sent = plays.filter(
        pl.col("listened_ms") >= pl.max_horizontal(30_000, long_enough), chance % 10 != 0
    ).with_columns(
        (pl.col("started_at") + pl.duration(milliseconds=(chance % 40_000).cast(pl.Int64) - 20_000))
        .dt.truncate("1m").alias("started_at"),
        pl.format("scrobbler {}", "listener_id").alias("listener_id"),
        pl.format("scrobble {}", "play_id").alias("play_id"),
        pl.format("by name {}", "track_id").alias("track_id"),
        pl.lit(None, pl.Int64).alias("listened_ms"),
    )  # fmt: skip
    spelling = pl.col("track_id").hash(7) % len(SPELLINGS)
    title = pl.coalesce(
        pl.when(spelling == n).then(pl.format(text, pl.col("title").str.to_uppercase()))
        for n, text in enumerate(SPELLINGS)
    )
    named = sent.select("tenant_id", "track_id", title.alias("title"), "artist_name")
    tracks = pl.concat([a_frame("tracks"), named.unique()], how="diagonal")
    return sent.select(tables["plays"].columns), tracks


def test_simulated_plays_meet_their_scrobbles_in_two_tenants_at_once(simulated):
    sides = list(simulated.values())
    sent = [scrobbled(tables) for tables in sides]
    plays = pl.concat(tables["plays"] for tables in sides)
    kept = plays.filter(pl.col("play_id").hash(11) % 5 != 0)  # a fifth is not in the finer source
    scrobbles = pl.concat(s for s, _ in sent)
    people = scrobbles.select("tenant_id", "listener_id").unique().with_columns(
        pl.col("listener_id").str.strip_prefix("scrobbler ").alias("same_as")
    )  # fmt: skip
    tracks = pl.concat(tables["tracks"] for tables in sides)
    found = matches(
        Heard(kept, tracks, TO_THE_SECOND),
        Heard(scrobbles, pl.concat(t for _, t in sent), SCROBBLED_TO_THE_MINUTE),
        people,
    )
    here = set(kept.select("tenant_id", "play_id").rows())
    truth = {
        (tenant, play): {play.removeprefix("scrobble ")}
        for tenant, play in scrobbles.select("tenant_id", "play_id").rows()
        if (tenant, play.removeprefix("scrobble ")) in here
    }
    precision, recall = judged(found, truth)
    print(f"{scrobbles.height} scrobbles, {found.height} pairs, {precision=}, {recall=}")
    assert scrobbles["tenant_id"].n_unique() == 2
    assert len(truth) > 500
    assert precision >= 0.99
    assert recall >= 0.99
