"""How many samples a device has lost, by the clock.

A device that says that it lost sound does not say how much; a sound server may lose
some and say nothing. Both show against a clock: what comes lags behind for good.
"""

from dataclasses import dataclass

PAUSE_S = 0.4
"""So long without a sample is a pause: sound may be lost in it"""
SETTLE_S = 0.5
"""What was only late has come this long after a pause"""
SLACK_S = 0.1
"""Less than this is the unrest of the clock and of the buffers"""
CREEP = 0.03
"""Share by which a device may run slow: that is another rate, not a loss"""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is missing before some samples."""

    gap: bool = False
    """Whether the samples do not follow those before them, as far as is known"""
    samples: int = 0
    """How many are missing, now that it is known"""


NONE = Loss()


class LossWatch:
    """Watches the samples of one stream.

    Parameters
    ----------
    rate_hz : int
        Samples a second that the device promises.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._start_s: float | None = None
        self._counted = 0
        self._last_s = 0.0
        self._least = 0.0
        self._paused_s: float | None = None

    def push(self, count: int, now_s: float, flagged: bool = False) -> Loss:
        """Take note of samples that have come.

        Parameters
        ----------
        count : int
            Samples that have come since the last call, read or not.
        now_s : float
            Monotonic seconds.
        flagged : bool
            Whether the device says that some were lost.
        """
        if self._start_s is None:
            self._start_s = self._last_s = now_s
            self._counted = -count  # nothing can be said of what came first
        passed_s = now_s - self._last_s
        self._counted += count
        behind = (now_s - self._start_s) * self._rate_hz - self._counted
        gap = flagged or (count > 0 and passed_s > PAUSE_S)
        if gap:
            self._paused_s = now_s
        if count:
            self._last_s = now_s
        if self._paused_s is None:
            creep = CREEP * passed_s * self._rate_hz
            self._least = min(behind, self._least + creep)
            return NONE
        if now_s - self._paused_s < SETTLE_S:
            return Loss(gap)
        self._paused_s = None
        return Loss(gap, self._settled(behind))

    def _settled(self, behind: float) -> int:
        """Count as lost what has not come by now."""
        lost = round(behind - self._least)
        if lost <= SLACK_S * self._rate_hz:
            self._least = min(behind, self._least)
            return 0
        self._counted += lost
        return lost
