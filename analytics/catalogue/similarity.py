"""How much speaks for two tracks being one recording: evidence in log-odds, and their sum.

The evidence of two equal songs is the same from either side. What one of them does not
know (an album, a length) speaks neither for nor against.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from rapidfuzz import fuzz, process

# Fitted to the labelled pairs of two shops (`bench.measures.matching.fitted`).
PRIOR = -9.53
SONG = 10.27
LENGTH = 6.38
# Set by hand, for in such pairs both artists are the same: another artist is another song,
# another recording is none of ours unless its length says so, an album is a hint.
ARTIST = 10.0
RECORDING = 4.0
ALBUM = 1.0

MOST_OF_TRACK = LENGTH + ALBUM / 2  # that album and length can add
OTHER_NUMBERS = 0.6  # what is left of a song's likeness when it is "Pt. 1" beside "Pt. 2"


def of_names(pairs: pl.DataFrame) -> pl.DataFrame:
    """Likeness from 0 to 1 of song, recording and artist; the other side's end in `_known`."""
    numbers = [_numbers(pl.col(c)) for c in ("song", "song_known")]
    artist = pl.max_horizontal(
        _like(pairs, "artist", fuzz.token_sort_ratio), _like(pairs, "main_artist", fuzz.ratio)
    )
    return pairs.select(
        pl.when(numbers[0] == numbers[1]).then(1.0).otherwise(OTHER_NUMBERS).alias("song")
        * _like(pairs, "song", fuzz.token_sort_ratio),
        _like(pairs, "recording", fuzz.token_sort_ratio).alias("recording"),
        artist.alias("artist"),
    )


def of_track(pairs: pl.DataFrame) -> pl.DataFrame:
    """Likeness of album (null where one is not known) and closeness in length (0 where not)."""
    apart = (pl.col("duration_ms") - pl.col("duration_ms_known")).abs() / 1000
    is_told = (pl.col("album") != "") & (pl.col("album_known") != "")
    return pairs.select(
        pl.when(is_told).then(_like(pairs, "album", fuzz.token_set_ratio)).alias("album"),
        (1 / (1 + apart)).fill_null(0.0).alias("length"),
    )


def evidence_of_names(likeness: pl.DataFrame) -> pl.Series:
    """Log-odds by the names alone, the prior included."""
    return likeness.select(
        PRIOR
        + SONG * pl.col("song")
        - RECORDING * (1 - pl.col("recording"))
        - ARTIST * (1 - pl.col("artist"))
    ).to_series()


def evidence_of_track(likeness: pl.DataFrame) -> pl.Series:
    """Log-odds that album and length add."""
    album = (ALBUM * (pl.col("album") - 0.5)).fill_null(0.0)
    return likeness.select(LENGTH * pl.col("length") + album).to_series()


def _like(pairs: pl.DataFrame, column: str, scorer) -> pl.Series:
    ours, known = (pairs[c].to_list() for c in (column, f"{column}_known"))
    found = process.cpdist(ours, known, scorer=scorer, dtype=np.float32)
    return pl.Series(column, found, dtype=pl.Float64) / 100


def _numbers(song: pl.Expr) -> pl.Expr:
    return song.str.extract_all(r"\b\d+\b").list.sort().list.join(" ")
