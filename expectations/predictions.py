"""What a model may say: the suite of a day's scores, judged before they replace anything.

Nothing is tolerated here: one listener without a sound score means that all were made wrong.
"""

from __future__ import annotations

import great_expectations as gx

from expectations import rules

COLUMNS = [
    "tenant_id", "listener_id", "as_of_date", "churn_probability", "model_version", "reasons",
    "run_id",
]  # fmt: skip
MANY = 30  # listeners that no working model gives one and the same probability


def suite(relation: str, listeners: int) -> gx.ExpectationSuite:
    """The rules for one day's scores of so many listeners of one tenant."""
    acts = "Whoever acts on scores looks for the listener, the day and the model."
    return gx.ExpectationSuite(
        name=f"predictions_{relation}",
        expectations=[
            rules.columns_match(COLUMNS),
            rules.unique(
                ["tenant_id", "listener_id", "as_of_date"], "grain_is_unique",
                "Two scores for a listener on one day: which one to act on?", severity="critical",
            ),
            *(
                [
                    rules.not_one_value(
                        "churn_probability", "probabilities_differ",
                        "One number for so many listeners: the model did not see their features.",
                    )
                ]
                if listeners >= MANY
                else []
            ),
            *(
                rules.is_given(column, acts)
                for column in ("listener_id", "as_of_date", "churn_probability", "model_version")
            ),
            rules.between(
                "churn_probability", "churn_probability_is_a_share",
                "A probability; NaN and log-odds are none.", minimum=0, maximum=1,
            ),
            rules.matches(
                "reasons", r"^\[.*\]$", "reasons_are_a_list",
                "Readers take the reasons apart as a JSON list.",
            ),
        ],
    )  # fmt: skip
