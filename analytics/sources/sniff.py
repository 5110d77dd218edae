"""Tenants from a folder of real exports: each subfolder is one, its files say what they are."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from analytics.errors import SourceError
from analytics.interval import Interval
from analytics.settings import Settings
from analytics.sources import formats, packed, reader, stores
from analytics.sources.base import HEAD, Look, Recognised
from analytics.sources.files import DAY
from analytics.tenants import Source, Tenant, load_tenants

ARCHIVE = re.compile(r"\.(tgz|tar(\.\w+)?|7z|rar)$")


@dataclass(frozen=True)
class Sniffed:
    """What a folder holds: the sources its files make up, and what nobody knows."""

    sources: tuple[Source, ...]
    files: dict[str, int]  # source → how many files are of it
    unknown: tuple[str, ...]  # files of no known format, empty ones marked


def sniff(folder: Path) -> Sniffed:
    """The sources the folder's files make up.

    Raises SourceError when there are none, or when a file cannot be looked into.
    """
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    counts: dict[tuple[str, str], int] = {}
    unknown = []
    taken = [(path, _looked_into(folder, path)) for path in _files(folder)]
    zipped = {kind[0] for path, kind in taken if kind and packed.is_zip(path.name)}
    for path, kind in taken:
        relative = path.relative_to(folder)
        if kind is None:
            unknown.append(f"{relative.as_posix()}{_remark(folder, path)}")
            continue
        format_, found = kind
        pattern = str(Path(glob.escape(str(folder))) / _pattern(relative, found, len(zipped) == 1))
        entry = {"name": found.name, "format": format_, "path": pattern, **found.fields}
        entries.setdefault((format_, pattern), entry)
        counts[format_, pattern] = counts.get((format_, pattern), 0) + 1
    if not entries:
        raise SourceError(
            f"{tenant_id_of(folder.name)}: nothing in {folder} is a known export. "
            f"{_hint(folder, unknown)} docs/sources.md says what is recognised; anything else is "
            "declared in a tenants file"
        )
    names: dict[str, int] = {}
    sources, files = [], {}
    for key, entry in entries.items():
        number = names[entry["name"]] = names.get(entry["name"], 0) + 1
        name = entry["name"] if number == 1 else f"{entry['name']}_{number}"
        sources.append(Source.model_validate({**entry, "name": name}))
        files[name] = counts[key]
    return Sniffed(tuple(sources), files, tuple(unknown))


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
            found = sniff(sub.resolve()).sources
            sources = [s.model_dump(exclude_defaults=True) for s in found]
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
    archives = [name for name in seen if ARCHIVE.search(name)]
    if not archives:
        return f"It holds {', '.join(seen[:5]) or 'nothing'}."
    where, into = shlex.quote(str(folder / archives[0])), shlex.quote(str(folder))
    if ".tar" in archives[0] or archives[0].endswith(".tgz"):
        return f"Unpack {archives[0]} first: `tar -xf {where} -C {into}`."
    return f"Unpack {archives[0]} first."


def _looked_into(folder: Path, path: Path) -> tuple[str, Recognised] | None:
    """The format and what it says of the file, or None for a file nobody knows."""
    import pyarrow

    if stores.leads_out(path, folder):
        return None
    kinds: dict[tuple[str, str], tuple[str, Recognised]] = {}
    try:
        with path.open("rb") as file:
            for look in _looks(folder, path, file):
                kind = _recognised(look)
                if kind is not None:
                    kinds.setdefault((kind[0], kind[1].name), kind)
    except PermissionError as error:
        raise _unreadable(folder, path, error) from None
    except (*packed.DAMAGE, pyarrow.ArrowException) as error:
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceError(
            f"{tenant_id_of(folder.name)}: {path} is damaged or cut off ({what}). Put a whole "
            "one in its place, or take it out, and run again"
        ) from None
    if len(kinds) > 1:
        raise SourceError(
            f"{tenant_id_of(folder.name)}: {path} holds files of several kinds "
            f"({', '.join(f'{name} ({format_})' for format_, name in kinds)}). Unpack it into the "
            "folder and run again"
        )
    return next(iter(kinds.values()), None)


def _remark(folder: Path, path: Path) -> str:
    if stores.leads_out(path, folder):
        return " (a link out of the folder)"
    return "" if path.stat().st_size else " (empty)"


def _looks(folder: Path, path: Path, file: IO[bytes]) -> Iterator[Look]:
    """The file, or each file within it."""
    name = path.relative_to(folder).as_posix()
    for inner, stream in packed.members(file, name, path.stat().st_size):
        try:
            head = stream.read(HEAD)
        except packed.DAMAGE:
            if not packed.is_zip(name):
                raise
            head = b""  # its name may tell; who reads it then says what is wrong
        yield Look(name=inner, head=head, location=str(path))


def _recognised(look: Look) -> tuple[str, Recognised] | None:
    for format_ in formats():
        found = reader(format_).recognise(look)
        if found is not None:
            return format_, found
    return None


def _pattern(relative: Path, found: Recognised, one_kind_of_zip: bool) -> str:
    """A glob, below the folder, of the files that make up one source with this one."""
    parts = [glob.escape(part) for part in relative.parts]
    is_zip = packed.is_zip(relative.name)
    if found.family and not is_zip:
        return found.family
    if found.family and one_kind_of_zip:
        return "**/*.zip"
    if DAY.search(relative.name) and not found.family:
        top = parts[:1] if len(parts) > 1 else []
        return "/".join([*top, "**", DAY.sub("{date}", parts[-1], count=1)])
    return "/".join(parts)


def _unreadable(folder: Path, path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"{tenant_id_of(folder.name)}: {path} cannot be read ({error.strerror}). Let this user "
        "read it, or take it out, and run again"
    )
