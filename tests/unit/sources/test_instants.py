"""Text instants: every layout, alone and mixed, whichever comes first."""

from datetime import UTC, datetime
from itertools import permutations

import polars as pl
import pytest

from analytics.lake.tables import INSTANT
from analytics.sources.typed import cast

NOON = datetime(2025, 3, 9, 12, tzinfo=UTC)
SAID = {
    "2025-03-09T12:00:00Z": NOON,
    "2025-03-09T12:00:00.250Z": NOON.replace(microsecond=250_000),
    "2025-03-09 12:00:00": NOON,
    "2025-03-09T12:00:00": NOON,
    "2025-03-09 12:00": NOON,
    "2025-03-09T12:00": NOON,
    "2025-03-09T14:00:00+02:00": NOON,
    "2025-03-09 14:00:00+0200": NOON,
    "2025-03-09": NOON.replace(hour=0),
    "yesterday": None,
    "2025-02-30T12:00:00Z": None,
}


@pytest.mark.parametrize("text", SAID)
def test_whichever_text_comes_first_each_is_read_by_its_own_layout(text):
    texts = [None, text, "", *SAID]
    read = cast(pl.Series("at", texts), INSTANT)
    assert read.to_list() == [None, SAID[text], None, *SAID.values()]


def test_the_order_of_rows_changes_nothing():
    for texts in permutations(["2025-03-09", "2025-03-09 12:00", "2025-03-09T14:00:00+02:00"]):
        assert cast(pl.Series("at", texts), INSTANT).to_list() == [SAID[t] for t in texts]


@pytest.mark.parametrize("texts", [[], [None, None], ["", " "]])
def test_a_column_of_nothing_stays_nothing(texts):
    read = cast(pl.Series("at", texts, dtype=pl.String), INSTANT)
    assert read.dtype == INSTANT
    assert read.null_count() == len(texts)
