"""The door between bronze and silver, with real files, a real lake and two tenants."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from analytics import gates
from analytics.errors import GateFailed, UnknownTenant
from analytics.gates import data_docs
from analytics.gates.report import GateReport, slug
from analytics.interval import Interval
from analytics.lake import bronze, quarantine, staging
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from tests.builders import a_frame, a_play, a_row

DAY = Interval.of("2025-01-06", "2025-01-07")
YEAR_2099 = datetime(2099, 1, 1, tzinfo=UTC)


def a_tenant(tenant_id: str, budget: float = 0.1) -> dict:
    """A tenant that drops plays and payments as Parquet with our own column names."""
    return {
        "id": tenant_id,
        "name": tenant_id,
        "bad_row_budget": budget,
        "sources": [
            {
                "name": table,
                "format": "parquet",
                "table": table,
                "path": f"{{landing}}/{tenant_id}/{table}/{{date}}.parquet",
                "columns": {c: c for c in TABLES[table].columns if c != "tenant_id"},
            }
            for table in ("plays", "payments")
        ],
    }


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings([a_tenant("t1"), a_tenant("t2")])


def arrive(settings: Settings, tenant_id: str, plays: list[dict], payments: list[dict]) -> None:
    """Drop a day's files and read them into bronze."""
    for table, rows in (("plays", plays), ("payments", payments)):
        path = settings.landing / tenant_id / table / "2025-01-06.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        a_frame(table, *rows).drop("tenant_id").write_parquet(path)
    bronze.extract(settings, tenant_id, DAY, "extract")


def good_plays(count: int) -> list[dict]:
    return [a_play(play_id=f"p{n}") for n in range(count)]


def staged(settings: Settings, tenant_id: str, table: str) -> pl.DataFrame | None:
    found = staging.read(settings, tenant_id, table, DAY)
    return None if found is None else found.rows()


def test_within_the_budget_bad_rows_go_to_quarantine_and_the_good_ones_on(
    settings: Settings,
) -> None:
    arrive(
        settings, "t1",
        [*good_plays(18), a_play(play_id="neg", listened_ms=-4000),
         a_play(play_id="far", started_at=YEAR_2099)],
        [a_row("payments")],
    )  # fmt: skip
    arrive(settings, "t2", good_plays(3), [a_row("payments")])

    report = gates.bronze(settings, "t1", DAY, "run-1")
    gates.bronze(settings, "t2", DAY, "run-1")

    assert report.passed
    assert report.quarantined == 2
    plays = staged(settings, "t1", "plays")
    assert plays is not None
    assert sorted(plays["play_id"]) == sorted(f"p{n}" for n in range(18))
    rows = quarantine.scan(settings).sort("rule").collect()
    assert rows.select("tenant_id", "door", "table", "rule", "column", "value").rows() == [
        ("t1", "bronze", "plays", "listened_ms_is_plausible", "listened_ms", "-4000"),
        ("t1", "bronze", "plays", "started_at_not_after_interval", "started_at",
         "2099-01-01 00:00:00.000000+00:00"),
    ]  # fmt: skip
    assert json.loads(rows["row"][0])["play_id"] == "neg"
    assert rows["source"].to_list() == ["plays", "plays"]
    assert rows["file"].str.ends_with("2025-01-06.parquet").all()
    assert rows["row_number"].null_count() == 0


def test_judging_again_changes_nothing(settings: Settings) -> None:
    arrive(settings, "t1", [*good_plays(18), a_play(play_id="n", listened_ms=-1)], [])

    first = gates.bronze(settings, "t1", DAY, "run-1")
    before = staged(settings, "t1", "plays"), quarantine.scan(settings).collect()
    second = gates.bronze(settings, "t1", DAY, "run-1")

    after = staged(settings, "t1", "plays"), quarantine.scan(settings).collect()
    assert first == second
    assert all(one.equals(two) for one, two in zip(before, after, strict=True))  # type: ignore[union-attr,arg-type]


