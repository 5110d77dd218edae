"""Tenants from a folder of real exports: each subfolder is one, its files say what they are."""

from __future__ import annotations

import glob
import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import yaml

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.sources import reader, spotify_extended
from analytics.sources.files import DAY
from analytics.tenants import Source, Tenant, load_tenants

HEAD = 64 << 10  # bytes looked at to tell what a file is
PACKED = re.compile(r"\.(tgz|tar(\.\w+)?|7z|rar|(json|jsonl|csv|parquet)\.gz)$")


def sniff(folder: Path) -> list[Source]:
    """The sources the folder's files make up.

    Raises SourceError when there are none, or when a file cannot be looked into.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    seen = []
    for path in _files(folder):
        relative = path.relative_to(folder)
        seen.append(
            relative.as_posix() if path.stat().st_size else f"{relative.as_posix()} (empty)"
        )
        kind = _looked_into(folder, path)
        if kind is not None:
            entry = _entry(folder, relative, *kind)
            found.setdefault((entry["format"], entry["path"]), entry)
    if not found:
        raise SourceError(
            f"{tenant_id_of(folder.name)}: nothing in {folder} is a known export. "
            f"{_hint(folder, seen)} docs/sources.md says what is recognised; anything else is "
            "declared in a tenants file"
        )
    names: dict[str, int] = {}
    sources = []
    for entry in found.values():
        number = names[entry["name"]] = names.get(entry["name"], 0) + 1
        name = entry["name"] if number == 1 else f"{entry['name']}_{number}"
        sources.append(Source.model_validate({**entry, "name": name}))
    return sources


def tenants_from_folder(
    folder: Path, out_yaml: Path, refused: dict[str, str] | None = None
) -> dict[str, Tenant]:
    """Each subfolder as a tenant, written to a tenants file and loaded from it.

    What is wrong with a subfolder goes under its tenant's id into `refused`, and the others
    go on; without it, it is raised as SourceError. Where none is left, nothing is written.
    """
    subfolders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not subfolders:
        raise SourceError(f"{folder} has no subfolders; put each tenant's exports into its own")
    entries: dict[str, dict[str, Any]] = {}
    for sub in subfolders:
        tenant_id = tenant_id_of(sub.name)
        try:
            if tenant_id in entries:
                other = entries[tenant_id]["name"]
                raise SourceError(
                    f"{sub.name}: this folder and {other} would both be tenant {tenant_id}; "
                    "rename one of them"
                )
            sources = [s.model_dump(exclude_defaults=True) for s in sniff(sub.resolve())]
        except SourceError as error:
            if refused is None:
                raise
            refused[sub.name if tenant_id in entries else tenant_id] = str(error)
        else:
            entries[tenant_id] = {"id": tenant_id, "name": sub.name, "sources": sources}
    if not entries:
        return {}
    out_yaml.parent.mkdir(parents=True, exist_ok=True)
    out_yaml.write_text(yaml.safe_dump({"tenants": list(entries.values())}, sort_keys=False))
    return load_tenants(out_yaml)


def tenant_id_of(name: str) -> str:
    """A folder's name as a tenant id."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return (plain if len(plain) > 1 and plain[0].isalpha() else f"t_{plain}")[:40]


def extent(settings: Settings, tenant: Tenant) -> Interval:
    """The interval of the tenant's own data, in whole days."""
    spans = [
        span
        for source in tenant.sources
        if (span := reader(source.format).extent(settings, tenant, source)) is not None
    ]
    if not spans:
        formats = ", ".join(f"{s.name} ({s.format})" for s in tenant.sources)
        raise SourceError(
            f"{tenant.id}: nothing in {formats} says when anything happened, so there is no "
            "interval to run. Put the plays or the event log beside it, and run again"
        )
    return Interval.covering(spans)


def _files(folder: Path) -> list[Path]:
    def is_hidden(path: Path) -> bool:
        return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)

    try:
        return sorted(p for p in folder.rglob("*") if not is_hidden(p) and p.is_file())
    except OSError as error:
        raise _unreadable(folder, folder, error) from None


