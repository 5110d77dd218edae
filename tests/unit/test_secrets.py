from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analytics.secrets import secret


def test_a_secret_is_made_once_and_kept_to_its_owner(tmp_path: Path):
    folder = tmp_path / "secrets"
    first = secret(folder, "warehouse")
    assert secret(folder, "warehouse") == first
    assert len(first) >= 24
    assert stat.S_IMODE((folder / "warehouse").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_two_names_never_share_a_secret(tmp_path: Path):
    assert secret(tmp_path, "t1") != secret(tmp_path, "t2")


def test_processes_that_ask_at_once_agree(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: secret(tmp_path, "same"), range(64)))) == 1
