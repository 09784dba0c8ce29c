"""One channel from one sample rate to another, in chunks of any size."""

import math

import numpy as np
import soxr

from asd_agent.capture.chunk import Samples

NOTHING: Samples = np.zeros(0, np.float32)


class Resampler:
    """Streaming resampler (libsoxr, quality HQ, float32).

    Sample k of the output lies at k / `out_hz` seconds of the input: the
    filter's delay holds samples back but does not shift them. The output is the
    same to the last bit whatever the chunk sizes.

    Parameters
    ----------
    in_hz, out_hz : int
        Hertz; equal rates pass samples through untouched.
    """

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self.in_hz = in_hz
        self.out_hz = out_hz
        self._stream = (
            None
            if in_hz == out_hz
            else soxr.ResampleStream(in_hz, out_hz, 1, dtype="float32", quality="HQ")
        )

    @property
    def held(self) -> int:
        """Output samples that belong to the input so far and are still to come."""
        return 0 if self._stream is None else max(0, math.ceil(self._stream.delay()))

    def push(self, samples: Samples, last: bool = False) -> Samples:
        """Resample the next samples.

        Parameters
        ----------
        samples : array, shape ``(n,)``, float32
        last : bool
            Whether the input ends here: what was held back is given out, and
            the next push begins a new input.

        Returns
        -------
        array, shape ``(m,)``, float32
            m varies from push to push; the sum over n input samples is
            n * `out_hz` / `in_hz`, rounded.
        """
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples, last=last)
        if last:
            self._stream.clear()
        return out
