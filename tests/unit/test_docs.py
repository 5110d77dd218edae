"""The pages keep their word: links lead somewhere, snippets run, named commands exist."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from analytics.cli import app
from analytics.settings import PROJECT, TEST_ONLY, Settings
from analytics.sources import formats, reader
from analytics.tenants import load_tenants

ROOMS = (
    "analytics", "dags", "dbt_project", "deploy", "expectations", "ml", "spark_jobs", "tests",
)  # fmt: skip
PAGES = sorted(
    page
    for folder in (".", "docs/**", *(f"{room}/**" for room in ROOMS))
    for page in PROJECT.glob(f"{folder}/*.md")
    if not {"target", "dbt_packages", ".pytest_cache"} & set(page.parts)
)
README = PROJECT / "README.md"
WRITTEN = {"docs/claims.json"}  # by `make claims`
# The app that answers `analytics <name> …` where it lives in a room of its own.
ELSEWHERE = {
    "simulate": "analytics.simulate.cli",
    "sources": "analytics.sources.cli",
    "ingest": "analytics.by_hand.cli",
    "lake": "analytics.lake.cli",
    "quarantine": "analytics.replay.cli",
    "expectations": "analytics.proposals.cli",
    "sql": "analytics.warehouse.cli",
}

named = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix()
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def between(text: str, mark: str) -> str:
    return text.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0].strip()


def anchors(page: Path) -> set[str]:
    """The names GitHub gives to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


# ------------------------------------------------------------------ links


@named
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: nothing there"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@named
def test_a_named_file_of_the_project_exists(page):
    for path in re.findall(r"`((?:docs|deploy|tests|analytics|expectations|dags)/[^`\s<>*{}]+)`",
                           page.read_text()):  # fmt: skip
        if path in WRITTEN:
            continue
        beside = (PROJECT / path.split("::")[0], page.parent / path)
        assert any(p.exists() for p in beside), f"{path}: not in the project"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_belongs_there(room):
    page = PROJECT / room / "README.md"
    assert page.exists(), f"{room}/ has no README.md"
    assert f"{room}/README.md" in README.read_text()


def test_the_index_names_every_page():
    index = (PROJECT / "docs" / "README.md").read_text()
    pages = [p.relative_to(PROJECT / "docs").as_posix() for p in (PROJECT / "docs").glob("*.md")]
    pages += [f"runbooks/{p.name}" for p in (PROJECT / "docs" / "runbooks").glob("*.md")]
    missing = [page for page in pages if f"]({page})" not in index and page != "README.md"]
    assert missing == []


def test_the_index_of_decisions_names_every_decision():
    folder = PROJECT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    assert [p.name for p in folder.glob("0*.md") if p.name not in index] == []


def test_the_picture_stands_alone_and_knows_the_dark():
    picture = PROJECT / "docs" / "pictures" / "chain.svg"
    text = picture.read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    assert "prefers-color-scheme: dark" in text
    assert "href" not in text


# --------------------------------------------------------------- snippets


def test_the_tenant_of_the_readme_is_valid(tmp_path):
    (snippet,) = blocks(README, "yaml")
    file = tmp_path / "tenants.yaml"
    file.write_text(snippet)
    tenants = load_tenants(file)
    assert tenants
    for source in (s for t in tenants.values() for s in t.sources):
        assert source.format in formats()
        assert source.table in reader(source.format).feeds(source)


def _is_module(package: str, name: str) -> bool:
    try:
        return importlib.util.find_spec(f"{package}.{name}") is not None
    except ModuleNotFoundError:
        return False


@named
def test_yaml_snippets_are_yaml(page):
    for snippet in blocks(page, "yaml"):
        assert yaml.safe_load(snippet)


@named
def test_python_snippets_compile_and_their_names_exist(page):
    for snippet in blocks(page, "python"):
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compile(snippet, str(page), "exec", flags=flags)
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    known = hasattr(module, alias.name) or _is_module(node.module, alias.name)
                    assert known, f"{node.module} has no {alias.name}"


