"""The coverage of every source and day, kept over restarts.

One small file a day, written anew every few minutes: a card that wears out, or that is
full, costs a few minutes of one day. What cannot be read is set aside.
"""

import logging
import re
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_agent.bundle.disk import Disk, read_plain
from asd_agent.coverage import Kind, Span

log = logging.getLogger(__name__)

FOLDER = "coverage"
"""Below the state folder"""
DAYS = 400
"""Days that are kept"""
MAX_BYTES = 262_144
"""A longer file is not one of these"""
_NAME = re.compile(r"\d{4}-\d\d-\d\d\.json")

MOST = 2**53
"""No count of samples is larger: beyond it there may be no place for seconds"""

Reasons = dict[
    Annotated[str, Field(pattern="^[a-z_]{0,32}$")],
    Annotated[int, Field(ge=0, le=MOST)],
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate_hz: int = Field(ge=1, le=MOST)
    samples: dict[Kind, Reasons] = Field(default_factory=dict)

    def add(self, kind: Kind, reason: str, samples: int) -> None:
        """Count some samples."""
        reasons = self.samples.setdefault(kind, {})
        reasons[reason] = reasons.get(reason, 0) + samples

    def turn_to(self, rate_hz: int) -> None:
        """Count in samples of another rate."""
        for reasons in self.samples.values():
            for reason, count in reasons.items():
                reasons[reason] = round(count * rate_hz / self.rate_hz)
        self.rate_hz = rate_hz


class _Day(BaseModel):
    model_config = ConfigDict(extra="forbid")

    v: int = Field(1, ge=1, le=1)
    sources: dict[str, _Record] = Field(default_factory=dict)

    def record(self, source: str, rate_hz: int) -> _Record:
        """That of a source, counting in samples of this rate."""
        record = self.sources.setdefault(source, _Record(rate_hz=rate_hz))
        if record.rate_hz != rate_hz:
            record.turn_to(rate_hz)
        return record

    def merge(self, other: "_Day") -> None:
        """Add what another record of the same day holds."""
        for source, theirs in other.sources.items():
            rate_hz = self.sources.get(source, theirs).rate_hz
            theirs.turn_to(rate_hz)
            for kind, reasons in theirs.samples.items():
                for reason, samples in reasons.items():
                    self.record(source, rate_hz).add(kind, reason, samples)


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """One source on one day; all but `reasons` in seconds."""

    day: date
    """In UTC"""
    source: str
    scored_s: float
    learnt_s: float
    suspect_s: float
    silent_s: float
    gap_s: float
    reasons: Mapping[str, float]
    """Seconds by reason, of what was neither scored nor learnt"""

    @property
    def heard_s(self) -> float:
        """Seconds that the source was listened to: the sum of the rest."""
        parts = (self.scored_s, self.learnt_s, self.suspect_s, self.silent_s)
        return sum(parts) + self.gap_s

    def record(self) -> dict[str, Any]:
        """Its figures as data, to a millisecond; the source is left out."""
        return {
            "day": self.day.isoformat(),
            "heard_s": round(self.heard_s, 3),
            "scored_s": round(self.scored_s, 3),
            "learnt_s": round(self.learnt_s, 3),
            "suspect_s": round(self.suspect_s, 3),
            "silent_s": round(self.silent_s, 3),
            "gap_s": round(self.gap_s, 3),
            "reasons": {why: round(s, 3) for why, s in sorted(self.reasons.items())},
        }


class Ledger:
    """Adds up coverage by day. Threads of several sources may add: none waits for disk.

    Parameters
    ----------
    folder
        Where the files lie; it is made when something is saved.
    disk
        What writes.
    days
        How many of the newest days are read, now.
    """

    def __init__(self, folder: Path, disk: Disk | None = None, days: int = 7) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._most = days
        newest = sorted(self._saved(), reverse=True)[:days]
        self._days = {day: self._read(day) for day in newest}
        self._changed: set[date] = set()
        self._unread: set[date] = set()
        self._failed = False

    def add(
        self, source: str, when: datetime, rate_hz: int, spans: Iterable[Span]
    ) -> None:
        """Count samples of a source.

        Parameters
        ----------
        when
            When they ended, UTC.
        rate_hz
            Samples a second.
        """
        today = when.date()
        with self._lock:
            if today not in self._days:
                self._days[today] = _Day()
                self._unread.add(today)  # a clock that was set back may find a file
            record = self._days[today].record(source, rate_hz)
            for span in spans:
                record.add(span.kind, span.reason, span.samples)
            self._changed.add(today)

    def save(self) -> None:
        """Write what has changed; where that fails it is tried again the next time."""
        with self._lock:
            changed, unread = self._changed.copy(), self._unread.copy()
        read = {day: self._read(day) for day in unread}
        with self._lock:
            for day, found in read.items():
                self._days[day].merge(found)
            self._unread -= unread
            raws = {day: self._days[day].model_dump_json().encode() for day in changed}
            self._changed -= changed
            for day in sorted(self._days, reverse=True)[self._most :]:
                if day not in self._changed:
                    del self._days[day]
        try:
            self._write(raws)
            self._failed = False
        except OSError as error:
            with self._lock:
                self._changed.update(day for day in raws if day in self._days)
            if not self._failed:
                self._failed = True
                log.warning(
                    "%s: cannot be written: %s; the coverage of today is kept in "
                    "memory. Make room, or make the folder writable",
                    self._folder,
                    error.strerror or error,
                )

    def newest(self, source: str, days: int = 7) -> list[DayCoverage]:
        """Coverage of a source on the newest days that there are, in order."""
        with self._lock:
            found = [
                summary(day, source, record)
                for day in sorted(self._days, reverse=True)[:days]
                if (record := self._days[day].sources.get(source)) is not None
            ]
        return found[::-1]

    def sources(self) -> list[str]:
        """Names of the sources of these days."""
        with self._lock:
            return sorted({name for day in self._days.values() for name in day.sources})

    def _write(self, raws: Mapping[date, bytes]) -> None:
        self._disk.make_folders(self._folder)
        for day, raw in raws.items():
            self._disk.write_whole(self._folder / f"{day}.json", raw)
        for day in sorted(self._saved(), reverse=True)[DAYS:]:
            self._disk.remove(self._folder / f"{day}.json")

    def _saved(self) -> set[date]:
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:
            return set()
        days = set()
        for name in names:
            if _NAME.fullmatch(name):
                with suppress(ValueError):
                    days.add(date.fromisoformat(name[:10]))
        return days

    def _read(self, day: date) -> _Day:
        path = self._folder / f"{day}.json"
        try:
            return _Day.model_validate_json(read_plain(path, MAX_BYTES))
        except FileNotFoundError:
            return _Day()
        except (OSError, ValidationError) as error:
            log.warning("%s: is damaged and set aside: %s", path, type(error).__name__)
            with suppress(OSError):
                self._disk.rename(path, path.with_suffix(".broken"))
            return _Day()


def summary(day: date, source: str, record: _Record) -> DayCoverage:
    """Turn samples into seconds."""

    def seconds(kind: Kind) -> float:
        return sum(record.samples.get(kind, {}).values()) / record.rate_hz

    reasons: dict[str, float] = {}
    for by_reason in record.samples.values():
        for reason, count in by_reason.items():
            if reason:
                reasons[reason] = reasons.get(reason, 0.0) + count / record.rate_hz
    return DayCoverage(
        day,
        source,
        seconds(Kind.SCORED),
        seconds(Kind.LEARNT),
        seconds(Kind.SUSPECT),
        seconds(Kind.SILENT),
        seconds(Kind.GAP),
        reasons,
    )