def test_above_the_budget_the_tenant_stops_and_the_other_goes_on(settings: Settings) -> None:
    bad = [a_play(play_id=f"b{n}", listened_ms=-1 - n) for n in range(8)]
    arrive(settings, "t1", [*good_plays(12), *bad], [a_row("payments")])
    arrive(settings, "t2", good_plays(20), [a_row("payments")])

    with pytest.raises(GateFailed) as failure:
        gates.bronze(settings, "t1", DAY, "run-1")
    gates.bronze(settings, "t2", DAY, "run-1")

    message = str(failure.value)
    assert "the bronze gate stopped tenant t1" in message
    assert "plays: listened_ms_is_plausible failed for 8 of 20 rows, 2 allowed" in message
    assert "-1, -2, -3, -4, -5" in message
    assert "-5, -6" not in message
    assert str(data_docs.index(settings)) in message
    assert "docs/runbooks/gates.md" in message
    assert staged(settings, "t1", "plays") is None
    assert staged(settings, "t1", "payments") is None, "a stopped tenant lands no table"
    assert quarantine.scan(settings, "t1").collect().is_empty()
    passed = staged(settings, "t2", "plays")
    assert passed is not None
    assert passed.height == 20


def test_a_gate_that_stops_forgets_what_an_earlier_try_staged(settings: Settings) -> None:
    arrive(settings, "t1", good_plays(4), [])
    gates.bronze(settings, "t1", DAY, "run-1")
    arrive(settings, "t1", [a_play(play_id="n", listened_ms=-1)], [])

    with pytest.raises(GateFailed):
        gates.bronze(settings, "t1", DAY, "run-2")

    assert staged(settings, "t1", "plays") is None


def test_a_day_without_rows_passes_and_says_so(settings: Settings) -> None:
    arrive(settings, "t1", [], [])

    report = gates.bronze(settings, "t1", DAY, "run-1")

    assert report.passed
    assert {r.rule for table in report.tables for r in table.warnings} == {"has_rows"}


def test_an_unknown_tenant_is_refused(settings: Settings) -> None:
    with pytest.raises(UnknownTenant, match="no tenant 'nobody'"):
        gates.bronze(settings, "nobody", DAY, "run-1")


def test_a_stored_report_reads_back_as_it_was(settings: Settings) -> None:
    arrive(settings, "t1", [*good_plays(18), a_play(play_id="n", listened_ms=-1)], [])

    report = gates.bronze(settings, "t1", DAY, "manual__2025-01-06T00:00:00+00:00")

    file = settings.var / "gates" / "t1" / "bronze" / "manual__2025-01-06T00-00-00-00-00.json"
    assert GateReport.from_dict(json.loads(file.read_text())) == report
    assert json.loads(json.dumps(report.as_dict()))["passed"] is True


def test_data_docs_hold_the_rules_and_need_no_network(settings: Settings) -> None:
    arrive(settings, "t1", [a_play(play_id="n", listened_ms=-1)], [a_row("payments")])
    arrive(settings, "t2", good_plays(2), [a_row("payments")])

    gates.bronze(settings, "t2", DAY, "run-1")
    with pytest.raises(GateFailed):
        gates.bronze(settings, "t1", DAY, "run-1")

    root = data_docs.root(settings)
    pages = {str(p.relative_to(root)): p.read_text() for p in root.rglob("*.html")}
    assert set(pages) == {
        "index.html", "t1/bronze/index.html", "t2/bronze/index.html",
        "t1/bronze/run-1/plays.html", "t1/bronze/run-1/payments.html",
        "t2/bronze/run-1/plays.html", "t2/bronze/run-1/payments.html",
    }  # fmt: skip
    for name, page in pages.items():
        assert "http://" not in page, name
        assert "https://" not in page, name
        assert "src=" not in page, name
        for target in links(page):
            assert (root / name).parent.joinpath(target).resolve().exists(), (name, target)
    assert "listened_ms_is_plausible" in pages["t1/bronze/run-1/plays.html"]
    assert "started_at_not_after_interval" in pages["t1/bronze/run-1/plays.html"]
    index = pages["index.html"]
    assert index.index("t1/bronze") < index.index("t2/bronze"), "the stopped tenant comes first"
    assert "listened_ms_is_plausible" in index
    assert "-1" in pages["t1/bronze/index.html"]


def links(page: str) -> list[str]:
    """Files a page points to."""
    import re

    targets = re.findall(r'href="([^"#]+)', page)
    return [t for t in targets if not t.startswith("data:")]


