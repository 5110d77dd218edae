"""`analytics quarantine ls | show | replay`, as typed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from analytics.cli import app
from analytics.lake import quarantine, read
from tests.unit.replay.test_replay import (
    EVENTS,
    HEAD,
    PAYMENTS,
    SOUND,
    copied,
    logs,
    payments,
    run,
    world,
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Both tenants have two payments of a currency nobody knows; t1 two cut lines as well."""
    settings = world(tmp_path_factory.mktemp("ran") / "w", EVENTS, PAYMENTS)
    payments(settings, SOUND.replace("EUR", "€"))
    logs(settings, sound=False)
    run(settings)
    return settings


@pytest.fixture
def settings(ran, tmp_path):
    return copied(ran, tmp_path / "w")


@pytest.fixture
def analytics(settings):
    environment = {
        "ANALYTICS_VAR_DIR": str(settings.var),
        "ANALYTICS_TENANTS_FILE": str(settings.analytics_tenants_file),
        "COLUMNS": "200",
    }

    def call(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["quarantine", *arguments], env=environment)
        assert "Traceback" not in done.output
        return done.exit_code, done.output

    return call


def test_ls_counts_by_tenant_and_rule(analytics):
    code, printed = analytics("ls")
    assert code == 0
    lines = [line.split() for line in printed.splitlines()[1:]]
    assert [(*line[:4], *line[-4:-2]) for line in lines] == [
        ("t1", "bronze", "payments", "currency_is_a_code", "2", "2"),
        ("t1", "extract", "plays", "row_parses", "2", "2"),
        ("t2", "bronze", "payments", "currency_is_a_code", "2", "2"),
    ]
    told = json.loads(analytics("ls", "--tenant", "t2", "--json")[1])
    assert [(c["tenant"], c["rows"], c["open"]) for c in told] == [("t2", 2, 2)]
    assert "nothing is in quarantine for that" in analytics("ls", "--from", "2025-02-01")[1]


def test_show_tells_the_rule_the_value_and_the_line(analytics):
    printed = analytics("show", "--tenant", "t2", "-n", "1")[1]
    assert "currency_is_a_code  '€'" in printed
    assert "  payments: t2/payments/2025-01-06.csv row 0" in printed
    assert printed.count("currency_is_a_code") == 1
    told = json.loads(analytics("show", "--table", "plays", "--json")[1])
    assert {(row["tenant"], row["rule"], row["is_resolved"]) for row in told} == {
        ("t1", "row_parses", False)
    }


def test_replay_shows_its_plan_runs_it_and_says_what_comes_next(analytics, settings, tmp_path):
    fix = tmp_path / "euro.yaml"
    fix.write_text('payments: {values: {currency: {"€": EUR}}}')
    asked = ("replay", "--tenant", "t1", "--table", "payments", "--fix", str(fix))
    before = read.content_hash(settings)
    assert "would pass" in analytics(*asked, "--dry-run")[1]
    assert read.content_hash(settings) == before

    code, printed = analytics(*asked)
    assert code == 0
    assert "trigger `features` for t1 from 2025-01-06 to 2025-01-07" in " ".join(printed.split())
    assert read.scan(settings, "payments", "t1").collect().height == 3
    assert read.scan(settings, "payments", "t2").collect().height == 1
    held = quarantine.scan(settings, "t1").collect()
    assert {*held.select("table", "is_resolved").rows()} == {("payments", True), ("plays", False)}
    assert "resolved by replay__" in analytics("show", "--tenant", "t1", "--table", "payments")[1]
    assert "nothing to replay" in analytics(*asked)[1]


def test_rows_that_stay_bad_are_pointed_at(analytics):
    code, printed = analytics("replay", "--tenant", "t2")
    assert code == 0
    assert "`analytics quarantine show --tenant t2` shows what is still bad" in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ls", "--tenant", "t9"], "t9"),
        (["ls", "--from", "2025-01-08", "--to", "2025-01-07"], "must be later than"),
        (["replay", "--tenant", "t1", "--fix", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_said(analytics, arguments, says):
    code, printed = analytics(*arguments)
    assert code == 1
    assert says in printed
    assert HEAD not in printed
