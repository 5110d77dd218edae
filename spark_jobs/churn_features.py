"""The churn features of every paying listener at every as_of date: DataFrames in, DataFrame out.

Grain    one row per (tenant_id, listener_id, as_of_date) with a paid plan at as_of.
Time     only what happened strictly before as_of_date 00:00 UTC is read.
Columns  `churn_columns.COLUMNS`, in that order and type. The label is not made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spark_jobs.churn_columns import COLUMNS, LOOKBACK_DAYS, NEVER, PAID_PLANS, Feature
from spark_jobs.churn_columns import Column as Declared
from spark_jobs.listening import LISTENER, POINT, listening_features

UNHAPPY = 2  # stars of five


def churn_features(
    plays: DataFrame,
    listeners: DataFrame,
    subscription_events: DataFrame,
    tickets: DataFrame,
    payments: DataFrame,
    tracks: DataFrame,
    as_of_dates: Sequence[date],
) -> DataFrame:
    """The feature rows of those dates; no date gives no row."""
    points = population(subscription_events, as_of_dates)
    joined = (
        points.join(
            listeners.select(*LISTENER, F.to_date("signed_up_at").alias("signed_up_date")),
            on=LISTENER,
            how="left",
        )
        .join(listening_features(plays, tracks, points), on=POINT, how="left")
        .join(payment_features(payments, points), on=POINT, how="left")
        .join(ticket_features(tickets, points), on=POINT, how="left")
    )
    began = F.least("first_event_date", "signed_up_date")  # skips a null sign-up
    filled = joined.withColumns(
        {
            "tenure_days": F.datediff("as_of_date", began),
            "days_since_last_play": F.coalesce("days_since_last_play", F.lit(NEVER)),
            "days_since_last_charge": F.coalesce("days_since_last_charge", F.lit(NEVER)),
        }
    )
    return filled.select(*(_declared(column) for column in COLUMNS))


def population(subscription_events: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per (tenant_id, listener_id, as_of_date) on a paid plan, with the plan's history.

    The last event before as_of decides; two at one instant are ordered by id.
    """
    in_order = Window.partitionBy(*LISTENER).orderBy("occurred_at", "event_id")
    so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    spans = subscription_events.select(
        *LISTENER,
        "kind",
        F.col("plan_to").alias("plan"),
        "occurred_at",
        F.lead("occurred_at", 1).over(in_order).alias("until"),
        F.to_date(F.min("occurred_at").over(so_far)).alias("first_event_date"),
        *(
            F.sum((F.col("kind") == kind).cast("bigint")).over(so_far).alias(name)
            for name, kind in (
                ("upgrades", "upgrade"),
                ("downgrades", "downgrade"),
                ("cancellations", "cancel"),
            )
        ),
    )
    paid = spans.where(F.col("plan").isin(*PAID_PLANS) & (F.col("kind") != "cancel"))
    as_of = F.col("as_of_date").cast("timestamp")
    return (
        paid.crossJoin(grid_of(subscription_events, as_of_dates))
        .where(
            (F.col("occurred_at") < as_of) & (F.col("until").isNull() | (F.col("until") >= as_of))
        )
        .select(
            *POINT,
            "plan",
            "first_event_date",
            "upgrades",
            "downgrades",
            "cancellations",
            (F.col("plan") == "family").cast("bigint").alias("is_family_plan"),
            F.datediff("as_of_date", F.to_date("occurred_at")).alias("days_on_plan"),
        )
    )


def grid_of(frame: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """The dates, once each, as a frame of the same session."""
    rows = [(day,) for day in sorted(set(as_of_dates))]
    return frame.sparkSession.createDataFrame(rows, "as_of_date date")


def payment_features(payments: DataFrame, points: DataFrame) -> DataFrame:
    """Charges and refunds of each point that has any in the look-back."""
    reached = _reached(payments.withColumn("day", F.to_date("paid_at")), points)
    charge, refund = F.col("kind") == "charge", F.col("kind") == "refund"
    signed = F.when(charge, F.col("amount_minor")).when(refund, -F.col("amount_minor"))
    return reached.groupBy(*POINT).agg(
        F.sum(charge.cast("bigint")).alias("charges_90d"),
        F.sum(refund.cast("bigint")).alias("refunds_90d"),
        F.sum(F.coalesce(signed, F.lit(0))).alias("paid_minor_90d"),
        F.datediff("as_of_date", F.max(F.when(charge, F.col("day")))).alias(
            "days_since_last_charge"
        ),
    )


def ticket_features(tickets: DataFrame, points: DataFrame) -> DataFrame:
    """Support of each point that has any in the look-back.

    A resolution counts only when it came before as_of; so does the rating,
    which is given with it.
    """
    reached = _reached(tickets.withColumn("day", F.to_date("opened_at")), points)
    resolved = F.coalesce(
        F.col("resolved_at") < F.col("as_of_date").cast("timestamp"), F.lit(False)
    )
    unhappy = resolved & F.coalesce(F.col("satisfaction") <= UNHAPPY, F.lit(False))
    recent = F.col("day") >= F.date_sub("as_of_date", 28)
    return reached.groupBy(*POINT).agg(
        F.sum(recent.cast("bigint")).alias("tickets_28d"),
        F.count(F.lit(1)).alias("tickets_90d"),
        F.sum((~resolved).cast("bigint")).alias("open_tickets"),
        F.sum(unhappy.cast("bigint")).alias("unhappy_tickets_90d"),
    )


def _reached(events: DataFrame, points: DataFrame) -> DataFrame:
    """The events of each point's look-back."""
    return (
        points.select(*POINT)
        .join(events, on=LISTENER, how="inner")
        .where(
            (F.col("day") < F.col("as_of_date"))
            & (F.col("day") >= F.date_sub("as_of_date", LOOKBACK_DAYS))
        )
    )


def _declared(column: Declared | Feature) -> Column:
    """The column as declared: cast, and 0 where a count found nothing."""
    value = F.col(column.name)
    if isinstance(column, Feature) and not column.nullable:
        value = F.coalesce(value, F.lit(0))
    return value.cast(column.type).alias(column.name)
