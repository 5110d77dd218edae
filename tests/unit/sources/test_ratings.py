"""Ratings as MovieLens and others write them: invented rows in each dialect."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest

from analytics import gates
from analytics.interval import Interval
from analytics.lake import bronze, quarantine, read
from analytics.lake.content import content_hash
from analytics.sources.sniff import extent, sniff, tenants_from_folder
from tests.landing import DAY_ONE, a_tenant, drop_text, land_staged

NOON = 1_736_164_800  # 2025-01-06 12:00 UTC
# Two ratings, each in its dialect: user 196 gave item 242 3 stars at noon, user 7 item 9 4 later.
DIALECTS = {
    "u.data": f"196\t242\t3\t{NOON}\n7\t9\t4\t{NOON + 60}\n",
    "ratings.dat": f"196::242::3::{NOON}\n7::9::4::{NOON + 60}\n",
    "ratings.csv": f"userId,movieId,rating,timestamp\n196,242,3.0,{NOON}\n7,9,3.5,{NOON + 60}\n",
    "ml.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    f"196\t242\t3.0\t{NOON}.0\n7\t9\t4\t{NOON + 60}\n",
    "other.csv": f'timestamp,"Rating",user_id,x,track_id\n{NOON},3,196,"a,b",242\n'
    f"{NOON + 60},3.5,7,,9\n",
}


@pytest.fixture
def settings(make_settings):
    """Two tenants with files and ids of the same names; half of the rows may be bad."""

    def source(tenant_id: str) -> dict[str, Any]:
        path = f"{{landing}}/{tenant_id}/*"
        return {"name": "ratings", "format": "movielens", "path": path, "owner": "Ann"}

    return make_settings([{**a_tenant(t, source(t)), "bad_row_budget": 0.5} for t in ("t1", "t2")])


def gated(settings, tenant_id: str, run_id: str = "run"):
    bronze.extract(settings, tenant_id, DAY_ONE, run_id)
    gates.bronze(settings, tenant_id, DAY_ONE, run_id)
    return land_staged(settings, tenant_id, DAY_ONE, run_id)


def reviews(settings, tenant_id: str = "t1") -> list[tuple[Any, ...]]:
    found = read.scan(settings, "reviews", tenant_id).sort("reviewed_at").collect()
    return found.select("listener_id", "track_id", "stars", "reviewed_at").rows()


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_says_the_same_and_each_tenant_keeps_its_own(settings, name):
    drop_text(settings, f"t1/{name}", DIALECTS[name])
    drop_text(settings, f"t2/{name}", "".join(DIALECTS[name].splitlines(keepends=True)[:-1]))
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    noon = datetime(2025, 1, 6, 12, tzinfo=UTC)
    assert reviews(settings) == [
        ("196", "242", 3, noon), ("7", "9", 4, noon.replace(minute=1)),
    ]  # fmt: skip
    assert reviews(settings, "t2") == [("196", "242", 3, noon)]
    before = content_hash(settings)
    assert gated(settings, "t1", "again").touched is None
    assert content_hash(settings) == before


def test_half_stars_count_as_the_next_whole_one_and_bronze_keeps_the_half(settings):
    given = ["0.5", "1.0", "4.5", "5", "0", "3.7", "5.5", "NaN", "inf", "1e300", "many", ""]
    lines = [f"1,{n},{rating},{NOON + n}\n" for n, rating in enumerate(given)]
    good = [f"2,{n},5,{NOON}\n" for n in range(20)]
    content = "userId,movieId,rating,timestamp\n" + "".join(lines + good)
    drop_text(settings, "t1/ratings.csv", content)
    drop_text(settings, "t2/ratings.csv", DIALECTS["ratings.csv"])
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    stars = {track: stars for user, track, stars, _ in reviews(settings) if user == "1"}
    assert stars == {"0": 1, "1": 1, "2": 5, "3": 5}
    assert [row[2] for row in reviews(settings, "t2")] == [3, 4]
    kept = read.scan(settings, "t1/ratings", layer="bronze").sort("_row").collect()
    assert kept["rating"].to_list()[:3] == [0.5, 1.0, 4.5]
    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select(found["row_number"] - 1, "rule").rows() == [
        (4, "stars_are_one_to_five"), (5, "stars_is_given"), (6, "stars_are_one_to_five"),
        (7, "stars_is_given"), (8, "stars_is_given"), (9, "stars_is_given"), (10, "type:rating"),
        (11, "stars_is_given"),
    ]  # fmt: skip


def test_who_rates_again_writes_another_review_and_a_repetition_is_none(settings):
    again = f"1\t2\t3\t{NOON}\n1\t2\t3\t{NOON}\n1\t2\t5\t{NOON + 1}\n"
    drop_text(settings, "t1/u.data", again)
    drop_text(settings, "t2/u.data", again)
    for tenant in ("t1", "t2"):
        counts = gated(settings, tenant).rows["reviews"]
        assert (counts["landed"], counts["duplicates"]) == (2, 1)


def test_torn_lines_are_set_aside_alone(settings):
    torn = f"1\t2\t3\n1\t2\t3\tnoon\n\xff\t2\t3\t{NOON}\n"
    drop_text(settings, "t1/u.data", (DIALECTS["u.data"] * 3 + torn).encode("latin-1"))
    drop_text(settings, "t2/u.data", DIALECTS["u.data"])
    for tenant in ("t1", "t2"):
        gated(settings, tenant)
    assert len(reviews(settings)) == len(reviews(settings, "t2")) == 2
    found = quarantine.scan(settings, "t1").sort("row_number").collect()
    assert found.select("row_number", "rule").rows() == [
        (6, "row_parses"), (7, "type:timestamp"), (8, "row_parses"),
    ]  # fmt: skip


def test_the_files_of_a_data_set_are_found_and_dated_by_their_ratings(tmp_path, make_settings):
    for tenant in ("one", "two"):
        (tmp_path / "exports" / tenant).mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "exports" / "one" / "ml-latest.zip", "w") as archive:
        archive.writestr("ml/README.txt", "Summary")
        archive.writestr("ml/ratings.csv", DIALECTS["ratings.csv"])
        archive.writestr("ml/movies.csv", "movieId,title,genres\n1,Heat (1995),Crime\n")
    (tmp_path / "exports" / "two" / "ratings.dat").write_text(DIALECTS["ratings.dat"])
    (tmp_path / "exports" / "two" / "movies.dat").write_text("1::Heat (1995)::Crime\n")
    tenants = tenants_from_folder(tmp_path / "exports", tmp_path / "found.yaml")
    assert [[s.format for s in t.sources] for t in tenants.values()] == [["movielens"]] * 2
    assert sniff(tmp_path / "exports" / "two").unknown == ("movies.dat",)
    settings = make_settings([t.model_dump(mode="json") for t in tenants.values()])
    for tenant in tenants.values():
        assert extent(settings, tenant) == DAY_ONE == Interval.of("2025-01-06", "2025-01-07")
        assert gated(settings, tenant.id).rows["reviews"]["landed"] == 2
