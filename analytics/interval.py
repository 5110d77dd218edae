"""The half-open span of time that one run covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from analytics.errors import AnalyticsError


@dataclass(frozen=True, order=True)
class Interval:
    """[start, end) in UTC, microseconds. Both ends carry their zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, instant in (("from", self.start), ("to", self.end)):
            if instant.tzinfo is None:
                raise AnalyticsError(f"'{name}' has no time zone: {instant.isoformat()}; give UTC")
        if self.end <= self.start:
            raise AnalyticsError(
                f"'to' ({self.end.isoformat()}) must be later than "
                f"'from' ({self.start.isoformat()})"
            )

    @classmethod
    def of(cls, start: str | date | datetime, end: str | date | datetime) -> Interval:
        """Parse two days or instants; a day means its midnight UTC."""
        return cls(_instant("from", start), _instant("to", end))

    @classmethod
    def day(cls, day: date) -> Interval:
        return cls.of(day, day + timedelta(days=1))

    @classmethod
    def covering(cls, intervals: list[Interval]) -> Interval:
        """The smallest interval that holds all of them."""
        return cls(min(i.start for i in intervals), max(i.end for i in intervals))

    def days(self) -> list[date]:
        """Every UTC day the interval touches, in order."""
        last = (self.end - timedelta(microseconds=1)).date()
        first = self.start.date()
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def as_extra(self) -> dict[str, str]:
        """What travels in an asset event."""
        return {"from": self.start.isoformat(), "to": self.end.isoformat()}

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{self.end:%Y-%m-%dT%H:%M:%SZ}"


def _instant(name: str, value: str | date | datetime) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise AnalyticsError(
                f"'{name}' is not a date: {value!r}; write 2025-06-01 or 2025-06-01T00:00:00Z"
            ) from None
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(), tzinfo=UTC)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    # Airflow gives a subclass that does not survive being stored as it is.
    return datetime.fromisoformat(value.astimezone(UTC).isoformat())
