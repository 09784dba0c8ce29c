"""What the agent says about a source at one moment."""

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """State of one source (the words of the MQTT contract)."""

    LEARNING = "learning"
    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    NO_SIGNAL = "no_signal"
    MIC_SUSPECT = "mic_suspect"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class BandDelta:
    """How much one band of frequencies differs from the nearest normal sound."""

    lo_hz: float
    """Hertz"""
    hi_hz: float
    """Hertz"""
    delta_db: float
    """Decibel; positive is louder than normal"""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Level of the newest unit in bands of frequency, for people to look at."""

    lo_hz: tuple[float, ...]
    """Hertz, lower edge of each band"""
    hi_hz: tuple[float, ...]
    """Hertz, upper edge of each band"""
    level_db: tuple[float, ...]
    """Decibel to a full-scale sine, mean over the band and the unit"""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a window is far from normal."""

    nearest_id: str
    """The bank's entry that is nearest, such as ``bank-0173``"""
    nearest_distance: float
    """Distance to it as the detector that judged measures it: with nearest
    neighbours the cosine distance, 0 to 2"""
    bands: tuple[BandDelta, ...]
    """The bands that differ most, the largest difference first"""


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm from its first anomalous window until it is cleared."""

    since_sample: int
    """Sample counter at the feature rate when the state became anomalous"""
    score_max: float
    """Highest window score since then"""
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one window of one source."""

    end_sample: int
    """Sample counter at the feature rate just past the window"""
    window_samples: int
    """Samples that the window spans"""
    state: State
    changed: bool
    """Whether the state differs from the decision before"""
    score: float | None
    """Distance from normal; None where nothing can be scored"""
    threshold: float | None
    """Score at which a window counts towards an alarm"""
    p_value: float | None
    """Share of normal windows expected to score at least this high"""
    windows: int
    """Complete windows heard since the start or since the last gap"""
    level_dbfs: float
    """Root mean square of the newest unit, decibel to full scale"""
    gap: bool
    """Whether samples were lost or unusable within the window"""
    event: Event | None
    """The alarm under way, in state anomalous"""
    spectrum: Spectrum | None = None
    """The newest unit's; None where there is no signal"""
    reason: str = ""
    """Why the microphone is not believed, one word; empty: it is"""
