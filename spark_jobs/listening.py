"""What a listener's plays say at each as_of date, as pure DataFrame functions.

Plays are folded to days once, then each window sums days: the cost follows the
days in the look-back, not plays times dates.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spark_jobs.churn_columns import LOOKBACK_DAYS, WINDOWS

LISTENER = ["tenant_id", "listener_id"]
POINT = [*LISTENER, "as_of_date"]
SESSION_GAP_MS = 30 * 60 * 1000
MEASURES = ("plays", "listened_ms", "sessions", "skipped", "shuffled", "offline")


def listening_features(plays: DataFrame, tracks: DataFrame, population: DataFrame) -> DataFrame:
    """Listening windows of each (tenant_id, listener_id, as_of_date) that has any play in them.

    In: plays and tracks by tenant and key; population one row per point. Days
    before the look-back and from as_of on are ignored.
    """
    points = population.select(*POINT)
    sums = windowed_sums(daily_listening(plays), points)
    track_days = plays.select(*LISTENER, "track_id", _day("started_at"))
    artist_of = tracks.where(F.col("artist_id").isNotNull()).select(
        "tenant_id", "track_id", "artist_id"
    )
    artist_days = track_days.join(artist_of, on=["tenant_id", "track_id"], how="inner")
    return sums.join(
        distinct_counts(track_days, points, "track_id", "tracks"), on=POINT, how="left"
    ).join(distinct_counts(artist_days, points, "artist_id", "artists"), on=POINT, how="left")


def daily_listening(plays: DataFrame) -> DataFrame:
    """MEASURES summed by (tenant_id, listener_id, UTC day)."""
    return (
        with_session_starts(plays)
        .groupBy(*LISTENER, _day("started_at"))
        .agg(
            F.count(F.lit(1)).alias("plays"),
            F.sum(_listened_ms()).alias("listened_ms"),
            F.sum("opens_session").alias("sessions"),
            _times("is_skipped").alias("skipped"),
            _times("is_shuffle").alias("shuffled"),
            _times("is_offline").alias("offline"),
        )
    )


def with_session_starts(plays: DataFrame) -> DataFrame:
    """The plays with `opens_session`: 1 where SESSION_GAP_MS of silence came before, else 0."""
    in_order = Window.partitionBy(*LISTENER).orderBy("started_at", "play_id")
    started_ms = F.unix_millis("started_at")
    previous_end = F.lag(started_ms + _listened_ms(), 1).over(in_order)
    silence = started_ms - previous_end
    opens = silence.isNull() | (silence > SESSION_GAP_MS)
    return plays.withColumn("opens_session", opens.cast("bigint"))


def windowed_sums(days: DataFrame, points: DataFrame) -> DataFrame:
    """Counts, shares and trends of each point from its days within the look-back."""
    reached = points.join(days, on=LISTENER, how="inner").where(
        (F.col("day") < F.col("as_of_date")) & _within(LOOKBACK_DAYS)
    )
    summed = reached.groupBy(*POINT).agg(
        F.max("day").alias("last_day"),
        *(
            _sum_when(_within(window), measure).alias(f"{measure}_{window}")
            for window in (1, *WINDOWS)
            for measure in MEASURES
        ),
        *(_sum_when(_within(window), F.lit(1)).alias(f"days_{window}") for window in WINDOWS),
        *(
            _sum_when(_within(56) & ~_within(28), measure).alias(f"{measure}_before")
            for measure in ("plays", "listened_ms")
        ),
    )
    return summed.select(
        *POINT,
        F.col("plays_1").alias("plays_1d"),
        ratio(F.col("skipped_1"), F.col("plays_1")).alias("skip_share_1d"),
        *(column for window in WINDOWS for column in _window_columns(window)),
        F.datediff("as_of_date", "last_day").alias("days_since_last_play"),
        trend("plays").alias("plays_trend_28d"),
        trend("listened_ms").alias("listened_trend_28d"),
    )


def distinct_counts(days: DataFrame, points: DataFrame, thing: str, name: str) -> DataFrame:
    """How many different things of `days` each point saw in each window, as `{name}_{window}d`.

    A day of a thing counts until the thing's next day takes over, so that each
    point meets a thing once at most and no distinct count is needed.
    """
    by_thing = Window.partitionBy(*LISTENER, thing).orderBy("day")
    latest = (
        days.select(*LISTENER, thing, "day")
        .groupBy(*LISTENER, thing, "day")
        .agg(F.count(F.lit(1)).alias("times"))
        .withColumn("next_day", F.lead("day", 1).over(by_thing))
    )
    reached = points.join(latest, on=LISTENER, how="inner").where(
        (F.col("day") < F.col("as_of_date"))
        & _within(LOOKBACK_DAYS)
        & (F.col("next_day").isNull() | (F.col("next_day") >= F.col("as_of_date")))
    )
    return reached.groupBy(*POINT).agg(
        *(_sum_when(_within(window), F.lit(1)).alias(f"{name}_{window}d") for window in WINDOWS)
    )


def ratio(numerator: Column, denominator: Column) -> Column:
    """Their quotient to six digits, null where the denominator is 0.

    Rounded half up in whole millionths: engines round the last digit of a
    double differently, and rows must be equal on all of them.
    """
    twice = F.nullif(denominator * 2, F.lit(0))
    millionths = F.floor((numerator * 2_000_000 + denominator) / twice)
    return millionths.cast("double") / F.lit(1_000_000.0)


def trend(measure: str) -> Column:
    """From -1 (stopped) to 1 (began): the last 28 days against the 28 before."""
    recent, before = F.col(f"{measure}_28"), F.col(f"{measure}_before")
    return ratio(recent - before, recent + before)


def _window_columns(window: int) -> list[Column]:
    plays = F.col(f"plays_{window}")
    shares = {"skip": "skipped", "shuffle": "shuffled", "offline": "offline"}
    return [
        plays.alias(f"plays_{window}d"),
        F.floor(F.col(f"listened_ms_{window}") / 1000).alias(f"listened_seconds_{window}d"),
        F.col(f"days_{window}").alias(f"active_days_{window}d"),
        F.col(f"sessions_{window}").alias(f"sessions_{window}d"),
        *(
            ratio(F.col(f"{of}_{window}"), plays).alias(f"{share}_share_{window}d")
            for share, of in shares.items()
        ),
    ]


def _listened_ms() -> Column:
    """0 where the source cannot know it: the play then ends where it begins."""
    return F.coalesce("listened_ms", F.lit(0))


def _day(instant: str) -> Column:
    return F.to_date(instant).alias("day")


def _within(days: int) -> Column:
    return F.col("day") >= F.date_sub("as_of_date", days)


def _times(flag: str) -> Column:
    return F.sum(F.coalesce(F.col(flag), F.lit(False)).cast("bigint"))


def _sum_when(condition: Column, value: str | Column) -> Column:
    value = F.col(value) if isinstance(value, str) else value
    return F.sum(F.when(condition, value).otherwise(F.lit(0)).cast("bigint"))
