"""What may leave: one suite a published mart, judged before publication.

A mart is judged by its profile, which the warehouse computes: one row per UTC
day (one row in all for a mart without days), with the number of rows, of
distinct keys, of missing values, and the smallest numbers. Nothing is
tolerated here: what is wrong now was made wrong by us.
"""

from __future__ import annotations

from dataclasses import dataclass

import great_expectations as gx
from great_expectations.expectations.expectation import Expectation

from expectations import rules


@dataclass(frozen=True)
class Mart:
    """What a gate needs to know about one published mart."""

    name: str
    grain: tuple[str, ...]  # within a tenant
    time: str | None = None  # the column that places a row in an interval
    required: tuple[str, ...] = ()  # beside the grain
    not_negative: tuple[str, ...] = ()


MARTS: dict[str, Mart] = {
    mart.name: mart
    for mart in (
        Mart(
            "fct_plays", ("play_id",), "started_at",
            required=("listener_id", "track_id", "started_at"),
            not_negative=("listened_ms",),
        ),
        Mart(
            "fct_sessions", ("session_key",), "started_at",
            required=("listener_id", "started_at"),
            not_negative=("plays", "listened_seconds"),
        ),
        Mart(
            "daily_listening", ("listening_date",), "listening_date",
            not_negative=("plays", "skips", "listeners", "listened_seconds"),
        ),
        Mart(
            "daily_track_listening", ("listening_date", "track_id"), "listening_date",
            not_negative=("plays", "skips", "listeners", "listened_seconds"),
        ),
        # A track without a known artist is counted under no artist.
        Mart(
            "daily_artist_listening", ("listening_date", "artist_id"), "listening_date",
            not_negative=("plays", "skips", "listeners", "listened_seconds"),
        ),
        Mart("dim_tracks", ("track_id",)),
        Mart("dim_listeners", ("listener_id",)),
        Mart("fct_subscriptions", ("subscription_key",), required=("listener_id", "valid_from")),
        Mart(
            "fct_payments", ("payment_id",), "paid_at",
            required=("listener_id", "amount_minor", "currency", "kind"),
            not_negative=("amount_minor",),
        ),
        Mart(
            "monthly_revenue", ("currency", "month_date"),
            not_negative=("charged_minor", "refunded_minor"),
        ),
        Mart(
            "churn_labels", ("listener_id", "as_of_date"), required=("is_churned",)
        ),
        Mart("churn_features", ("listener_id", "as_of_date"), "as_of_date"),
    )
}  # fmt: skip
MAY_MISS = {("daily_artist_listening", "artist_id")}


def required_of(mart: Mart) -> list[str]:
    """The columns of a mart that are never null."""
    columns = dict.fromkeys((*mart.grain, *mart.required))
    return [c for c in columns if (mart.name, c) not in MAY_MISS]


def suite(relation: str) -> gx.ExpectationSuite:
    """The rules for the profile of one published mart."""
    mart = MARTS[relation]
    grain = ", ".join(("tenant_id", *mart.grain))
    return gx.ExpectationSuite(
        name=f"marts_{relation}",
        expectations=[
            rules.has_rows(
                "An empty mart is worth a look; that no row got lost is checked against its "
                "origin.",
                severity="warning",
            ),
            rules.equals(
                "keys", "rows", "grain_is_unique", f"One row per ({grain}); more double every sum."
            ),
            *(_never_missing(column) for column in required_of(mart)),
            *(_never_negative(column) for column in mart.not_negative),
        ],
    )


def reconciliation_suite() -> gx.ExpectationSuite:
    """The rules for totals that two relations must agree on, one row per check and day."""
    return gx.ExpectationSuite(
        name="marts_reconciliation",
        expectations=[
            rules.is_given("check", "Each total says which one it is."),
            rules.equals(
                "actual", "expected", "totals_reconcile",
                "What a mart sums up is what its origin holds, to the last play and cent.",
            ),
        ],
    )  # fmt: skip


def _never_missing(column: str) -> Expectation:
    return rules.between(
        f"{column}_missing", f"{column}_is_given", "Readers join and count by it.", maximum=0
    )


def _never_negative(column: str) -> Expectation:
    return rules.between(
        f"{column}_least", f"{column}_not_negative", "Nothing is listened to, or paid, less than "
        "not at all.", minimum=0,
    )  # fmt: skip
