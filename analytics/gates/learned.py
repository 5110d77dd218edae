"""Is this day like the days before? Volume by weekday, and the shape of every column.

Nobody declares what is usual: it is learned from the last eight weeks of days that passed
the gate. A day far outside is stopped, one merely outside is said. How far is far:

    away = |value - usual| / tolerance

`usual` is the median of the days before (of the same weekday for volume). The tolerance is
the widest of: six robust standard deviations (1.4826 x MAD, Rousseeuw & Croux 1993), one and
a half times the largest deviation seen, four standard errors of a sample of this size, and a
floor. What stops is farther than an audience ever moves in a day, yet nearer than any unit:
minutes taken for seconds are sixty times away. Numbers are compared by their inverse hyperbolic
sine (a logarithm that knows 0 and signs), shares as they are, distributions by total variation
distance from the mean one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from math import log

import polars as pl

from analytics.gates.daily_profile import COLUMNS
from analytics.interval import Interval
from analytics.lake import delta, paths
from analytics.lake.replace import replace
from analytics.settings import Settings
from analytics.tenants import Tenant

LAYER, TABLE = "profiles", "daily"
HISTORY = 56  # days that are looked back on
ENOUGH_DAYS = 14  # fewer say nothing of what is usual
ENOUGH_ROWS = 10  # fewer rows have no shape
LONGEST = 7  # days of an interval that are judged; a backfill is learned from alone
KEY = ["table", "column", "measure"]
COUNTED = ["rows", "length"]
MAD = 1.4826  # makes the median absolute deviation a standard deviation, for normal values


@dataclass(frozen=True)
class Family:
    """Measures that are compared alike."""

    name: str
    measures: tuple[str, ...]
    floor: float  # a smaller difference is never worth a word
    far: float  # a difference that stops, where it is also outside the tolerance


FAMILIES = (
    Family("volume", ("rows",), floor=log(1.5), far=log(8)),
    Family("missing", ("missing",), floor=0.05, far=0.5),
    Family("hours", ("hours",), floor=0.15, far=0.6),
    Family("numbers", ("median",), floor=log(1.5), far=log(20)),
    Family("shares", ("true", "zero"), floor=0.1, far=0.75),
    Family("words", ("words",), floor=0.15, far=0.75),
    Family("ids", ("distinct", "top"), floor=0.15, far=0.75),
    Family("texts", ("foreign", "length"), floor=0.1, far=0.6),
)
AWAY = {family.name: f"{family.name}_away" for family in FAMILIES}
FAR = {family.name: f"{family.name}_far" for family in FAMILIES}


def history(settings: Settings, tenant: Tenant, before: date) -> pl.DataFrame:
    """The profiles of the days just before that passed the gate, none before `usual_since`."""
    table = delta.open_table(paths.table(settings, LAYER, TABLE))
    if table is None:
        return pl.DataFrame(schema=COLUMNS)
    first = max(before - timedelta(days=HISTORY), tenant.usual_since or date.min)
    return (
        pl.scan_delta(table)
        .filter(pl.col("tenant_id") == tenant.id, pl.col("day").is_between(first, before, "left"))
        .select(*COLUMNS)
        .collect()
    )


def keep(settings: Settings, tenant_id: str, profile: pl.DataFrame, run_id: str) -> None:
    """Make the profile what is known of its days."""
    days = profile["day"].unique().sort().to_list()
    if days:
        replace(settings, tenant_id, LAYER, TABLE, profile, {"day": days}, {"run_id": run_id})


def days_of(interval: Interval) -> list[date]:
    """The days of an interval that later ones can look back on."""
    return interval.days()[-HISTORY:]


def is_judged(interval: Interval) -> bool:
    return len(interval.days()) <= LONGEST


def compare(profile: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """One row per measure of the profile that the past has enough days of.

    tenant_id, table, day, column, measure, value, usual, tolerance, and for the measure's
    family how far away it is: in tolerances (`<family>_away`), and in what stops
    (`<family>_far`, 0 within the tolerance). Distances of distributions are values, too.
    """
    found = []
    for family in FAMILIES:
        today, before = (
            f.filter(pl.col("measure").is_in(family.measures)) for f in (profile, past)
        )
        if family.name in ("hours", "words"):
            compared = _distances(today, before)
        else:
            compared = _numbers(today, before, by_weekday=family.name == "volume")
        found.append(_judged(compared, family))
    return pl.concat(found, how="diagonal").sort("table", "day", "column", "measure")


def _scaled(value: pl.Expr) -> pl.Expr:
    """A measure on the scale it is compared on."""
    by_measure = pl.when(pl.col("measure").is_in(COUNTED)).then(value.log1p())
    return by_measure.when(pl.col("measure") == "median").then(value.arcsinh()).otherwise(value)


def _unscaled(value: pl.Expr) -> pl.Expr:
    by_measure = pl.when(pl.col("measure").is_in(COUNTED)).then(value.exp() - 1)
    return by_measure.when(pl.col("measure") == "median").then(value.sinh()).otherwise(value)


def _numbers(
    today: pl.DataFrame,
    before: pl.DataFrame,
    *,
    by_weekday: bool,
) -> pl.DataFrame:
    """Each measure of today beside the median of the days before, on the scale it is judged on."""
    if not by_weekday:  # a day of a few rows has no shape
        today, before = (f.filter(pl.col("rows") >= ENOUGH_ROWS) for f in (today, before))
    today, before = (
        f.with_columns(scaled=_scaled(pl.col("value")), weekday=pl.col("day").dt.weekday())
        for f in (today, before)
    )
    groups = [*KEY, "weekday"] if by_weekday else KEY
    centred = before.with_columns(
        usual=pl.col("scaled").median().over(groups),
        usual_rows=pl.col("rows").median().over(groups),
    ).with_columns(off=(pl.col("scaled") - pl.col("usual")).abs())
    spread = centred.group_by(KEY).agg(
        mad=pl.col("off").median() * MAD, worst=pl.col("off").max(), days=pl.col("day").n_unique()
    )
    centre = centred.group_by(groups).agg(pl.col("usual", "usual_rows").first())
    met = today.join(centre, on=groups).join(spread, on=KEY).filter(pl.col("days") >= ENOUGH_DAYS)
    if by_weekday:
        noise = 4 / (pl.col("usual_rows") + 1).sqrt()
        met = met.filter(pl.col("usual_rows") >= ENOUGH_ROWS)
    else:
        share = pl.col("usual").clip(0.01, 0.99)
        as_share = 4 * (share * (1 - share) / pl.col("rows")).sqrt()
        noise = pl.when(pl.col("measure").is_in(["median", "length"])).then(
            5 / pl.col("rows").sqrt()
        ).otherwise(as_share)  # fmt: skip
    return met.select(
        "tenant_id", "table", "day", "column", "measure", "value", "rows", "mad", "worst",
        noise.alias("noise"), usual=_unscaled(pl.col("usual")),
        off=(pl.col("scaled") - pl.col("usual")).abs(),
    )  # fmt: skip


def _distances(today: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Each distribution of today by its distance from the mean one of the days before."""
    today, before = (f.filter(pl.col("rows") >= ENOUGH_ROWS) for f in (today, before))
    days = before.group_by(KEY).agg(days=pl.col("day").n_unique())
    past, now = (
        f.select("tenant_id", *KEY, "day", "rows", "shares").explode("shares").unnest("shares")
        for f in (before, today)
    )
    mean = (
        past.group_by(*KEY, "word").agg(pl.col("share").sum())
        .join(days.filter(pl.col("days") >= ENOUGH_DAYS), on=KEY)
        .select(*KEY, "word", mean=pl.col("share") / pl.col("days"))
    )  # fmt: skip
    seen = _distance(past, mean).group_by(KEY).agg(
        mad=(pl.col("distance") - pl.col("distance").median()).abs().median() * MAD,
        typical=pl.col("distance").median(),
        worst=pl.col("distance").max(),
    )  # fmt: skip
    size = mean.group_by(KEY).agg(words=pl.len())
    met = _distance(now, mean).join(seen, on=KEY).join(size, on=KEY)
    return met.select(
        "tenant_id", "table", "day", "column", "measure", "rows",
        value=pl.col("distance"), usual=pl.col("typical"),
        mad="mad", worst="worst",
        noise=1.2 * (pl.col("words") / pl.col("rows")).sqrt(),
        off=pl.col("distance"),
    )  # fmt: skip


