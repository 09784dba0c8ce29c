"""What the messages of the agent add up to. It knows nothing else of the agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision, as an anomaly message told it."""

    time_s: float
    """Seconds of the stream at the end of the window"""
    state: str
    score: float | None
    threshold: float | None
    p_value: float | None

    @property
    def ratio(self) -> float | None:
        """Score in thresholds; None where there is no score."""
        if self.score is None or not self.threshold:
            return None
        return self.score / self.threshold


@dataclass(frozen=True, slots=True)
class Slice:
    """One spectrum, as a spectrum message told it."""

    time_s: float
    """Seconds of the stream at its end"""
    level_db: tuple[float | None, ...]
    top_hz: float
    """Upper edge of the highest band"""


class Account:
    """Everything that was heard from one source of one device."""

    def __init__(self, onset_s: float) -> None:
        self.onset_s = onset_s
        """Seconds of the stream until the fault begins: known to the story alone"""
        self.moments: list[Moment] = []
        self.slices: list[Slice] = []
        self.status = "offline"
        self.health: Mapping[str, Any] = {}
        self.info: Mapping[str, Any] = {}
        self.alarm: Mapping[str, Any] | None = None
        """The newest message of the first alarm"""
        self.alarm_s: float | None = None
        """Seconds of the stream when the state became anomalous"""
        self._began: datetime | None = None
        self._last_seq = 0

    @property
    def now_s(self) -> float:
        """Seconds of the stream that decisions were heard about."""
        return self.moments[-1].time_s if self.moments else 0.0

    @property
    def delay_s(self) -> float | None:
        """Seconds from the beginning of the fault to the alarm; below 0: too early."""
        return None if self.alarm_s is None else self.alarm_s - self.onset_s

    @property
    def detected(self) -> bool:
        """Whether the fault was told, and nothing before it."""
        return self.delay_s is not None and self.delay_s >= 0

    def take(self, kind: str, payload: Any) -> None:
        """Take one message; `kind` is the last level of its topic."""
        if kind == "anomaly":
            self._decision(payload)
        elif kind == "spectrum":
            self._spectrum(payload)
        elif kind == "status":
            self.status = payload
        elif kind == "health":
            self.health = payload
        elif kind == "info":
            self.info = payload

    def _decision(self, payload: Mapping[str, Any]) -> None:
        if payload["seq"] <= self._last_seq:
            return  # delivered twice
        self._last_seq = payload["seq"]
        at = _moment(payload["ts"])
        if self._began is None:
            # The first window begins with the stream.
            self._began = at - timedelta(seconds=payload["window_s"])
        time_s = _seconds(self._began, at)
        numbers = (payload[key] for key in ("score", "threshold", "p_value"))
        self.moments.append(Moment(time_s, payload["state"], *numbers))
        if payload["state"] != "anomalous":
            return
        if self.alarm is None:
            self.alarm_s = _seconds(self._began, _moment(payload["since"]))
            self.alarm = payload
        elif self.alarm["event_id"] == payload["event_id"]:
            self.alarm = payload

    def _spectrum(self, payload: Mapping[str, Any]) -> None:
        if self._began is None:
            return  # the first decision, which says when the stream began, is to come
        time_s = _seconds(self._began, _moment(payload["ts"]))
        levels = tuple(payload["level_db"])
        self.slices.append(Slice(time_s, levels, payload["hi_hz"][-1]))


def _seconds(began: datetime, moment: datetime) -> float:
    return (moment - began).total_seconds()


def _moment(text: str) -> datetime:
    # Python 3.10 does not read the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
