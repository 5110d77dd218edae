"""Random streams by name, so that no draw depends on how the work is cut up.

Each stream is a Philox counter keyed by (seed, tenant, name, day): day 40 draws
the same numbers whether days 0 to 39 were written in this run, in another one,
alone or beside other tenants.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Streams:
    """All streams of one tenant."""

    seed: int
    tenant_id: str

    def on(self, name: str, day: int = -1) -> np.random.Generator:
        """The stream called `name` on a day; -1 is before the first."""
        key = hashlib.blake2b(
            f"{self.seed}|{self.tenant_id}|{name}|{day}".encode(), digest_size=16
        ).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
