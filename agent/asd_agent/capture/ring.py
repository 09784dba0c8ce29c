"""A ring of samples between one writer and one reader, with a sample counter."""

from threading import Condition

import numpy as np

from asd_agent.capture.chunk import Block, Samples


class Ring:
    """Fixed memory for the newest samples; a slow reader loses the oldest.

    Parameters
    ----------
    capacity : int
        Samples that are kept.

    Notes
    -----
    The writer never waits for the reader and allocates no samples: a microphone
    cannot be stopped. Every sample has a number, from 0, that counts lost ones too.
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
        """Samples that were overwritten before they were read."""
        return self._lost

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
            self._written = past
            self._drop_overwritten()
            self._changed.notify()

    def mark_gap(self) -> None:
        """Say that samples are missing before the next one written."""
        with self._changed:
            self._next_gap = True

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
            samples = np.empty(past - start, np.float32)
            gap, clipped = self._lapped, False
            for at, part in self._places(start, past):
                samples[part] = self._samples[at]
                gap = gap or bool(self._gap[at].any())
                clipped = clipped or bool(self._clipped[at].any())
            self._lapped = False
            self._read = past
            return Block(samples, start, gap, clipped)

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

    def _drop_overwritten(self) -> None:
        lost = self._written - self.capacity - self._read
        if lost > 0:
            self._overruns += not self._lapped
            self._lost += lost
            self._lapped = True
            self._read += lost