def test_gates_of_two_tenants_at_once_leave_one_whole_index(settings: Settings) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from analytics.gates.report import store

    def one(number: int) -> Path:
        report = GateReport(f"t{number % 2 + 1}", "bronze", DAY, f"run-{number}")
        store(settings, report)
        return data_docs.publish(settings, report)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(20)))

    index = data_docs.index(settings).read_text()
    assert index.rstrip().endswith("</html>")
    assert index.count('class="pill') == 2
    assert [p for p in data_docs.root(settings).rglob(".*") if p.is_file()] == []


@pytest.mark.parametrize(
    ("run_id", "name"),
    [("scheduled__2025-01-06T00:00:00+00:00", "scheduled__2025-01-06T00-00-00-00-00"),
     ("../../etc/passwd", "etc-passwd"), ("", "run")],
)  # fmt: skip
def test_a_run_id_never_leaves_its_folder(run_id: str, name: str) -> None:
    assert slug(run_id) == name


def test_a_broken_clock_in_an_undated_export_is_quarantined_not_passed_over(
    make_settings: Callable[..., Settings],
) -> None:
    """Rows of another time are left to their own interval; nobody's time is 2099 or 1970."""
    history = {"name": "history", "format": "spotify_extended"}
    settings = make_settings(
        [
            {"id": t, "name": t, "bad_row_budget": 0.5,
             "sources": [{**history, "path": f"{{landing}}/{t}/*.json"}]}
            for t in ("t1", "t2")
        ]
    )  # fmt: skip
    ends = {
        "t1": ["2025-01-06T12:00:00Z", "2025-01-06T13:00:00Z", "2025-03-01T12:00:00Z",
               "2099-01-01T00:00:00Z", "1970-01-01T00:10:00Z"],
        "t2": ["2025-01-06T12:00:00Z"] * 2,
    }  # fmt: skip
    for tenant_id, times in ends.items():
        path = settings.landing / tenant_id / "endsong_0.json"
        path.parent.mkdir(parents=True)
        plays = [
            {"ts": ts, "ms_played": n, "username": "u", "spotify_track_uri": f"spotify:track:{n}"}
            for n, ts in enumerate(times)
        ]
        path.write_text(json.dumps(plays))
        bronze.extract(settings, tenant_id, DAY, "extract")
        gates.bronze(settings, tenant_id, DAY, "run-1")

    found = staging.read(settings, "t1", "plays", DAY)
    assert found is not None
    rows, counts = found.rows(), found.counts
    assert (rows.height, counts.quarantined, counts.out_of_interval) == (2, 2, 1)
    broken = quarantine.scan(settings).filter(table="plays").sort("row_number").collect()
    assert broken.select("tenant_id", "rule").rows() == [
        ("t1", "started_at_not_after_interval"),
        ("t1", "started_at_not_before_2000"),
    ]
    other = staging.read(settings, "t2", "plays", DAY)
    assert other is not None
    assert other.rows().height == 2


def test_a_changed_column_is_told_and_lets_its_tenant_pass(settings: Settings) -> None:
    for day, extra in (("2025-01-06", {}), ("2025-01-07", {"mood": ["calm"]})):
        for tenant_id in ("t1", "t2"):
            more = extra if tenant_id == "t1" else {}
            for table in ("plays", "payments"):
                path = settings.landing / tenant_id / table / f"{day}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                frame = a_frame(table, a_row(table)).drop("tenant_id", "extras")
                frame.with_columns(pl.Series(k, v) for k, v in more.items()).write_parquet(path)
    after = Interval.of("2025-01-07", "2025-01-08")
    for tenant_id in ("t1", "t2"):
        bronze.extract(settings, tenant_id, Interval.covering([DAY, after]), "extract")

    told = {}
    for tenant_id in ("t1", "t2"):
        for day in (DAY, after):
            report = gates.bronze(settings, tenant_id, day, f"run-{day.start:%d}")
            told[tenant_id, f"{day.start:%d}"] = [
                (table.table, r.observed)
                for table in report.tables
                for r in table.warnings
                if r.rule == f"columns_of_{table.table}_are_as_before"
            ]
    news = "new column mood, not carried; declare it under `extras`"
    assert told.pop(("t1", "07")) == [("plays", news), ("payments", news)]
    assert list(told.values()) == [[], [], []]
    page = (data_docs.root(settings) / "t1" / "bronze" / "index.html").read_text()
    assert "new column mood, not carried" in page
