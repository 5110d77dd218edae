"""Interaction lists of recommender papers: a line a user, with the artists they listened to.

Feeds    listening_counts, artists, listeners.
Identity user and item, by the numbers that the lists give them. The number an item had before
         is the artist's external_id; that of a user stays in bronze. Only a user list makes
         listeners, only an item list artists.
Surprises Nobody knows how often a user listened or when: `plays` is null. Which list a line is of
         (train, test …) stays in bronze. Nothing names the artists. Every data set numbers
         from 0 on, so two of them make two tenants.
Recognised by name (train, test, valid; item_map, user_list …) where the lines look like it, for
         rows of numbers alone could be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import polars as pl

from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import files, packed, text_files
from analytics.sources.base import Batch, Look, Recognised, Unit
from analytics.sources.shape import EVER, canonical, identified
from analytics.sources.text_files import Content
from analytics.tenants import Source, Tenant

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,  # lists, items, users
    "file": pl.String,  # train, test …
    "user": pl.Int64, "items": pl.String,  # as it came: numbers with spaces between
    "org_id": pl.String, "remap_id": pl.Int64,
}  # fmt: skip
LIST_NAME = re.compile(r"(train|test|valid|val)[a-z0-9_]*\.txt")
MAP_NAME = re.compile(r"(item|user)_(map|list)\.txt")
LIST = r"(?P<user>\d+)(?P<items>(?: +\d+)*) *"
MAP = r"\S+ \d+"
MAP_HEADER = "org_id remap_id"


class RecsysLists(files.FileReader):
    format = "recsys_lists"
    example = '- {name: lists, format: recsys_lists, path: "/data/my_tenant/*.txt"}'

    def recognise(self, look: Look) -> Recognised | None:
        """A source a file, named like it; those of a zip are one."""
        if text_files.told(look, tell) is None:
            return None
        return Recognised("lists" if packed.is_zip(look.location) else _stem(look.base))

    def feeds(self, source: Source) -> tuple[str, ...]:
        return ("listening_counts", "artists", "listeners")

    def schema(self, source: Source) -> dict[str, pl.DataType | type[pl.DataType]]:
        return FIELDS

    def read(
        self, settings: Settings, tenant: Tenant, source: Source, unit: Unit
    ) -> Iterator[Batch]:
        return text_files.read(tenant, source, unit, FIELDS, tell, mine=_is_named)

    def extent(self, settings: Settings, tenant: Tenant, source: Source) -> Interval | None:
        return None

    def conform(
        self, tenant: Tenant, source: Source, bronze: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        kind = pl.col("kind")
        return {
            "listening_counts": _counts(tenant, source, bronze.filter(kind == "lists")),
            "artists": canonical(
                "artists", tenant, source, bronze.filter(kind == "items"),
                {
                    "artist_id": pl.col("remap_id"),
                    "external_id": pl.col("org_id"),
                    "updated_at": EVER,
                },
            ),
            "listeners": canonical(
                "listeners", tenant, source, bronze.filter(kind == "users"),
                {"listener_id": pl.col("remap_id"), "updated_at": EVER},
            ),
        }  # fmt: skip


def tell(name: str, lines: Sequence[str]) -> Content | None:
    """The kind of a file by its name, where its lines are of that kind."""
    if LIST_NAME.fullmatch(name):
        if not (text_files.are_mostly(lines, LIST) and _are_of_one_user_each(lines)):
            return None
        alike = {"kind": "lists", "file": _stem(name)}
        return Content("listening_counts", text_files.groups(LIST), alike=alike)
    named = MAP_NAME.fullmatch(name)
    has_header = lines[:1] == [MAP_HEADER]
    if named and (has_header or text_files.are_mostly(lines, MAP)):
        table = "artists" if named[1] == "item" else "listeners"
        alike = {"kind": f"{named[1]}s", "file": _stem(name)}
        return Content(table, text_files.fields(MAP_HEADER.split(), " "), has_header, alike)
    return None


def _are_of_one_user_each(lines: Sequence[str]) -> bool:
    """No user comes twice, and somebody listened to something: else it is some other table."""
    users = [line.split()[0] for line in lines if re.fullmatch(LIST, line)]
    return len(set(users)) == len(users) and any(" " in line.strip() for line in lines)


def _is_named(name: str) -> bool:
    return bool(LIST_NAME.fullmatch(name) or MAP_NAME.fullmatch(name))


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _counts(tenant: Tenant, source: Source, lists: pl.DataFrame) -> pl.DataFrame:
    item = pl.col("items").str.strip_chars().str.split(" ").alias("_item")
    pairs = lists.with_columns(item).explode("_item").filter(pl.col("_item").str.len_chars() > 0)
    pairs = identified(pairs, "_id", [pl.col("user"), pl.col("_item")])
    return canonical(
        "listening_counts", tenant, source, pairs,
        {
            "count_id": pl.col("_id"),
            "listener_id": pl.col("user"),
            "item_kind": pl.lit("artist"),
            "item_id": pl.col("_item"),
            "updated_at": EVER,
        },
    )  # fmt: skip