def _hint(folder: Path, seen: list[str]) -> str:
    """The next step for a folder in which nothing is known."""
    packed = [name for name in seen if PACKED.search(name)]
    if not packed:
        return f"It holds {', '.join(seen[:5]) or 'nothing'}."
    where, into = shlex.quote(str(folder / packed[0])), shlex.quote(str(folder))
    if ".tar" in packed[0] or packed[0].endswith(".tgz"):
        return f"Unpack {packed[0]} first: `tar -xf {where} -C {into}`."
    if packed[0].endswith(".gz"):
        return f"Unpack {packed[0]} first: `gunzip -k {where}`."
    return f"Unpack {packed[0]} first."


def _looked_into(folder: Path, path: Path) -> tuple[str, dict[str, Any]] | None:
    """`_kind`, where a file that cannot be opened is named."""
    import pyarrow

    try:
        return _kind(path)
    except PermissionError as error:
        raise _unreadable(folder, path, error) from None
    except (OSError, pyarrow.ArrowException) as error:
        what = str(error).splitlines()[0]
        raise SourceError(
            f"{tenant_id_of(folder.name)}: {path} is damaged or cut off ({what}). Put a whole "
            "one in its place, or take it out, and run again"
        ) from None


def _unreadable(folder: Path, path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"{tenant_id_of(folder.name)}: {path} cannot be read ({error.strerror}). Let this user "
        "read it, or take it out, and run again"
    )


def _kind(path: Path) -> tuple[str, dict[str, Any]] | None:
    """(format, further fields of the source), or None for a file nobody knows."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return ("spotify_extended", {}) if _is_history_zip(path) else None
    if spotify_extended.is_history(path.name):
        return "spotify_extended", {}
    if suffix in (".json", ".jsonl"):
        first = _first_object(path)
        if {"page", "ts"} <= first.keys():
            return "eventsim", {}
        if {"artist_name", "title", "duration"} <= first.keys():
            return "msd_songs", {}
        return _as_table("jsonl", path, list(first)) if suffix == ".jsonl" else None
    if suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace") as file:
            header = file.readline(HEAD).strip().split(",")
        return _as_table("csv", path, [name.strip('"') for name in header])
    if suffix == ".parquet":
        import pyarrow.parquet

        if not path.stat().st_size:  # brings nothing and stops nothing, as in a drop
            return None
        return _as_table("parquet", path, pyarrow.parquet.read_schema(path).names)
    return None


def _as_table(format_: str, path: Path, columns: list[str]) -> tuple[str, dict[str, Any]] | None:
    """A file or folder named like one of our tables that uses our column names."""
    for name in (path.stem, path.parent.name):
        table = TABLES.get(DAY.sub("", name).strip("-_."))
        if table is not None:
            ours = [c for c in table.columns if c in columns and c != "tenant_id"]
            if set(table.required) - {"tenant_id", table.key} <= set(ours):
                return format_, {"table": table.name, "columns": {c: c for c in ours}}
    return None


def _entry(folder: Path, relative: Path, format_: str, further: dict[str, Any]) -> dict[str, Any]:
    names = {"eventsim": "events", "msd_songs": "songs", "spotify_extended": "history"}
    base, parts = Path(glob.escape(str(folder))), [glob.escape(part) for part in relative.parts]
    top = parts[:1] if len(parts) > 1 else []
    if format_ == "msd_songs":
        path = base.joinpath(*top, *(["**"] if top else []), "*.json")
    elif format_ == "spotify_extended":
        path = base / "**" / ("*.zip" if relative.suffix == ".zip" else _family(relative.name))
    elif DAY.search(relative.name):
        path = base.joinpath(*top, "**", DAY.sub("{date}", parts[-1], count=1))
    else:
        path = base.joinpath(*parts)
    name = further.get("table") or names[format_]
    return {"name": name, "format": format_, "path": str(path), **further}


def _family(name: str) -> str:
    return "endsong_*.json" if name.startswith("endsong_") else "Streaming_History_*.json"


def _is_history_zip(path: Path) -> bool:
    """Also for a damaged zip: it then fails with its name when it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(map(spotify_extended.is_history, archive.namelist()))
    except zipfile.BadZipFile:
        return True


def _first_object(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(HEAD)
    for line in head.split(b"\n"):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}
