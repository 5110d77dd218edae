"""Sources that somebody handed over once: remembered, so that what was read stays readable.

Where    `var/tenants.d/<tenant>.yaml`, which the registry adds to the tenant as `by_hand`.
Apart    no run of the tenant's own sources looks for these files again or judges their rows;
         `analytics ingest` and replays see a tenant whose only sources are these.
Identity a source is named after what it is and where its files lie, so the same folder given
         again, with more files in it, is the same sources.
Adopt    move the entry into the tenants file under its name; what was read stays read.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from pydantic import ValidationError

from analytics.errors import LakeError, SettingsError
from analytics.interval import Interval
from analytics.lake import ledger, staging
from analytics.lake.tables import TABLES
from analytics.settings import Settings
from analytics.tenants import BY_HAND, Source, Tenant, get_tenant, load_tenants, registry

RUN = "by_hand"  # how the ids of such runs begin, replays of them included


def named(source: Source) -> Source:
    """The source under the name it keeps, whatever lies beside it in the folder."""
    what = hashlib.sha256(f"{source.format}|{source.path}".encode()).hexdigest()[:8]
    return source.model_copy(update={"name": f"{re.sub(r'_[0-9]+$', '', source.name)}_{what}"})


@contextmanager
def taken(settings: Settings, tenant_id: str, sources: Iterable[Source]) -> Iterator[Tenant]:
    """The tenant with these sources added, a new one where nobody has that id.

    Who takes sources for the same tenant meanwhile waits.
    """
    known = registry(settings).get(tenant_id) or _new(tenant_id)
    path = file_of(settings, tenant_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        before = load_tenants(path)[tenant_id].by_hand if path.exists() else ()
        after = {source.name: source for source in (*before, *sources)}
        entry = _entry(known, (), tuple(after.values()))
        text = yaml.safe_dump({"tenants": [entry]}, sort_keys=False, allow_unicode=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            fresh = path.with_suffix(".fresh")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        yield get_tenant(settings, tenant_id)


def file_of(settings: Settings, tenant_id: str) -> Path:
    """Where the tenant's sources given by hand are kept."""
    return settings.var / BY_HAND / f"{tenant_id}.yaml"


def require_free(settings: Settings, tenant: Tenant, interval: Interval) -> None:
    """Raise LakeError where rows of the tenant's own sources wait to land for this interval.

    A gate for sources given by hand would put its rows in their place.
    """
    lines = ledger.read(settings, tenant.id)
    ends = lines.select("interval_from", "interval_to").unique().rows()
    names = {source.name for source in tenant.sources}
    if not names or (interval.start, interval.end) in ends:
        return
    for table in TABLES:
        staged = staging.read(settings, tenant.id, table, interval)
        if staged is not None and names & staged.sources():
            raise LakeError(
                f"{tenant.id}: rows of its own sources passed the gate for {interval} and have not "
                "landed. Clear the `land` of that `ingest` run, then run this again"
            )


@contextmanager
def only(settings: Settings, tenant: Tenant, sources: Sequence[Source]) -> Iterator[Settings]:
    """Settings under which these sources are all that the tenant has."""
    settings.spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tenants-", dir=settings.spool) as folder:
        file = Path(folder) / "tenants.yaml"
        entry = _entry(tenant, sources, ())
        file.write_text(yaml.safe_dump({"tenants": [entry]}), encoding="utf-8")
        yield settings.model_copy(update={"analytics_tenants_file": file})


def _new(tenant_id: str) -> Tenant:
    try:
        return Tenant.model_validate({"id": tenant_id, "name": tenant_id, "sources": []})
    except ValidationError as error:
        raise SettingsError(
            f"{tenant_id!r} cannot be a tenant's id ({error.errors()[0]['msg']}); write small "
            "letters, digits and _, e.g. radio_one"
        ) from None


def _entry(tenant: Tenant, sources: Sequence[Source], by_hand: Sequence[Source]) -> dict[str, Any]:
    """The tenant as an entry of a tenants file, with these sources."""
    about = tenant.model_dump(mode="json", exclude={"sources", "by_hand"})
    return {
        **about,
        "sources": [s.model_dump(mode="json", exclude_defaults=True) for s in sources],
        "by_hand": [s.model_dump(mode="json", exclude_defaults=True) for s in by_hand],
    }
