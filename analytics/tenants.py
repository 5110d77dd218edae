"""The tenant registry: one validated file says who the tenants are."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from analytics.errors import SettingsError, UnknownTenant
from analytics.settings import Settings

# The same language, ten times as fast; a system without libyaml has the other.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BY_HAND = "tenants.d"  # below var: a file a tenant, written by `analytics ingest`
TenantId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]


class Source(BaseModel):
    """One place a tenant's data comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    format: str = Field(description="a name `analytics sources` lists")
    table: str | None = Field(None, description="the silver table, where the format feeds just one")
    path: str | None = Field(
        None,
        description="glob of files; {landing} is the landing folder, {date} the day of arrival",
    )
    dsn_secret: str | None = Field(
        None,
        description="name of the file under var/secrets that holds the DSN",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",  # never the DSN itself: names are shown
    )
    relation: str | None = Field(None, description="schema.table of a PostgreSQL source")
    cursor: str | None = Field(None, description="its column that says when a row arrived")
    users: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="names at a web service; each is a listener_id"
    )
    url: str | None = Field(
        None,
        description="address of a web service; without it the public one",
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",  # no login or key in it: addresses are shown
    )
    key_secret: str | None = Field(
        None,
        description="name of the file under var/secrets that holds a web service's key or token",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
    )
    columns: dict[str, str] = Field(default_factory=dict, description="canonical: theirs")
    constants: dict[str, Any] = Field(default_factory=dict, description="canonical: fixed value")
    units: dict[str, str] = Field(
        default_factory=dict, description="canonical: their unit, e.g. started_at: epoch_ms"
    )
    extras: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="their columns that ours lack, to carry as text into silver's `extras`"
    )
    compatibility: Literal["backward", "forward", "full", "none"] = Field(
        "backward", description="which changes of their columns' types may pass"
    )
    least_rows_a_day: int | None = Field(
        None, ge=1, description="rows it owes a day, on average over a run; fewer stop the tenant"
    )
    fresh_within_days: int | None = Field(
        None, ge=1, description="days before a run's end that its newest row may lie; older stops"
    )
    owner: str = Field("data team", description="whom to call when it breaks")


class Tenant(BaseModel):
    """One tenant, as declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: TenantId
    name: str
    time_zone: str = "UTC"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    retention_days: int = Field(
        1095,
        ge=1,
        description="days that rows are to be kept; declared now, not enforced: no job deletes yet",
    )
    bad_row_budget: float = Field(
        0.01, ge=0, le=1, description="share of bad rows a gate splits off before it stops"
    )
    usual_since: date | None = Field(
        None,
        description="the usual is learned from days since then; set it when the service changed",
    )
    sources: tuple[Source, ...]
    by_hand: tuple[Source, ...] = Field(
        (), description="sources that `analytics ingest` was given; no other run looks for them"
    )

    @field_validator("time_zone")
    @classmethod
    def is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone, e.g. Europe/Berlin")
        return value

    @model_validator(mode="after")
    def source_names_differ(self) -> Tenant:
        names = [s.name for s in (*self.sources, *self.by_hand)]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ValueError(f"source named twice: {', '.join(sorted(twice))}")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def role(self) -> str:
        """The warehouse login role of this tenant."""
        return f"tenant_{self.id}"


def load_tenants(path: Path) -> dict[str, Tenant]:
    """All tenants of the file by id, in the file's order.

    Raises SettingsError naming file, tenant and field of every fault of an entry.
    Whether a source can be read as declared is asked by `analytics tenants check`.
    """
    tenants, problems = read_tenants(path)
    if problems:
        raise SettingsError("\n".join(problems))
    return tenants


def read_tenants(path: Path) -> tuple[dict[str, Tenant], list[str]]:
    """The tenants whose entries hold, and every fault of the others.

    Raises SettingsError for a file that is no list of tenants.
    """
    tenants, problems = _understood(path, _text(path))
    return dict(tenants), [*problems]


@lru_cache(maxsize=64)
def _understood(path: Path, text: str) -> tuple[dict[str, Tenant], list[str]]:
    """The same of a text that was read; a task asks for its tenant often, in the same file."""
    tenants: dict[str, Tenant] = {}
    problems: list[str] = []
    for number, entry in enumerate(_entries(path, text)):
        label = entry.get("id", f"number {number + 1}") if isinstance(entry, dict) else number + 1
        try:
            tenant = Tenant.model_validate(entry)
        except ValidationError as error:
            problems += [
                f"{path}: tenant {label}: {_place(entry, e['loc'])}: {e['msg']}"
                for e in error.errors()
            ]
            continue
        if tenant.id in tenants:
            problems.append(f"{path}: tenant {tenant.id} is declared twice")
        tenants[tenant.id] = tenant
    return tenants, problems


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"no tenants file at {path}; set ANALYTICS_TENANTS_FILE") from None
    except OSError as error:
        raise SettingsError(
            f"the tenants file {path} cannot be read ({error.strerror}); "
            "set ANALYTICS_TENANTS_FILE to a YAML file"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"the tenants file {path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None


def _entries(path: Path, text: str) -> list[Any]:
    try:
        document = yaml.load(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not isinstance(document.get("tenants"), list):
        raise SettingsError(f"{path} must hold a list under 'tenants:'")
    return list(document["tenants"])


def _place(entry: Any, where: tuple[int | str, ...]) -> str:
    """The field of an entry, a source by its name."""
    if where[:1] != ("sources",) or len(where) < 2:
        return ".".join(map(str, where)) or "entry"
    source = entry["sources"][where[1]]
    name = source.get("name", where[1]) if isinstance(source, dict) else where[1]
    return f"source {name}: {'.'.join(map(str, where[2:])) or 'entry'}"


def registry(settings: Settings) -> dict[str, Tenant]:
    """The tenants of the file, and what `analytics ingest` added to them or beside them.

    Where both name a source, the file's own stands.
    """
    tenants = load_tenants(settings.analytics_tenants_file)
    for path in sorted(settings.var.glob(f"{BY_HAND}/*.yaml")):
        for found in load_tenants(path).values():
            tenant = tenants.get(found.id, found)
            declared = {source.name for source in tenant.sources}
            added = tuple(source for source in found.by_hand if source.name not in declared)
            tenants[found.id] = tenant.model_copy(update={"by_hand": added})
    return tenants


def get_tenant(settings: Settings, tenant_id: str) -> Tenant:
    """Raises UnknownTenant with the ids that exist."""
    tenants = registry(settings)
    try:
        return tenants[tenant_id]
    except KeyError:
        raise UnknownTenant(
            f"no tenant {tenant_id!r} in {settings.analytics_tenants_file}; "
            f"known: {', '.join(tenants) or 'none'}"
        ) from None
