from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from analytics.simulate import eventsim, operations
from analytics.simulate.profiles import SAMPLE
from analytics.simulate.run import simulate
from analytics.simulate.world import Day, World
from tests.unit.simulate.small_worlds import START, profile, small


def contents(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


def test_equal_configs_write_equal_bytes_and_leave_no_half_file(tmp_path):
    for name in ("one", "two"):
        simulate(small(3), tmp_path / name / "landing", tmp_path / name / "truth")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one" / "landing")) == 3 * (7 + 10)
    assert not [f for f in (tmp_path / "one").rglob(".*") if f.is_file()]


def test_more_days_leave_the_bytes_of_the_earlier_ones(tmp_path):
    simulate(small(4), tmp_path / "short", tmp_path / "t")
    simulate(small(7), tmp_path / "long", tmp_path / "t")
    short, long = contents(tmp_path / "short"), contents(tmp_path / "long")
    assert len(long) == len(short) * 7 / 4
    assert {name: long[name] for name in short} == short


def test_a_drift_to_come_leaves_the_days_before_it_as_they_were(tmp_path):
    since = START + timedelta(days=3)
    simulate(small(4), tmp_path / "calm", tmp_path / "t")
    simulate(small(4, drift={"indie_radio": since}), tmp_path / "drifting", tmp_path / "t")
    calm, drifting = contents(tmp_path / "calm"), contents(tmp_path / "drifting")
    differing = {name for name in calm if calm[name] != drifting[name]}
    assert differing
    assert all(name.startswith("indie_radio/") and f"/{since}." in name for name in differing)


def test_a_tenant_writes_the_same_alone_and_beside_others(tmp_path):
    both = small(2)
    simulate(both, tmp_path / "both", tmp_path / "t")
    alone = both.model_copy(update={"tenants": both.tenants[1:]})
    simulate(alone, tmp_path / "alone", tmp_path / "t")
    assert contents(tmp_path / "alone/indie_radio") == contents(tmp_path / "both/indie_radio")


def test_shop_api_and_consents_move_nothing_else(monkeypatch):
    """So that what is true of listening, money and leaving stays whatever the shop sells."""
    config = small(4, tenants=(profile("nordic_beats"),))

    def days() -> list[Day]:
        world = World(config, config.tenants[0])
        return [world.step() for _ in range(4)]

    usual = days()
    monkeypatch.setattr(operations, "ORDERS_A_DAY", 0.5)
    monkeypatch.setattr(operations, "CALLS_A_PLAY", operations.CALLS_A_PLAY * 3)
    monkeypatch.setattr(operations, "CHANGES_OF_MIND", 0.5)
    differing = {
        table
        for before, after in zip(usual, days(), strict=True)
        for table, rows in before.items()
        if any(not np.array_equal(rows[c], after[table][c]) for c in rows.columns)
    }
    assert differing == {"orders", "order_lines", "api_usage", "consents"}


def test_tenants_side_by_side_write_the_same_as_one_after_the_other(tmp_path):
    days: list[tuple[str, date]] = []
    simulate(small(3), tmp_path / "after" / "landing", tmp_path / "after" / "truth")
    report = simulate(
        small(3), tmp_path / "beside" / "landing", tmp_path / "beside" / "truth",
        progress=lambda *day: days.append(day), workers=2,
    )  # fmt: skip
    assert contents(tmp_path / "beside") == contents(tmp_path / "after")
    assert [t.tenant_id for t in report.tenants] == [p.id for p in small(3).tenants]
    assert len(days) == len(set(days)) == 2 * 3


def test_a_tenant_that_fails_is_named_and_the_one_beside_it_arrives(tmp_path):
    lacks_its_database = small(2).model_copy(update={"tenants": SAMPLE[1:]})
    with pytest.raises(ValueError, match="nordic_beats writes to PostgreSQL and got no DSN"):
        simulate(lacks_its_database, tmp_path / "landing", tmp_path / "truth", workers=2)
    assert len(list((tmp_path / "landing/indie_radio/plays").iterdir())) == 2


def test_other_seeds_and_other_tenants_live_other_days():
    config = small(1)
    reseeded = World(config.model_copy(update={"seed": 1}), config.tenants[0])
    worlds = [*(World(config, p) for p in config.tenants), reseeded]
    first, *others = (w.step()["plays"].frame().head(50) for w in worlds)
    assert len(first) == 50
    assert not any(first.equals(other) for other in others)


def test_lines_are_the_same_however_many_are_rendered_at_once(tmp_path, monkeypatch):
    simulate(small(3), tmp_path / "whole", tmp_path / "t")
    monkeypatch.setattr(eventsim, "LINES_AT_ONCE", 100)
    simulate(small(3), tmp_path / "cut", tmp_path / "t")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
