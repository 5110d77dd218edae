"""What the names of a track say, written so that two spellings of one song are equal.

A title falls into the song ("dont stop") and what makes it another recording ("live at
wembley", "acoustic", "tiesto remix"). Who joins in ("feat." …) is left out; so are remasters,
explicit and clean cuts, editions and years, which are the same recording.
"""

from __future__ import annotations

import polars as pl

# What names one recording of one song.
NAMES = ("song", "recording", "artist")
LONGEST = 300  # letters of a name that are looked at: no song needs more, hostile input has more

# Letters that Unicode does not take apart into a plain one and a mark.
_LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th"}
_PARTS = {"part": "pt", "volume": "vol", "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7"}
_FILLERS = r"\b(?:the|and|feat|ft|featuring|with)\b"

_CUT = "\x1f"
_BRACKETS = r"[()\[\]{}]|\s[-/|\u2013\u2014]\s"
_JOINS = r"(?i)[(\[]\s?[&+]\s|\s(?:feat\s?\.?|ft\s?\.|featuring)\s"
_GUEST = r"^(?:feat|ft|featuring|with|duet with)\b"
_SAME_RECORDING = (
    r"\b(?:original mix|digital(?:ly)?|remaster(?:ed|ing)?|explicit|clean|edited|amended|album|"
    r"single|main|original|lp|ep|bonus|tracks?|deluxe|edition|version|mono|stereo|video|booklet|"
    r"audio|official|lyrics?|(?:19|20)\d\d)\b"
)
_OTHER_RECORDING = (
    r"\b(?:live|remix(?:es|ed)?|mix|mixed|acoustic|unplugged|instrumentals?|karaoke|demo|edit|"
    r"extended|cover|tribute|orchestral|symphonic|piano|a ?cappella|reprise|sessions?|dub|rework|"
    r"bootleg|vip|sped up|slowed|nightcore|rehearsal|alternate|take \d+|style of|made famous|"
    r"originally performed)\b"
)
_COMPANY = r"(?i)([^,;/&+\s])\s*(?:[,;/&+]|\s(?:and|with|x|vs\.?|feat\.?|ft\.?|featuring)\s).*$"


def parsed(tracks: pl.DataFrame) -> pl.DataFrame:
    """The tracks with their names taken apart, in columns that are never null.

    `song`, `recording` ('' is the plain one), `artist` with all who are credited,
    `main_artist`, and `album`, which takes the place of the one given.
    """
    part = pl.element()
    rest = _squeezed(part.str.replace_all(_SAME_RECORDING, ""))
    is_guest = part.str.contains(_GUEST)
    is_other = ~is_guest & rest.str.contains(_OTHER_RECORDING)
    is_name = ~is_guest & ~is_other & (rest != "")
    heads, tails = pl.col("_title").list.head(1), pl.col("_title").list.slice(1)
    song = _joined(heads, tails.list.eval(part.filter(is_name)))
    album = pl.col("_album").list.slice(1).list.eval(rest.filter(rest != ""))
    artist = words(pl.col("artist_name"))
    short = tracks.with_columns(pl.col("title", "artist_name", "album").str.head(LONGEST))
    pieces = short.with_columns(_pieces("title"), _pieces("album"))
    return pieces.with_columns(
        _each_word(song, _PARTS).alias("song"),
        _joined(tails.list.eval(rest.filter(is_other))).alias("recording"),
        _unless_empty(_squeezed(artist.str.replace_all(_FILLERS, "")), artist).alias("artist"),
        words(_squeezed(pl.col("artist_name")).str.replace(_COMPANY, "${1}")).alias("main_artist"),
        _joined(pl.col("_album").list.head(1), album).alias("album"),
    ).drop("_title", "_album")


def words(text: pl.Expr) -> pl.Expr:
    """The words in small letters without accents or punctuation; '' for null.

    A name made of signs alone ('!!!', '÷') stays what it is.
    """
    small = text.fill_null("").str.to_uppercase().str.to_lowercase().str.normalize("NFKD")
    small = small.str.replace_all(r"[\u0300-\u036f]", "").str.replace_many(_LETTERS)
    spelt = (
        small.str.replace_all("&amp;", "&")
        .str.replace_all(r"['`\u00b4\u02bc\u2018\u2019]", "")
        .str.replace_all(r"\$(\p{L})", "s${1}")  # Ke$ha
        .str.replace_all(r"(\p{L})!(\p{L})", "${1}i${2}")  # P!nk
        .str.replace_all(r"[&+]", " and ")
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
    )
    return _unless_empty(_squeezed(spelt), small.str.replace_all(r"\s+", ""))


def _pieces(column: str) -> pl.Expr:
    """The parts of a name between brackets and dashes, in words; the first is never judged."""
    parts = (
        _squeezed(pl.col(column).fill_null(""))
        .str.replace_all(_JOINS, f"{_CUT}feat ")
        .str.replace_all(_BRACKETS, _CUT)
        .str.split(_CUT)
    )
    part = words(pl.element())
    return parts.list.eval(part.filter(part != "")).alias(f"_{column}")


def _joined(*pieces: pl.Expr) -> pl.Expr:
    return pl.concat_list(*pieces).list.join(" ")


def _each_word(text: pl.Expr, instead: dict[str, str]) -> pl.Expr:
    return text.str.split(" ").list.eval(pl.element().replace(instead)).list.join(" ")


def _squeezed(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def _unless_empty(text: pl.Expr, otherwise: pl.Expr) -> pl.Expr:
    return pl.when(text == "").then(otherwise).otherwise(text)
