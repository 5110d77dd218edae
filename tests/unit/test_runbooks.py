"""What a runbook quotes is what the code says, constants included."""

from __future__ import annotations

import ast
import functools
import re

import pytest

from analytics.settings import PROJECT

ROOMS = ("analytics", "dags", "dbt_project/macros", "expectations", "ml", "spark_jobs")
RUNBOOKS = sorted((PROJECT / "docs" / "runbooks").glob("*.md"))
MESSAGES = ("message", "what you read", "what you see", "red")
PLACE = "\0"  # where a message shows a value
# PostgreSQL's own words, which ours hand on.
FOREIGN = ("password authentication failed", "connection failed", "_grain")


def quoted(page: str) -> list[str]:
    """Code spans in the first column of tables of messages, and behind "Not red"."""
    found: list[str] = []
    for table in re.findall(r"(?:^\|.*\n)+", page, re.M):
        cells = [line.split("|")[1].strip() for line in table.splitlines()]
        if cells[0].lower() in MESSAGES:
            found += [span for cell in cells[2:] for span in spans(cell)]
    for paragraph in re.findall(r"\*\*Not red:\*\*(.*?)\n\n", page, re.S):
        found += [span for span in spans(paragraph) if not span.startswith("analytics ")]
    return found


def spans(text: str) -> list[str]:
    return [a or b for a, b in re.findall(r"`` (.+?) ``|`([^`]+)`", text)]


def pieces(message: str) -> list[str]:
    """What stands between the values of a quoted message."""
    for words in FOREIGN:
        message = message.replace(words, "…")
    split = re.split(r"…|<[^>]*>|\b[NTxy]\b|\b[a-z]+_x\b", message)
    return [piece.strip(" .") for piece in split if re.search(r"\w{2}", piece)]


def is_said(piece: str) -> bool:
    """Whether some text holds it, or would with its values filled in."""
    return any(piece in text for text in said()) or any(
        re.fullmatch(re.escape(text).replace(PLACE, ".+"), piece)
        for text in said()
        if PLACE in text and len(re.findall(r"\w", text)) > 5
    )


@functools.cache
def said() -> frozenset[str]:
    """Every text of the code, f-strings with their module's constants in place."""
    texts: list[str] = []
    for room in ROOMS:
        for file in sorted((PROJECT / room).rglob("*.py")):
            tree = ast.parse(file.read_text())
            constants = {
                node.targets[0].id: node.value.value
                for node in tree.body
                if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(node.value, ast.Constant)
            }
            texts += [
                _rendered(node, constants)
                for node in ast.walk(tree)
                if isinstance(node, (ast.Constant, ast.JoinedStr))
            ]
        texts += [file.read_text() for file in sorted((PROJECT / room).rglob("*.sql"))]
    return frozenset(texts)


def _rendered(node: ast.AST, constants: dict[str, object]) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_rendered(part, constants) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        return str(constants.get(name, PLACE))
    return str(node.value) if isinstance(node, ast.Constant) else PLACE


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_message_quoted_is_one_the_code_says(page):
    for message in quoted(page.read_text()):
        for piece in pieces(message):
            assert is_said(piece), f"`{message}`: nothing says {piece!r}"


def test_runbooks_quote_messages():
    assert sum(len(quoted(page.read_text())) for page in RUNBOOKS) > 40


def test_a_message_with_another_number_is_not_the_codes():
    assert is_said("other writers were first 12 times")
    assert not is_said("other writers were first 8 times")
    assert is_said("trained, not promoted: does not beat")
    assert not is_said("trained: does not beat")
