"""The simulated tenants: who lives where, what it costs, how data is handed over."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Market(BaseModel):
    """Where a share of a tenant's listeners lives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: str
    city: str
    zone: str
    share: float = Field(gt=0)


class Profile(BaseModel):
    """One simulated tenant: its people, its prices and how it hands over data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    writes: Literal["eventsim", "parquet", "postgres"]
    currency: str
    premium_minor: int
    family_minor: int
    markets: tuple[Market, ...]
    listeners: int = Field(default=1000, ge=10, description="accounts on the first day")
    growth: float = Field(default=0.0045, ge=0, description="sign-ups a day per listener")
    paid_share: float = Field(default=0.55, ge=0, le=1)
    activity: float = Field(default=0.3, gt=0, le=0.9, description="share active on a day")
    tracks: int = Field(default=6000, ge=200)
    churn: float = Field(default=0.0016, gt=0, description="daily hazard of an average payer")
    genre_tilt: float = 0.0  # turns the tenant's favourite genres
    dsn_secret: str | None = None


def _markets(*rows: tuple[str, str, str, float]) -> tuple[Market, ...]:
    return tuple(Market(country=a, city=b, zone=c, share=d) for a, b, c, d in rows)


SAMPLE = (
    Profile(
        id="spotify_premium",
        writes="eventsim",
        currency="EUR",
        premium_minor=1099,
        family_minor=1799,
        listeners=950,
        genre_tilt=0.0,
        markets=_markets(
            ("DE", "Berlin", "Europe/Berlin", 0.4),
            ("DE", "München", "Europe/Berlin", 0.2),
            ("FR", "Paris", "Europe/Paris", 0.15),
            ("GB", "London", "Europe/London", 0.15),
            ("PT", "Lisbon", "Europe/Lisbon", 0.1),
        ),
    ),
    Profile(
        id="indie_radio",
        writes="parquet",
        currency="USD",
        premium_minor=999,
        family_minor=1599,
        listeners=1050,
        genre_tilt=1.6,
        markets=_markets(
            ("US", "New York", "America/New_York", 0.35),
            ("US", "Chicago", "America/Chicago", 0.2),
            ("US", "Los Angeles", "America/Los_Angeles", 0.25),
            ("CA", "Toronto", "America/Toronto", 0.2),
        ),
    ),
    Profile(
        id="nordic_beats",
        writes="postgres",
        currency="SEK",
        premium_minor=11900,
        family_minor=18900,
        listeners=1000,
        genre_tilt=3.1,
        dsn_secret="nordic_beats_ops_dsn",  # noqa: S106 - the name of a file, no secret
        markets=_markets(
            ("SE", "Stockholm", "Europe/Stockholm", 0.5),
            ("NO", "Oslo", "Europe/Oslo", 0.2),
            ("DK", "Copenhagen", "Europe/Copenhagen", 0.15),
            ("FI", "Helsinki", "Europe/Helsinki", 0.15),
        ),
    ),
)
