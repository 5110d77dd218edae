"""Ratings as MovieLens and data sets like it write them: who gave what how many stars.

Feeds    reviews. The item is the review's track_id, whatever it is there.
Identity user, item and second: who rates again writes another review.
Dialects `u.data` (tabs), `ratings.dat` (`::`), both without a header; `ratings.csv`; `.inter` of
         RecBole, whose header gives a type to every name. A header must name user, item,
         rating and timestamp, in any order; other columns are not read.
Surprises Half a star counts as the next whole one, so 3.5 is 4; bronze keeps the half. Other
         fractions are no stars: the gate sets them aside. `NaN` and the like are none either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl

from analytics.settings import Settings
from analytics.sources import delimited, files, text_files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.delimited import Layout
from analytics.sources.shape import canonical, epoch, identified
from analytics.sources.text_files import Content
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "user_id": pl.String, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Int64,
}  # fmt: skip
# Letters of a header's names → ours.
NAMES = {
    "userid": "user_id", "itemid": "item_id", "movieid": "item_id", "trackid": "item_id",
    "songid": "item_id", "rating": "rating", "timestamp": "timestamp",
}  # fmt: skip
TYPE = re.compile(r":(token|float)$")  # of RecBole
RATING = r"\d+{0}\d+{0}[0-5](\.[05]0?)?{0}\d{{9,10}}"
SUFFIXES = (".data", ".dat", ".csv", ".inter")
OWN = ("u.data", "ratings.dat", "ratings.csv")  # what of a zip is read, beside *.inter


class Movielens(files.FileReader):
    format = "movielens"
    example = '- {name: ratings, format: movielens, path: "/data/my_tenant/ratings.csv"}'

    def recognise(self, look: Look) -> Recognised | None:
        if look.suffix not in SUFFIXES or text_files.told(look, tell) is None:
            return None
        return Recognised("ratings")

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("reviews",)

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(
            tenant, source, unit, FIELDS, tell,
            mine=lambda name: name in OWN or name.endswith(".inter"),
        )  # fmt: skip

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        parts = [pl.col(c) for c in ("user_id", "item_id", "timestamp")]
        reviews = canonical(
            "reviews", tenant, source, identified(bronze, "_id", parts),
            {
                "review_id": pl.col("_id"),
                "listener_id": pl.col("user_id"),
                "track_id": pl.col("item_id"),
                "reviewed_at": epoch(pl.col("timestamp"), 1_000_000),
                "stars": _stars(pl.col("rating")),
            },
        )  # fmt: skip
        return {"reviews": reviews}


def _stars(rating: pl.Expr) -> pl.Expr:
    is_halves = (rating * 2 == (rating * 2).round()) & rating.is_finite()
    return pl.when(is_halves).then(rating.ceil()).cast(pl.Int32, strict=False)


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """Ratings, by a header or by the shape of the lines."""
    for separator in ("\t", ","):
        names = delimited.cut(pl.Series(lines[:1], dtype=pl.String), separator, is_quoted=True)
        columns = _columns(names.explode().drop_nulls().to_list())
        if columns.keys() == FIELDS.keys():
            layout = Layout(columns, names.list.len()[0], separator)
            return Content("reviews", partial(delimited.parsed, layout=layout), has_header=True)
    for separator in ("\t", "::"):
        if text_files.are_mostly(lines, RATING.format(separator)):
            return Content("reviews", text_files.fields(tuple(FIELDS), separator))
    return None


def _columns(names: list[str]) -> dict[str, int]:
    """Place of each of our columns in a header."""
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        ours = NAMES.get(re.sub("[^a-z]", "", TYPE.sub("", name.strip('" ').lower())))
        if ours:
            found.setdefault(ours, place)
    return found
