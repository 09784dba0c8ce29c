"""From the sample counter to wall-clock time."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone


@dataclass(frozen=True, slots=True)
class Anchor:
    """One sample whose wall-clock time is known; all others follow from the rate."""

    utc: datetime
    """Time of `sample`; must carry a time zone"""
    sample: int
    """Sample counter"""
    rate_hz: int
    """Samples a second of that counter"""

    def at(self, sample: int) -> datetime:
        """Time of a sample, exact to a microsecond, never later than the sample."""
        micros = (sample - self.sample) * 1_000_000 // self.rate_hz
        return self.utc + timedelta(microseconds=micros)


def rfc3339(moment: datetime) -> str:
    """Write a moment in UTC with milliseconds: ``2026-11-21T01:02:03.004Z``.

    Raises
    ------
    ValueError
        The moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"