def test_the_python_face_has_the_methods_the_readme_calls():
    import analytics

    (snippet,) = blocks(README, "python")
    faces = {"engine": analytics.AnalyticsEngine, "models": analytics.MLManager}
    called = {
        (node.func.value.id, node.func.attr): node
        for node in ast.walk(ast.parse(snippet))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in faces
    }
    assert called
    for (name, method), call in called.items():
        takes = inspect.signature(getattr(faces[name], method)).parameters
        assert {k.arg for k in call.keywords} <= set(takes)


# --------------------------------------------------------------- commands


def commands(page: Path) -> set[str]:
    """`analytics …` as written in code spans and indented lines, up to the first quote or dot."""
    text = page.read_text()
    spans = re.findall(r"`(analytics [^`]+)`", text)
    lines = re.findall(r"^ {4}(?:\.venv/bin/)?(analytics [a-z].*)$", text, re.M)
    return {re.split(r"\s{2,}|#|…|\|| -- ", line)[0].strip() for line in (*spans, *lines)}


def answering(words: list[str]) -> tuple[typer.Typer, list[str]]:
    if words and words[0] in ELSEWHERE:
        return importlib.import_module(ELSEWHERE[words[0]]).app, words[1:]
    return app, words


@named
def test_commands_named_exist_with_their_options(page):
    for command in commands(page):
        try:
            words = shlex.split(command)[1:]
        except ValueError:
            words = command.split()[1:]
        names = [w for w in words if re.fullmatch(r"[a-z]+", w)]
        home, rest = answering(names)
        group = typer.main.get_command(home)
        while rest and hasattr(group, "commands"):
            assert rest[0] in group.commands, f"`{command}`: there is no {rest[0]}"
            group, rest = group.commands[rest[0]], rest[1:]
        if names and names[0] not in ELSEWHERE:
            assert names[0] in typer.main.get_command(app).commands
        known = {flag for p in group.params for flag in p.opts} | {"--help"}
        for option in (w.split("=")[0] for w in words if re.match(r"--?[a-z]", w)):
            assert option in known, f"`{command}`: there is no {option}"


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))
def test_every_command_is_in_the_readme_and_explains_itself(command):
    assert f"`analytics {command}" in README.read_text()
    home, rest = answering([command])
    said = CliRunner().invoke(home, [*rest, "--help"])
    assert said.exit_code == 0
    assert "Usage" in said.output


@named
def test_make_targets_named_exist(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", (PROJECT / "Makefile").read_text(), re.M))
    text = page.read_text()
    wanted = re.findall(r"`make ([a-z][a-z0-9-]*)", text) + re.findall(
        r"^ {4}make (\S+)", text, re.M
    )
    assert set(wanted) <= targets


# --------------------------------------------------------------- settings


def settings_table() -> str:
    """The table of the README, made from the settings themselves."""
    lines = ["| setting | default | is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        value = field.default
        if isinstance(value, Path):
            value = value.relative_to(PROJECT)
        shown = {None: "", True: "`true`", False: "`false`"}.get(
            value if value is None or isinstance(value, bool) else "", f"`{value}`"
        )
        lines.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)


def test_the_settings_of_the_readme_are_the_settings():
    assert all(field.description for field in Settings.model_fields.values())
    assert between(README.read_text(), "settings") == settings_table()


@named
def test_settings_named_exist(page):
    text = page.read_text()
    found = set(re.findall(r"\b((?:ANALYTICS|ML)_[A-Z][A-Z_]*[A-Z])\b", text))
    known = {name.upper() for name in Settings.model_fields} | TEST_ONLY
    assert found <= known


def test_the_readme_shows_no_figure_outside_its_claims():
    text = README.read_text()
    assert between(text, "claims") is not None
    outside = text.split("<!-- claims -->")[0] + text.split("<!-- /claims -->")[1]
    assert re.findall(r"\b\d[\d.,]*\s*(?:ms|s|seconds?|minutes?|GiB|GB|MB|rows/s|plays/s|%)\b",
                      outside) == []  # fmt: skip


def test_the_closing_table_has_the_columns_the_readme_names():
    source = (PROJECT / "analytics" / "job" / "outcome.py").read_text()
    line = re.search(r"what became of each tenant \((.*?)\) and with", README.read_text())
    assert line, "the README does not say what the closing table shows"
    for column in line[1].split(", "):
        assert f'"{column}"' in source
