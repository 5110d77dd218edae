"""Remove what runs left beside the tables: staged rows that landed, files of killed writers.

Re-run   safe. Nothing younger than a day before the given instant is touched.
Surprise staged rows that never landed stay, however old: someone may yet clear their `land`.
         Without its staged rows, `land` says to clear the gate too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake.exceptions import TableNotFoundError
from pyarrow import fs

from analytics.interval import Interval
from analytics.lake import ledger, paths
from analytics.settings import Settings

OLD = timedelta(days=1)


@dataclass(frozen=True)
class Swept:
    """How many files went, or on a dry run would go."""

    staged: int = 0
    partial: int = 0
    spooled: int = 0
    bytes: int = 0


def sweep(settings: Settings, at: datetime, *, dry_run: bool = False) -> Swept:
    """Remove what was left a day or more before the instant."""
    before = at - OLD
    store, files = _files(f"{settings.lake_root}/staged")
    partial = [f for f in files if _is_partial(f) and _is_old(f, before)]
    staged = _landed(settings, [f for f in files if not _is_partial(f)], before)
    spooled = [p for p in _children(settings.spool) if _last_written(p) < before]
    sizes = [f.size or 0 for f in (*staged, *partial)]
    sizes += [f.stat().st_size for folder in spooled for f in _within(folder)]
    count = sum(len(list(_within(folder))) for folder in spooled)
    if not dry_run:
        for file in (*staged, *partial):
            store.delete_file(file.path)
        for path in spooled:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return Swept(len(staged), len(partial), count, sum(sizes))


def _landed(settings: Settings, files: list[fs.FileInfo], before: datetime) -> list[fs.FileInfo]:
    """The files of every (tenant, interval) that landed and of which all are old."""
    lines = ledger.read(settings).select("tenant_id", "interval_from", "interval_to").unique()
    landed = {(t, paths.span(Interval(start, end))) for t, start, end in lines.iter_rows()}
    groups: dict[tuple[str, str], list[fs.FileInfo]] = {}
    for file in files:  # <tenant>/<table>/<span>.json and <span>/…
        tenant_id, _, rest = file.path.split("/", 2)
        groups.setdefault((tenant_id, rest.split("/")[0].removesuffix(".json")), []).append(file)
    return [
        file
        for key, group in groups.items()
        if key in landed and all(_is_old(f, before) for f in group)
        for file in group
    ]


def _files(uri: str) -> tuple[fs.FileSystem, list[fs.FileInfo]]:
    try:
        store = paths.store(uri)
    except TableNotFoundError:  # nothing was ever staged
        return fs.LocalFileSystem(), []
    found = store.get_file_info(fs.FileSelector("", recursive=True))
    return store, [file for file in found if file.type == fs.FileType.File]


def _is_partial(file: fs.FileInfo) -> bool:
    return file.base_name.endswith(".partial")


def _is_old(file: fs.FileInfo, before: datetime) -> bool:
    return file.mtime is not None and file.mtime < before


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _within(path: Path) -> Iterator[Path]:
    return (p for p in (path, *path.rglob("*")) if p.is_file())


def _last_written(path: Path) -> datetime:
    """Of a folder, when anything in it was."""
    newest = max(p.stat().st_mtime for p in (path, *path.rglob("*")))
    return datetime.fromtimestamp(newest, UTC)
