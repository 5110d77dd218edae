"""The row rules of one canonical table alone, beside those that every table has.

Closed lists are critical where a downstream number depends on the word, a
warning where a new word is news but harms nothing.
"""

from __future__ import annotations

from great_expectations.expectations.expectation import Expectation

from expectations import rules

PLANS = ["free", "premium", "family"]
SHARES = (
    "danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness",
    "valence",
)  # fmt: skip


def _country() -> Expectation:
    return rules.matches(
        "country",
        "^[A-Z]{2}$",
        "country_is_a_code",
        "Two capital letters (ISO 3166) are expected; maps go wrong without, money does not.",
        severity="warning",
    )


def _plays() -> list[Expectation]:
    return [
        rules.plausible_listening(),
        rules.between(
            "track_ms", "track_ms_is_positive", "A track of no length cannot be listened to.",
            minimum=1,
        ),
        _country(),
    ]  # fmt: skip


def _app_events() -> list[Expectation]:
    return []


def _listeners() -> list[Expectation]:
    return [
        rules.between(
            "birth_year", "birth_year_is_plausible", "A joke in a form; no number depends on it.",
            minimum=1900, maximum=2020, severity="warning",
        ),
        rules.not_earlier_than(
            "updated_at", "signed_up_at",
            "Nobody changes an account before opening it; tenure is computed from other events.",
            severity="warning",
        ),
        _country(),
    ]  # fmt: skip


def _tracks() -> list[Expectation]:
    return [
        rules.between(
            "duration_ms", "duration_ms_is_positive", "A track of no length cannot be played.",
            minimum=1,
        )
    ]  # fmt: skip


def _subscription_events() -> list[Expectation]:
    churn = "The churn label and revenue are told by this word."
    return [
        rules.one_of("kind", ["sign_up", "upgrade", "downgrade", "cancel"], churn),
        rules.one_of("plan_from", PLANS, churn),
        rules.one_of("plan_to", PLANS, churn),
    ]


def _payments() -> list[Expectation]:
    return [
        rules.positive_amount(
            "Revenue adds charges and subtracts refunds; a sign would be counted twice."
        ),
        rules.currency_code(),
        rules.one_of("kind", ["charge", "refund"], "The kind decides the sign in revenue."),
        rules.one_of(
            "plan", PLANS, "A new plan is news; revenue counts it all the same.",
            severity="warning",
        ),
    ]  # fmt: skip


def _touchpoints() -> list[Expectation]:
    return [
        rules.between(
            "cost_micros", "cost_micros_not_negative", "Advertising never pays us back.", minimum=0
        )
    ]


def _exposures() -> list[Expectation]:
    return []


def _tickets() -> list[Expectation]:
    return [
        rules.not_earlier_than(
            "resolved_at", "opened_at", "An answer before the question is a clock fault."
        ),
        rules.between(
            "satisfaction", "satisfaction_is_one_to_five", "The form offers no other number.",
            minimum=1, maximum=5,
        ),
    ]  # fmt: skip


def _reviews() -> list[Expectation]:
    return [rules.stars_in_range()]


def _artists() -> list[Expectation]:
    return [
        rules.differ(
            "artist_id", "same_as", "artist_is_not_its_own_alias",
            "An alias leads to another artist; one that leads to itself says nothing.",
            severity="warning",
        )
    ]  # fmt: skip


def _taggings() -> list[Expectation]:
    return [
        _item_kind(),
        rules.matches(
            "tag", r"\S", "tag_is_not_empty", "A tag of blanks would group what nobody grouped."
        ),
    ]


def _friendships() -> list[Expectation]:
    return [
        rules.differ(
            "listener_id", "friend_id", "friend_is_another_listener",
            "Nobody is their own friend; one such row harms no number.",
            severity="warning",
        )
    ]  # fmt: skip


def _listening_counts() -> list[Expectation]:
    return [
        _item_kind(),
        rules.between(
            "plays", "plays_are_one_or_more", "What was never played has no count; null says that "
            "nobody counted.", minimum=1,
        ),
    ]  # fmt: skip


def _track_features() -> list[Expectation]:
    measured = "Measured by somebody else's program; odd values spoil a model, no sum."
    ranges = {
        **{f"{column}_is_a_share": (column, 0.0, 1.0) for column in SHARES},
        "loudness_is_plausible": ("loudness", -70.0, 10.0),  # dB below full scale
        "tempo_is_plausible": ("tempo", 0.0, 300.0),  # beats a minute, 0 where none was found
        "pitch_class_is_known": ("pitch_class", 0, 11),
        "time_signature_is_plausible": ("time_signature", 0, 12),
    }
    return [
        rules.between(column, rule, measured, minimum=low, maximum=high, severity="warning")
        for rule, (column, low, high) in ranges.items()
    ]


def _orders() -> list[Expectation]:
    return [
        rules.positive_amount("Sales add up what was ordered; a return is told by its status."),
        rules.currency_code(),
        rules.one_of(
            "status", ["paid", "shipped", "cancelled", "returned"],
            "A new step of the shop is news; what was ordered stands all the same.",
            severity="warning",
        ),
    ]  # fmt: skip


def _order_lines() -> list[Expectation]:
    return [
        rules.positive_amount("Lines add up to their order; a sign would be counted twice."),
        rules.currency_code(),
        rules.between(
            "quantity", "quantity_is_one_or_more", "A line of nothing is no line.", minimum=1
        ),
    ]


def _api_usage() -> list[Expectation]:
    return [
        rules.between("errors", "errors_not_negative", "A counter never counts back.", minimum=0),
        rules.at_least(
            "calls", "errors", "errors_within_calls", "Each error is the answer to one call."
        ),
    ]


def _consents() -> list[Expectation]:
    return [
        rules.one_of(
            "purpose", ["marketing", "personalisation"],
            "A new purpose is news; a consent to it is none to the others.",
            severity="warning",
        )
    ]  # fmt: skip


def _item_kind() -> Expectation:
    return rules.one_of(
        "item_kind", ["artist", "track"], "It says of which table item_id is an id."
    )


OWN_RULES = {
    "plays": _plays,
    "app_events": _app_events,
    "listeners": _listeners,
    "tracks": _tracks,
    "subscription_events": _subscription_events,
    "payments": _payments,
    "touchpoints": _touchpoints,
    "exposures": _exposures,
    "tickets": _tickets,
    "reviews": _reviews,
    "artists": _artists,
    "taggings": _taggings,
    "friendships": _friendships,
    "listening_counts": _listening_counts,
    "track_features": _track_features,
    "orders": _orders,
    "order_lines": _order_lines,
    "api_usage": _api_usage,
    "consents": _consents,
}
