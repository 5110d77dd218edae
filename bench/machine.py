"""What the figures were measured on, and whether it was quiet."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil


def describe() -> dict[str, Any]:
    """Cores, memory, processor, Python, time, and the load before anything was measured."""
    return {
        "cores": os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "measured_on": datetime.now(UTC).date().isoformat(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def line(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}, {machine['measured_on']}, "
        f"load at start {machine['load_at_start']}"
    )


def is_busy(machine: dict[str, Any]) -> bool:
    """Whether others worked on the machine, so that rates are too low (ratios less so)."""
    return machine["load_at_start"] > 0.5 * machine["cores"]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for entry in info.read_text().splitlines():
            if entry.startswith("model name"):
                return entry.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
