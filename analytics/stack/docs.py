"""Which written pages the docs site shows: dbt docs, data docs, reports, drift."""

from __future__ import annotations

import os
from pathlib import Path

from analytics.settings import PROJECT, Settings
from analytics.stack.addresses import Endpoints


def folders(settings: Settings) -> dict[str, list[Path]]:
    """What is served under which name: the first of the folders that exists."""
    var = settings.var.resolve()
    return {
        "dbt": [var / "dbt_docs", PROJECT / "dbt_project" / "target"],
        "data-docs": [var / "data_docs"],
        "reports": [var / "reports"],
        "drift": [var / "drift_reports"],
    }


def command(python: str, addresses: Endpoints, settings: Settings) -> list[str]:
    port = str(addresses.ports()["docs"])
    declared = [f"{n}={os.pathsep.join(map(str, f))}" for n, f in folders(settings).items()]
    return [python, "-m", "analytics.stack.pages", port, *declared]
