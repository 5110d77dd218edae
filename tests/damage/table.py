"""docs/damage.md: kinds of damage against doors, as measured by `python -m tests.damage`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analytics.settings import PROJECT
from tests.damage.kinds import KINDS
from tests.damage.world import CLEAN_DAYS, TENANTS, Alarm, Noticed

PAGE = PROJECT / "docs" / "damage.md"
HEAD = """# What damage is noticed where

Each kind is done to one clean day of a simulated tenant that has three weeks behind it; then the
day goes through the doors. Shown is the first door that notices, what it does, the rule or words
that a person on call reads, and what else the door says. `tests/damage/kinds.py` holds what is
done; `make damage` does it all again and writes this page, and tests hold the page against what
they see.

| damage | noticed at | what happens | by | beside it |
|---|---|---|---|---|
"""


def page(noticed: Mapping[str, Noticed], alarms: Sequence[Alarm]) -> str:
    rows = "".join(row(name, noticed[name]) + "\n" for name in noticed)
    return f"{HEAD}{rows}\n## When nothing is wrong\n\n{clean(alarms)}\n"


def row(name: str, noticed: Noticed) -> str:
    """One kind's line; its rule is the one that `kinds` asks for."""
    kind = next(k for k in KINDS if k.name == name)
    outcome = "tenant stops" if noticed.stopped else "said, goes on"
    others = ", ".join(f"`{rule}`" for rule in sorted(noticed.broken) if rule != kind.rule)
    said = f"| {kind.what} (`{kind.name}`) | {kind.door} | {outcome} | `{kind.rule}` |"
    return f"{said} {others} |" if others else f"{said} |"


def clean(alarms: Sequence[Alarm]) -> str:
    """The rate of false alarms, and each of them."""
    stops = len({(a.tenant_id, a.day) for a in alarms if a.stopped})
    warnings = len([a for a in alarms if not a.stopped])
    text = (
        f"{CLEAN_DAYS} clean days of {len(TENANTS)} tenants, one after the other through the same "
        f"door:\nfalse stops {stops}, false warnings {warnings}."
    )
    lines = [f"- {a.tenant_id}, {a.day}: `{a.rule}`" for a in alarms]
    return "\n".join([text, "", *lines]) if lines else text
