"""Which names of the catalogue are worth comparing with a track's: those that share a key.

A key is a part of the names that two spellings of one song rarely both have wrong. One that
more than MOST names of a catalogue share tells nothing and is left out, so a track has at
most keys x MOST candidates, however large the catalogue is.
"""

from __future__ import annotations

import polars as pl

MOST = 50
WORD = 4  # letters that make a word worth a key
WORDS = 8  # of a song, from its start
EDGE = 3  # letters of a song's start and end


def keys(parsed: pl.DataFrame, row: str) -> pl.DataFrame:
    """tenant_id, key and the row it stands for; several keys a row, each once."""
    song = pl.col("song").str.replace_all(" ", "")
    artist = pl.col("main_artist").str.replace_all(" ", "")
    by_artist = [
        pl.format("a|{}|{}", artist, song.str.head(EDGE)),
        pl.format("z|{}|{}", artist, song.str.tail(EDGE)),
    ]
    by_song = [pl.format("s|{}", song), pl.format("b|{}|{}", song, artist.str.head(2))]
    word = pl.element().filter(pl.element().str.len_chars() >= WORD)
    by_word = pl.col("song").str.split(" ").list.eval(word).list.head(WORDS)
    rows = parsed.select("tenant_id", row, artist.alias("_artist"), by_word.alias("_words"))
    words = rows.explode("_words").drop_nulls("_words")
    single = parsed.select(
        "tenant_id", row, pl.concat_list(*by_artist, *by_song).alias("key")
    ).explode("key")
    return pl.concat(
        [
            single,
            words.select("tenant_id", row, pl.format("w|{}|{}", "_artist", "_words").alias("key")),
        ]
    ).unique()


def telling(known: pl.DataFrame) -> pl.DataFrame:
    """The keys of a catalogue without those that too many of its names share."""
    return known.filter(pl.len().over("tenant_id", "key") <= MOST)


def candidates(said: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """tenant_id, track and name of every pair that shares a key, each once."""
    pairs = said.join(known, on=["tenant_id", "key"])
    return pairs.select("tenant_id", "track", "name").unique()
