"""Tenants from a folder of real exports: each subfolder is one, its files say what they are."""

from __future__ import annotations

import json
import re
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
PACKED = (".tar.gz", ".tgz", ".tar", ".7z", ".rar")


def sniff(folder: Path) -> list[Source]:
    """The sources the folder's files make up. Raises SourceError when there are none."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    seen = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        relative = path.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in relative.parts):
            continue
        seen.append(relative.as_posix())
        kind = _kind(path)
        if kind is not None:
            entry = _entry(folder, relative, *kind)
            found.setdefault((entry["format"], entry["path"]), entry)
    if not found:
        packed = [name for name in seen if name.endswith(PACKED)]
        hint = (
            f"Unpack {packed[0]} first."
            if packed
            else f"It holds {', '.join(seen[:5]) or 'nothing'}."
        )
        raise SourceError(
            f"{folder}: nothing there is a known export. {hint} `analytics sources` lists the "
            "formats; others can be declared in the tenants file"
        )
    names: dict[str, int] = {}
    sources = []
    for entry in found.values():
        number = names[entry["name"]] = names.get(entry["name"], 0) + 1
        name = entry["name"] if number == 1 else f"{entry['name']}_{number}"
        sources.append(Source.model_validate({**entry, "name": name}))
    return sources


def tenants_from_folder(folder: Path, out_yaml: Path) -> dict[str, Tenant]:
    """Each subfolder as a tenant, written to a tenants file and loaded from it."""
    subfolders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not subfolders:
        raise SourceError(f"{folder} has no subfolders; put each tenant's exports into its own")
    entries = [
        {
            "id": tenant_id_of(sub.name),
            "name": sub.name,
            "sources": [s.model_dump(exclude_defaults=True) for s in sniff(sub.resolve())],
        }
        for sub in subfolders
    ]
    out_yaml.parent.mkdir(parents=True, exist_ok=True)
    out_yaml.write_text(yaml.safe_dump({"tenants": entries}, sort_keys=False))
    return load_tenants(out_yaml)


def tenant_id_of(name: str) -> str:
    """A folder's name as a tenant id."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"t_{plain}")[:40]


def extent(settings: Settings, tenant: Tenant) -> Interval:
    """The interval of the tenant's own data, in whole days."""
    spans = [
        span
        for source in tenant.sources
        if (span := reader(source.format).extent(settings, tenant, source)) is not None
    ]
    if not spans:
        raise SourceError(f"{tenant.id}: no source says when anything happened; nothing to run")
    return Interval.covering(spans)


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
    if format_ == "msd_songs":
        path = (
            folder / relative.parts[0] / "**" / "*.json"
            if len(relative.parts) > 1
            else (folder / "*.json")
        )
    elif format_ == "spotify_extended":
        path = folder / "**" / ("*.zip" if relative.suffix == ".zip" else _family(relative.name))
    elif DAY.search(relative.name):
        top = [relative.parts[0]] if len(relative.parts) > 1 else []
        path = Path(folder, *top, "**", DAY.sub("{date}", relative.name, count=1))
    else:
        path = folder / relative
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
