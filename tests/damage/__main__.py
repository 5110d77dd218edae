"""Do every kind of damage, live the clean days, and write docs/damage.md."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from rich.progress import Progress

from tests.damage import table
from tests.damage.kinds import KINDS
from tests.damage.world import CLEAN_DAYS, TENANTS, Alarm, Noticed, World


def main() -> int:
    logging.disable(logging.WARNING)  # of what is wrong on purpose
    noticed: dict[str, Noticed] = {}
    alarms: list[Alarm] = []
    with tempfile.TemporaryDirectory(prefix="damage-") as root, Progress() as progress:
        weeks = progress.add_task("the weeks before", total=1)
        world = World(Path(root))
        progress.advance(weeks)
        for kind in progress.track(KINDS, description="damaged days"):
            noticed[kind.name] = world.damaged(kind)
        days = progress.add_task("clean days", total=CLEAN_DAYS * len(TENANTS))
        for tenant_id in TENANTS:
            for alarm in world.false_alarms(tenant_id):
                if alarm is None:
                    progress.advance(days)
                else:
                    alarms.append(alarm)
    missed = [kind for kind in KINDS if not noticed[kind.name].is_as_told(kind)]
    for kind in missed:
        print(f"missed: {kind.name}, noticed was {noticed[kind.name]}", file=sys.stderr)
    if missed:
        return 1
    table.PAGE.write_text(table.page(noticed, alarms))
    print(f"written: {table.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
