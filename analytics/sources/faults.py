"""What is wrong with the sources that a tenants file declares, found before anything is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from analytics.errors import SettingsError
from analytics.sources import declared, reader
from analytics.sources.base import SourceReader
from analytics.sources.files import FileReader
from analytics.sources.postgres import PostgresTable
from analytics.sources.tabular import Declared
from analytics.sources.web_listens import WebListens
from analytics.tenants import Source, Tenant, read_tenants

OF_FILES = ("path",)
OF_DATABASES = ("dsn_secret", "relation", "cursor")
OF_SERVICES = ("users", "url", "key_secret")
OF_MAPPINGS = ("table", "columns", "constants", "units", "extras")
PLACEHOLDERS = {"{landing}", "{date}"}


def checked_tenants(path: Path) -> dict[str, Tenant]:
    """All tenants of a file in which no entry and no source has a fault.

    Raises SettingsError with every fault by file, tenant, source and field.
    """
    tenants, problems = read_tenants(path)
    problems += [
        f"{path}: tenant {tenant.id}: source {source.name}: {field}: {what}"
        for tenant in tenants.values()
        for source in tenant.sources
        for field, what in faults(source)
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    return tenants


def faults(source: Source) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) of one source."""
    try:
        handler = reader(source.format)
    except SettingsError as error:
        yield "format", str(error)
        return
    is_mapped = isinstance(handler, Declared | PostgresTable)
    needed, optional = _fields(handler)
    for field in needed:
        if not getattr(source, field):
            yield field, f"format {source.format} needs it"
    read = {*needed, *optional, *(OF_MAPPINGS if is_mapped else ())}
    for field in (*OF_FILES, *OF_DATABASES, *OF_SERVICES, *OF_MAPPINGS):
        if field not in read and getattr(source, field):
            yield field, f"format {source.format} does not read it; take it out"
    if not is_mapped and source.compatibility != "backward":
        yield "compatibility", f"format {source.format} has columns of its own; take it out"
    for unknown in sorted(set(re.findall(r"\{[^{}]*\}", source.path or "")) - PLACEHOLDERS):
        yield "path", f"{unknown} stands for nothing; known: {', '.join(sorted(PLACEHOLDERS))}"
    for name, count in Counter(user.strip().casefold() for user in source.users).items():
        if count > 1 or not name:
            yield "users", f"{name!r} is named {count} times" if name else "one has no name"
    if is_mapped:
        yield from declared.faults(source)


def _fields(handler: SourceReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(those of the entry that the format needs, those that it reads as well)."""
    if isinstance(handler, WebListens):
        return ("users", "key_secret") if handler.access.needs_key else ("users",), OF_SERVICES
    return OF_FILES if isinstance(handler, FileReader) else OF_DATABASES, ()
