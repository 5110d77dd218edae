"""What can be chosen about a simulation; the defaults are the sample."""

from __future__ import annotations

from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analytics.simulate.profiles import SAMPLE, Profile

SAMPLE_SEED = 20250101
SAMPLE_START = date(2025, 1, 1)
SAMPLE_DAYS = 242  # 240 of history, a normal day, a day of drift
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
MOST_LISTENERS = 10_000_000  # of one tenant, whose day is in memory
SAMPLE_DRIFT = {"indie_radio": date(2025, 8, 30)}


class SimulationConfig(BaseModel):
    """Everything that decides what is written: equal configs write equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = SAMPLE_SEED
    start: date = Field(default=SAMPLE_START, ge=FIRST_DAY, le=LAST_DAY)
    days: int = Field(default=SAMPLE_DAYS, ge=1, le=3660)
    listeners: int | None = Field(
        default=None, ge=10, le=MOST_LISTENERS, description="accounts a tenant on the first day"
    )
    scale: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="multiplies the listeners of every tenant",
    )
    tenants: tuple[Profile, ...] = SAMPLE
    drift: dict[str, date] = Field(
        default_factory=lambda: dict(SAMPLE_DRIFT), description="tenant: first day of its drift"
    )
    late_share: float = Field(default=0.01, ge=0, le=0.5)
    duplicate_share: float = Field(default=0.005, ge=0, le=0.5)
    damaged_share: float = Field(default=0.0005, ge=0, le=0.5)
    bot_share: float = Field(default=0.003, ge=0, le=0.5)
    bot_mimicry: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="0: bots behave as bots, 1: as listeners do",
    )

    @model_validator(mode="after")
    def ids_differ(self) -> SimulationConfig:
        ids = [p.id for p in self.tenants]
        if len(set(ids)) != len(ids) or not ids:
            raise ValueError(f"tenants must be named once each and at least one: {ids}")
        return self

    @model_validator(mode="after")
    def it_fits_the_calendar_and_the_memory(self) -> SimulationConfig:
        if self.days > (LAST_DAY - self.start).days + 1:
            raise ValueError(
                f"{self.days} days from {self.start} reach beyond {LAST_DAY}; choose fewer days "
                "or an earlier start"
            )
        most = max(self.listeners_of(p) for p in self.tenants)
        if most > MOST_LISTENERS:
            raise ValueError(
                f"{most:,} listeners of one tenant are more than one machine lives through "
                f"({MOST_LISTENERS:,}); choose a smaller scale or fewer listeners"
            )
        return self

    @property
    def end(self) -> date:
        """The first day after the last."""
        return self.start + timedelta(days=self.days)

    def listeners_of(self, profile: Profile) -> int:
        return max(10, round((self.listeners or profile.listeners) * self.scale))
