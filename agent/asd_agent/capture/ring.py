"""A ring of samples between one writer and one reader, with a sample counter."""

from collections import deque
from threading import Condition

import numpy as np

from asd_agent.capture.chunk import Block, Samples


class Ring:
    """Fixed memory for the newest samples; a reader that is too slow loses the rest.

    It then goes on with the newest: one that was kept a ring behind would lose a
    little before every block, and never hear a whole window.

    Parameters
    ----------
    capacity : int
        Samples that are kept.

    Notes
    -----
    The writer never waits for the reader and allocates no samples: a microphone
    cannot be stopped. Every sample has a number, from 0, that counts lost ones too:
    those that were overwritten, and those that `skip` tells of.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}, expected at least 1")
        self._samples = np.zeros(capacity, np.float32)
        self._gap = np.zeros(capacity, np.bool_)
        self._clipped = np.zeros(capacity, np.bool_)
        self._changed = Condition()
        self._written = 0
        self._read = 0
        self._closed = False
        self._lapped = False
        self._next_gap = False
        self._overruns = 0
        self._lost = 0
        self._skips: deque[tuple[int, int]] = deque()
        self._next_skip = 0
        self._skipped = 0
        self._offset = 0

    @property
    def capacity(self) -> int:
        """Samples that are kept."""
        return len(self._samples)

    @property
    def written(self) -> int:
        """Sample counter of the next sample to be written."""
        return self._written

    @property
    def overruns(self) -> int:
        """Times that the writer overtook the reader."""
        return self._overruns

    @property
    def lost_samples(self) -> int:
        """Samples that were given up before they were read."""
        return self._lost

    @property
    def skipped_samples(self) -> int:
        """Samples that never came."""
        return self._skipped

    @property
    def ended(self) -> bool:
        """Whether the ring is closed and everything in it was read."""
        with self._changed:
            return self._closed and self._read == self._written

    def write(self, samples: Samples, gap: bool = False, clipped: bool = False) -> None:
        """Append samples; after `close` they are dropped.

        Parameters
        ----------
        samples : array, shape ``(n,)``, float32
        gap : bool
            Whether samples were lost just before them, or some are not real.
        clipped : bool
            Whether the source was at full scale too often.
        """
        count = len(samples)
        with self._changed:
            if self._closed:
                return
            kept = samples[-self.capacity :]
            past = self._written + count
            for at, part in self._places(past - len(kept), past):
                self._samples[at] = kept[part]
                self._gap[at] = gap
                self._clipped[at] = clipped
            if self._next_gap and count:
                self._gap[(past - len(kept)) % self.capacity] = True
            self._next_gap = (gap or self._next_gap) and not count
            if self._next_skip and count:
                self._skips.append((past - count, self._next_skip))
                self._next_skip = 0
            self._written = past
            self._drop_overwritten(len(kept))
            self._changed.notify()

    def mark_gap(self) -> None:
        """Say that samples are missing before the next one written."""
        with self._changed:
            self._next_gap = True

    def skip(self, count: int) -> None:
        """Let so many samples be missing before the next one written."""
        with self._changed:
            self._next_gap = True
            self._next_skip += count
            self._skipped += count

    def read(self, max_samples: int, timeout_s: float | None) -> Block | None:
        """Take the oldest samples, or None after `timeout_s` without any.

        Parameters
        ----------
        max_samples : int
            At most so many, at least 1.
        timeout_s : float or None
            Seconds to wait for the first sample; None waits until `close`.
        """
        with self._changed:
            self._changed.wait_for(self._can_return, timeout_s)
            start, past = self._read, min(self._written, self._read + max_samples)
            if past == start:
                return None
            past = self._past_skips(start, past)
            samples = np.empty(past - start, np.float32)
            gap, clipped = self._lapped, False
            for at, part in self._places(start, past):
                samples[part] = self._samples[at]
                gap = gap or bool(self._gap[at].any())
                clipped = clipped or bool(self._clipped[at].any())
            self._lapped = False
            self._read = past
            return Block(samples, start + self._offset, gap, clipped)

    def close(self) -> None:
        """Say that no more samples come, and wake the reader."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _can_return(self) -> bool:
        return self._closed or self._written > self._read

    def _places(self, start: int, past: int) -> tuple[tuple[slice, slice], ...]:
        """Where samples [start, past) lie in the memory, in one or two parts.

        The second slice of each says which of the samples they are.
        """
        count, at = past - start, start % self.capacity
        first = min(count, self.capacity - at)
        whole = (slice(at, at + first), slice(0, first))
        if first == count:
            return (whole,)
        return whole, (slice(0, count - first), slice(first, count))

    def _past_skips(self, start: int, past: int) -> int:
        """Count what is missing up to `start`; end where more is missing."""
        while self._skips and self._skips[0][0] <= start:
            self._offset += self._skips.popleft()[1]
        return min(past, self._skips[0][0]) if self._skips else past

    def _drop_overwritten(self, newest: int) -> None:
        """Where the writer has overtaken the reader, go on with what it wrote last."""
        if self._written - self.capacity > self._read:
            self._overruns += not self._lapped
            self._lapped = True
            self._lost += self._written - newest - self._read
            self._read = self._written - newest
