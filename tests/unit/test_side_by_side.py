"""Tests that share a stack or a trained world run in one process, all others by file."""

from __future__ import annotations

from tests.conftest import ROOMS, room


def test_a_room_stays_together_and_a_file_does():
    stack = {
        room("tests/integration/stack/test_stack.py::test_one"),
        room("tests/integration/dags/test_whole_chain.py::test_two[a::b]"),
    }
    assert stack == {"stack"}
    assert room("tests/unit/test_cli.py::test_one") == room("tests/unit/test_cli.py::test_two")
    assert room("tests/unit/test_cli.py::test_one") != room("tests/unit/test_docs.py::test_one")


def test_every_room_is_there(request):
    assert all((request.config.rootpath / "tests" / folder).is_dir() for folder in ROOMS)
