"""The README shows what was measured, all of it, and no other number."""

from __future__ import annotations

import copy

import pytest

from analytics.settings import PROJECT
from bench import readme
from bench.claims import QUOTED, merged
from bench.figure import Figure

MACHINE = {
    "cores": 2, "memory_gib": 24.0, "processor": "a processor", "system": "Linux",
    "python": "3.11.7", "measured_on": "2025-06-01", "load_at_start": 0.1, "quick": False,
}  # fmt: skip
FAST = Figure(
    "copy", "rows by COPY", 812_345, "rows/s", "1 M rows", 0.84, "psycopg", "≥ 80 %", True
)
SLOW = Figure("run_first", "whole run", 1000, "s", "from nothing", aim="≤ 900 s", met=False)


@pytest.fixture
def claims():
    nothing = {"parts": {}, "figures": []}
    return merged(merged(nothing, "bench", {**MACHINE}, [FAST]), "run", {**MACHINE}, [SLOW])


def test_the_readme_shows_what_the_claims_file_holds():
    text = (PROJECT / "README.md").read_text()
    assert text.count(readme.OPENS) == text.count(readme.CLOSES) == 1
    shown, measured = readme.block(text), readme.render(readme.read())
    assert shown == measured, "README.md and docs/claims.json differ: run `make claims`"


def test_the_readme_holds_no_figure_outside_its_block():
    found = readme.figures_outside((PROJECT / "README.md").read_text())
    assert not found, f"say it by `make claims` or not at all: {found}"


def test_the_claims_file_lacks_nothing():
    assert readme.faults(readme.read()) == []


def test_every_quoted_figure_is_one_that_some_measure_gives():
    sources = "".join(f.read_text() for f in (PROJECT / "bench" / "measures").glob("*.py"))
    for name in QUOTED:
        assert f'"{name}"' in sources, name


def test_a_missed_aim_is_shown_as_missed(claims):
    shown = readme.render(claims)
    assert "| whole run | 1,000 s | ≤ 900 s, **missed** | from nothing |" in shown
    assert "| 812 k rows/s (84% of bare) | ≥ 80 %, met | 1 M rows; bare: psycopg |" in shown
    assert shown.index("whole run") < shown.index("rows by COPY")


def test_measuring_one_part_again_keeps_the_others(claims):
    faster = Figure("run_first", "whole run", 800, "s", "from nothing", aim="≤ 900 s", met=True)
    again = merged(claims, "run", {**MACHINE, "cores": 4}, [faster])
    assert [f["value"] for f in again["figures"]] == [800, 812_345]
    assert (again["parts"]["run"]["cores"], again["parts"]["bench"]["cores"]) == (4, 2)


@pytest.mark.parametrize("key", readme.REQUIRED["figure"])
def test_a_figure_without_a_key_is_refused(claims, key):
    assert readme.faults(claims) == []
    broken = copy.deepcopy(claims)
    del broken["figures"][0][key]
    assert readme.faults(broken)


def test_what_was_measured_with_tiny_data_is_refused(claims, tmp_path):
    claims["parts"]["bench"]["quick"] = True
    with pytest.raises(ValueError, match="--quick"):
        readme.write(claims, tmp_path / "claims.json", tmp_path / "README.md")
    assert not (tmp_path / "claims.json").exists()


def test_writing_puts_the_block_between_the_marks_and_leaves_the_rest(claims, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n\n{readme.OPENS}\nold\n{readme.CLOSES}\nend\n")
    readme.write(claims, tmp_path / "claims.json", page)
    readme.write(claims, tmp_path / "claims.json", page)
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{readme.OPENS}\n**The whole chain**")
    assert text.endswith(f"{readme.CLOSES}\nend\n")
    assert readme.block(text) == readme.render(readme.read(tmp_path / "claims.json"))


@pytest.mark.parametrize(
    "claim",
    ["in 15 minutes", "2 M plays", "200 k rows/s", "82 % of it", "10 GiB", "a 0.5s start", "3 GB"],
)
def test_a_number_with_a_unit_is_a_figure(claim):
    assert readme.figures_outside(f"It takes {claim}.")
    assert not readme.figures_outside(f"{readme.OPENS}\n{claim}\n{readme.CLOSES}")


@pytest.mark.parametrize(
    "plain",
    ["Python 3.11 or 3.12", "on 2025-05-02 some", "three tenants", "PostgreSQL 18", "`sleep 5 s`",
     "```\nwait 10 s\n```", "    make run  # 5 s"],
)  # fmt: skip
def test_versions_dates_and_code_are_no_figures(plain):
    assert not readme.figures_outside(plain)
