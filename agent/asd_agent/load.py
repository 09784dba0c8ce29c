"""Whether the work keeps up with the sound, and how much less must be done if not."""

from collections import deque

WIDEST = 8
"""Largest stride: with 32 ms frames a unit every 4 s"""
SPAN_S = 60.0
"""Seconds that must be too busy, or idle enough, before anything changes"""
TOO_MUCH = 1.0
"""Seconds of work for a second of sound that cannot be kept up with"""
LITTLE = 0.7
"""As much would be well, were the stride half as wide"""


class Load:
    """Chooses the stride of one source: every unit is heard, every second, ..."""

    def __init__(self) -> None:
        self.stride = 1
        self._steps: deque[tuple[float, float, float]] = deque()
        self._sound_s = 0.0
        self._busy_s = 0.0

    @property
    def degraded(self) -> bool:
        """Whether less is heard than should be."""
        return self.stride > 1

    @property
    def share(self) -> float | None:
        """Seconds of work for a second of sound, of late; None: not known yet."""
        return self._busy_s / self._sound_s if self._sound_s else None

    def push(self, sound_s: float, busy_s: float, now_s: float) -> bool:
        """Take note of a step; say whether the stride has changed.

        Parameters
        ----------
        sound_s, busy_s
            Seconds of sound that were taken, and of work that they took.
        now_s
            Monotonic seconds.
        """
        self._steps.append((now_s, sound_s, busy_s))
        self._sound_s += sound_s
        self._busy_s += busy_s
        whole = now_s - self._steps[0][0] >= SPAN_S
        while now_s - self._steps[0][0] > SPAN_S:
            _, sound, busy = self._steps.popleft()
            self._sound_s -= sound
            self._busy_s -= busy
        share = self.share
        if not whole or share is None:
            return False
        if share > TOO_MUCH and self.stride < WIDEST:
            return self._change(self.stride * 2)
        if self.stride > 1 and share * 2 < LITTLE:
            return self._change(self.stride // 2)
        return False

    def sentence(self, share: float) -> str:
        """Say to a person what changed, after so much work for a second of sound."""
        if not self.degraded:
            return "keeps up with the sound again: every unit is heard"
        return (
            f"degraded: a second of sound takes {share:.2f} s to analyse; of "
            f"{self.stride} units one is heard. Use fewer sources, a smaller network "
            "or a faster machine"
        )

    def _change(self, stride: int) -> bool:
        self.stride = stride
        self._steps.clear()
        self._sound_s = self._busy_s = 0.0
        return True
