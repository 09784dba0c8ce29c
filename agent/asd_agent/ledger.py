"""The coverage of every source and day, kept over restarts.

One small file a day, written anew every few minutes: a card that wears out, or that is
full, costs a few minutes of one day. What cannot be read is set aside.
"""

import logging
import re
import threading
from collections.abc import Iterable, Mapping
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
MAX_BYTES = 1_048_576
"""A longer file is not one of these"""
_NAME = re.compile(r"\d{4}-\d\d-\d\d\.json")

Reasons = dict[
    Annotated[str, Field(pattern="^[a-z_]{0,32}$")], Annotated[int, Field(ge=0)]
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate_hz: int = Field(ge=1)
    samples: dict[Kind, Reasons] = Field(default_factory=dict)

    def add(self, span: Span) -> None:
        """Count some samples."""
        reasons = self.samples.setdefault(span.kind, {})
        reasons[span.reason] = reasons.get(span.reason, 0) + span.samples

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
    """Adds up coverage by day. Threads of several sources may add.

    Parameters
    ----------
    folder
        Where the files lie; it is made when something is saved.
    disk
        What writes.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._days: dict[date, _Day] = {}
        self._changed: set[date] = set()
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
        with self._lock:
            day = self._day(when.date())
            record = day.sources.setdefault(source, _Record(rate_hz=rate_hz))
            if record.rate_hz != rate_hz:
                record.turn_to(rate_hz)
            for span in spans:
                record.add(span)
            self._changed.add(when.date())

    def save(self) -> None:
        """Write what has changed; where that fails it is tried again the next time."""
        with self._lock:
            raws = {
                day: self._days[day].model_dump_json().encode() for day in self._changed
            }
            self._changed.clear()
        try:
            self._disk.make_folders(self._folder)
            for day, raw in raws.items():
                self._disk.write_whole(self._folder / f"{day}.json", raw)
            self._tidy()
            self._failed = False
        except OSError as error:
            with self._lock:
                self._changed.update(raws)
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
            known = {*self._days, *self._saved()}
            found = [
                summary(day, source, record)
                for day in sorted(known, reverse=True)[:days]
                if (record := self._day(day).sources.get(source)) is not None
            ]
            self._forget()
        return found[::-1]

    def sources(self) -> list[str]:
        """Names of the sources of the newest days."""
        with self._lock:
            newest = sorted({*self._days, *self._saved()}, reverse=True)[:31]
            names = {name for day in newest for name in self._day(day).sources}
            self._forget()
        return sorted(names)

    def _saved(self) -> set[date]:
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:
            return set()
        days = set()
        for name in names:
            if _NAME.fullmatch(name):
                try:
                    days.add(date.fromisoformat(name[:10]))
                except ValueError:
                    continue
        return days

    def _day(self, day: date) -> _Day:
        if day not in self._days:
            self._days[day] = self._read(day)
        return self._days[day]

    def _read(self, day: date) -> _Day:
        path = self._folder / f"{day}.json"
        try:
            return _Day.model_validate_json(read_plain(path, MAX_BYTES))
        except FileNotFoundError:
            return _Day()
        except (OSError, ValidationError) as error:
            log.warning("%s: is damaged and set aside: %s", path, type(error).__name__)
            try:
                self._disk.rename(path, path.with_suffix(".broken"))
            except OSError:
                log.warning("%s: cannot be set aside", path)
            return _Day()

    def _forget(self) -> None:
        """Keep in memory what may still change: the newest two days."""
        for day in sorted(self._days, reverse=True)[2:]:
            if day not in self._changed:
                del self._days[day]

    def _tidy(self) -> None:
        for day in sorted(self._saved(), reverse=True)[DAYS:]:
            self._disk.remove(self._folder / f"{day}.json")


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
