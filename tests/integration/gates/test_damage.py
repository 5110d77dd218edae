"""Every kind of damage to a clean day is noticed at the first door that can see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.damage import table
from tests.damage.kinds import KINDS, Kind
from tests.damage.world import TENANTS, World

pytestmark = pytest.mark.integration

SAMPLED = {"another_currency", "cut_parquet", "silent_zeroes", "time_zone_shift"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("damage"), days=1)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(k, id=k.name, marks=() if k.name in SAMPLED else pytest.mark.long)
        for k in KINDS
    ],
)
def test_damage_is_noticed_where_it_can_be_seen_first(world: World, kind: Kind) -> None:
    seen = world.damaged(kind)
    assert seen.is_as_told(kind), seen
    assert table.row(kind.name, seen) in table.PAGE.read_text()


@pytest.mark.parametrize("tenant_id", TENANTS)
def test_nothing_learned_speaks_of_a_clean_day(world: World, tenant_id: str) -> None:
    seen = world.clean[tenant_id]
    assert not seen.stopped
    assert [rule for rule in seen.broken if "learned" in rule] == []


@pytest.mark.long
def test_false_alarms_on_clean_days_are_as_published(tmp_path: Path) -> None:
    world = World(tmp_path)
    alarms = [a for t in TENANTS for a in world.false_alarms(t) if a is not None]
    assert table.clean(alarms) in table.PAGE.read_text()
    assert len({(a.tenant_id, a.day) for a in alarms if a.stopped}) <= 1
    assert len([a for a in alarms if not a.stopped]) <= 3


def test_there_are_at_least_thirty_kinds_and_the_page_has_them_all() -> None:
    page = table.PAGE.read_text()
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 30
    assert [k.name for k in KINDS if f"(`{k.name}`)" not in page] == []
    assert page.count("\n| ") == len(KINDS) + 1
