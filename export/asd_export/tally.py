"""What has become of the devices that were asked to run a bundle; no I/O here."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone

from asd_export.device import DONE, Phase, Progress
from asd_export.fleet import Fleet

AWAY_S = 60.0
"""Seconds after which a device that is at it counts as offline: a start is shorter"""


def utc() -> datetime:
    """Give this moment."""
    return datetime.now(timezone.utc)


class Tally:
    """Counts devices that were asked, by what they told since.

    Parameters
    ----------
    bundle
        Identifier of what they were asked to run.
    """

    def __init__(
        self,
        fleet: Fleet,
        bundle: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc,
    ) -> None:
        self._fleet = fleet
        self._bundle = bundle
        self._clock = clock
        self._now = now
        self._stale: dict[str, Progress | None] = {}
        self._away_since_s: dict[str, float] = {}
        self._seen: dict[str, datetime] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Who was asked."""
        return tuple(self._stale)

    def ask(self, name: str, *, anew: bool) -> None:
        """Count a device from now on.

        Parameters
        ----------
        anew
            What it told of the bundle so far is of an earlier attempt.
        """
        self._stale[name] = self._fleet[name].report(self._bundle) if anew else None

    def phase(self, name: str) -> Phase:
        """How far a device is."""
        return self._fleet[name].phase(self._bundle, self._stale.get(name))

    def report(self, name: str) -> Progress | None:
        """What a device told of the bundle since it was asked."""
        found = self._fleet[name].report(self._bundle)
        return None if found == self._stale.get(name) else found

    def settled(self, names: Iterable[str]) -> bool:
        """Whether nothing more is to be expected of these."""
        return all(self.phase(name) in DONE for name in names)

    def committed(self, names: Iterable[str]) -> bool:
        """Whether all of these run the bundle for good."""
        return all(self.phase(name) == "committed" for name in names)

    def calm_since(self, names: Iterable[str]) -> datetime | None:
        """When the last of these committed; None: none has."""
        moments = []
        for name in names:
            if self.phase(name) == "committed":
                seen = self._seen.setdefault(name, self._now())
                moments.append(self._fleet[name].committed_at(self._bundle, seen))
        return max(moments, default=None)

    def counts(self) -> dict[str, int]:
        """Numbers that a rule can name."""
        phases = [self.phase(name) for name in self._stale]
        events = {
            event
            for event in self._fleet.events
            if event[0] in self._stale and event[1] == self._bundle
        }
        return {
            "rolled_back": phases.count("rolled_back"),
            "rejected": phases.count("rejected"),
            "committed": phases.count("committed"),
            "alarms": len(events),
            "offline": sum(self._is_away(name) for name in self._stale),
        }

    def _is_away(self, name: str) -> bool:
        """Whether a device that has begun is gone, and not just starting anew."""
        gone = self._fleet[name].online is False and self.report(name) is not None
        if not gone:
            self._away_since_s.pop(name, None)
            return False
        since_s = self._away_since_s.setdefault(name, self._clock())
        return self._clock() - since_s >= AWAY_S
