"""What the agent shows of itself at one moment: numbers, and no path or host."""

from dataclasses import dataclass

from asd_agent.health.system import System


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """One source. None: not known; counters count since the agent was started."""

    name: str
    state: str
    """A word of the MQTT contract"""
    reason: str = ""
    """Why the microphone is not believed, one word; empty: it is"""
    score: float | None = None
    """Of the newest window"""
    p_value: float | None = None
    """Of the newest window"""
    level_dbfs: float | None = None
    """Root mean square of the newest unit, decibel to full scale"""
    sound_age_s: float | None = None
    """Seconds since the newest sample"""
    step_s: float | None = None
    """Seconds that the newest decision took to compute"""
    hop_s: float | None = None
    """Seconds of sound from one decision to the next"""
    load: float | None = None
    """Seconds of work for a second of sound, of late"""
    degraded: bool = False
    """Whether less is heard than should be, because the device is too slow"""
    windows: int | None = None
    """Windows scored"""
    windows_dropped: int | None = None
    """Windows left out because the device is too slow"""
    heard_s: float | None = None
    """Seconds since the start: the sum of the five that follow"""
    scored_s: float | None = None
    """Seconds of it that were scored"""
    learnt_s: float | None = None
    """Seconds that were learnt from"""
    suspect_s: float | None = None
    """Seconds in which the microphone was not believed"""
    gap_s: float | None = None
    """Seconds that were lost, or lay too near to lost ones"""
    silent_s: float | None = None
    """Seconds without a usable signal"""
    lost_samples: int | None = None
    """Samples left out because the device is too slow"""
    overflows: int | None = None
    """Times that the device lost samples"""
    capture_restarts: int | None = None
    """Times that the device had to be opened again"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The agent. None: not known; counters count since it was started."""

    version: str
    """Of the agent"""
    uptime_s: float
    """Seconds since the agent was started"""
    bundle_id: str | None = None
    """Of the bundle that decides now"""
    bundle_version: int | None = None
    sources: tuple[SourceSnapshot, ...] = ()
    system: System | None = None
    connected: bool | None = None
    """Whether the broker has accepted us; None: there is none"""
    connections: int | None = None
    """Times that the broker has accepted us again"""
    messages_waiting: int | None = None
    """Messages that the broker has not acknowledged"""
    messages_dropped: int | None = None
    """Messages given up for want of room, or because they were too old"""
    messages_refused: int | None = None
    """Messages that the broker did not take"""
    messages_undurable: int | None = None
    """Changes of state that were sent before a disk held them"""
    messages_unheard: int | None = None
    """Messages that nobody had subscribed to, as far as the broker says"""
    taken_over: int | None = None
    """Times that another client of our name threw us out"""
    clips_written: int | None = None
    """Clips of alarms that were kept"""
    clips_dropped: int | None = None
    """Alarms of which no clip was kept"""
    clips_bytes: int | None = None
    """Bytes that clips take on disk"""
