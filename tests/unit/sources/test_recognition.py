"""What a file is taken for when every format may claim it: real samples, and files of nobody."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from analytics.errors import SourceError
from analytics.sources.sniff import Sniffed, sniff

# Path of a sample → what it is taken for.
REAL = {
    "listening/hetrec2011-lastfm-2k/artists.dat.gz": "hetrec_lastfm",
    "listening/hetrec2011-lastfm-2k/readme.txt": None,
    "listening/hetrec2011-lastfm-2k/tags.dat.gz": "hetrec_lastfm",
    "listening/hetrec2011-lastfm-2k/user_artists.dat.gz": "hetrec_lastfm",
    "listening/hetrec2011-lastfm-2k/user_friends.dat.gz": "hetrec_lastfm",
    "listening/hetrec2011-lastfm-2k/user_taggedartists.dat.gz": "hetrec_lastfm",
    "listening/30music_sessions/30music-200ks_test.0.txt.gz": "thirty_music",
    "listening/30music_sessions/30music-200ks_test.1.txt.gz": "thirty_music",
    "listening/30music_sessions/30music-200ks_test.2.txt.gz": "thirty_music",
    "listening/audioscrobbler50/artist_alias_small.txt.gz": "audioscrobbler",
    "listening/audioscrobbler50/artist_data_small.txt.gz": "audioscrobbler",
    "listening/audioscrobbler50/user_artist_data_small.txt.gz": "audioscrobbler",
    "listening/lastfm_scrobbles/userA_mbid_epoch.csv.gz": "lastfm_scrobbles",
    "listening/recsys_split_lastfm/item_map.txt": "recsys_lists",
    "listening/recsys_split_lastfm/test.txt": "recsys_lists",
    "listening/recsys_split_lastfm/train.txt": "recsys_lists",
    "listening/recsys_split_lastfm/user_map.txt": "recsys_lists",
    "listening/spotify_account_history/user1/StreamingHistory0.json.gz": "spotify_account",
    "listening/spotify_account_history/user1/StreamingHistory1.json.gz": "spotify_account",
    "listening/spotify_extended/userA_2013-2024.zip": "spotify_extended",
    "features/gtzan_features_30_sec.csv.gz": None,
    "features/mtg_jamendo_autotagging_moodtheme.tsv.gz": "jamendo_tags",
    "features/spotify_songs_tidytuesday.csv.zip": "audio_features",
}
ARCHIVES = {"listening/dend_eventsim_open.tar.gz"}  # unpacked first, as the docs say
ELSEWHERE = ("anomaly", "customer", "forecast", "text")
SUFFIXES = ("txt", "dat", "csv", "tsv", "data", "inter", "json", "jsonl", "idomaar")


def taken(path: Path, folder: Path) -> Sniffed | None:
    """What a folder of just this file is taken for; None where nobody knows it."""
    (folder / "given").mkdir(parents=True)
    shutil.copyfile(path, folder / "given" / path.name)
    try:
        return sniff(folder / "given")
    except SourceError as error:
        if "is a known export" not in str(error):
            raise
        return None


def below(root: Path, *names: str) -> set[str]:
    found = {path for name in names for path in (root / name).rglob("*") if path.is_file()}
    return {path.relative_to(root).as_posix() for path in found}


def test_no_sample_is_forgotten(real_data):
    assert below(real_data, "listening", "features") == REAL.keys() | ARCHIVES


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_taken_for_what_it_is(name, real_data, tmp_path):
    found = taken(real_data / name, tmp_path)
    assert (found and [s.format for s in found.sources]) == (REAL[name] and [REAL[name]])


def test_a_real_log_and_its_songs_are_taken_for_what_they_are(real_data, tmp_path):
    shutil.unpack_archive(real_data / "listening" / "dend_eventsim_open.tar.gz", tmp_path)
    with tarfile.open(real_data / "listening" / "dend_eventsim_open.tar.gz") as archive:
        names = [m.name for m in archive if m.isfile() and "/." not in m.name]
    found = sniff(tmp_path)
    counts = Counter({s.format: 0 for s in found.sources})
    for source in found.sources:
        counts[source.format] += found.files[source.name]
    assert counts == {
        "eventsim": sum("log_data" in name and name.endswith(".json") for name in names),
        "msd_songs": sum("song_data" in name and name.endswith(".json") for name in names),
    }


def test_real_files_of_other_trades_are_nobodys(real_data, tmp_path):
    mistaken = {}
    for number, name in enumerate(sorted(below(real_data, *ELSEWHERE))):
        if found := taken(real_data / name, tmp_path / str(number)):
            mistaken[name] = [s.format for s in found.sources]
    assert mistaken == {}


def test_a_folder_of_all_of_them_keeps_them_apart(real_data, tmp_path):
    for name in REAL:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(real_data / name, tmp_path / name)
    found = sniff(tmp_path)
    counts: Counter[str] = Counter()
    for source in found.sources:
        counts[source.format] += found.files[source.name]
    assert counts == Counter(kind for kind in REAL.values() if kind)
    assert sorted(found.unknown) == sorted(name for name, kind in REAL.items() if kind is None)


def strangers() -> dict[str, str]:
    """Files of nobody, whose names and rows come as near to a format's as strangers' do."""
    chance = random.Random(17)

    def numbers(columns: int, separator: str, most: int = 10**6) -> str:
        rows = ([str(chance.randrange(most)) for _ in range(columns)] for _ in range(80))
        return "".join(separator.join(row) + "\n" for row in rows)

    words = "".join(
        " ".join(chance.choice(("play", "artist", "user", "1", "2")) for _ in range(9)) + "\n"
        for _ in range(80)
    )
    return {
        "words": words,
        "triples": numbers(3, " ", 40),
        "pairs": numbers(2, "\t"),
        "four": numbers(4, "\t", 5),
        "six": numbers(6, ","),
        "named": "id\tname\n" + numbers(2, "\t"),
        "shop": "SessionId\tItemId\tTime\n" + numbers(3, "\t"),
        "measured": "track_id,tempo,energy\n" + numbers(3, ","),
        "tracks": "TRACK_ID\tARTIST_ID\tTITLE\n" + numbers(3, "\t"),
        "rated": "user_id:token\titem_id:token\tweight:float\n" + numbers(3, "\t"),
        "object": json.dumps({"userID": 1, "artistID": 2, "weight": 3}),
        "array": json.dumps([{"track_id": "1", "danceability": 0.5}]),
        "noise": "".join(chance.choice("\t\n ,:;{}[]\"'0123456789abc") for _ in range(4000)),
    }


@pytest.mark.parametrize("name", ["given", "train", "artists"])
@pytest.mark.parametrize("kind", strangers())
def test_what_is_like_no_format_is_nobodys(kind, name, tmp_path):
    content = strangers()[kind]
    for suffix in SUFFIXES:
        path = tmp_path / f"{name}.{suffix}"
        path.write_text(content)
        assert taken(path, tmp_path / suffix) is None, suffix


def test_a_list_needs_its_name_and_its_shape(tmp_path):
    rows = {"lists": "0 5 6\n1 7\n", "triples": "0 1 2\n0 3 2\n", "tabs": "0\t5\n1\t6\n"}
    for number, (name, kind, known) in enumerate(
        [("train.txt", "lists", True), ("test_cold.txt", "lists", True),
         ("matrix.txt", "lists", False), ("train.txt", "triples", False),
         ("train.txt", "tabs", False), ("item_map.txt", "lists", False)]
    ):  # fmt: skip
        path = tmp_path / name
        path.write_text(rows[kind])
        assert (taken(path, tmp_path / str(number)) is not None) == known, (name, kind)


def test_packed_files_are_taken_as_if_they_were_not(tmp_path):
    path = tmp_path / "u.data.gz"
    path.write_bytes(gzip.compress(b"196\t242\t3\t881250949\n"))
    found = taken(path, tmp_path / "one")
    assert found is not None
    assert [s.format for s in found.sources] == ["movielens"]