def _distance(shares: pl.DataFrame, mean: pl.DataFrame) -> pl.DataFrame:
    """Total variation distance of each day's shares from the mean ones, where there are any."""
    both = shares.join(mean, on=[*KEY, "word"], how="inner")
    day = ["tenant_id", *KEY, "day", "rows"]
    # Both sum to one, so half the sum of differences is one less what they share.
    shared = both.group_by(day).agg(common=pl.min_horizontal("share", "mean").sum())
    return (
        shares.select(day).unique()
        .join(mean.select(KEY).unique(), on=KEY)
        .join(shared, on=day, how="left")
        .with_columns(distance=1 - pl.col("common").fill_null(0))
    )  # fmt: skip


def _judged(compared: pl.DataFrame, family: Family) -> pl.DataFrame:
    tolerance = pl.max_horizontal(
        6 * pl.col("mad"), 1.5 * pl.col("worst"), pl.col("noise"), pl.lit(family.floor)
    )
    away = pl.col("off") / pl.col("tolerance")
    far = pl.when(away > 1).then(pl.col("off") / family.far).otherwise(0.0)
    return compared.with_columns(tolerance=tolerance).select(
        "tenant_id", "table", "day", "column", "measure", "value", "usual", "tolerance",
        away.alias(AWAY[family.name]), far.alias(FAR[family.name]),
    )  # fmt: skip
