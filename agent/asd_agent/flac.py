"""Sound of 24 bits: rounded to what a FLAC file can hold, and written to one."""

import errno
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.capture.chunk import Samples
from asd_agent.kept import Mark, Segment

FULL_SCALE = 8_388_608.0
"""Of 24 bits"""
HELD_BYTES = 16_384
"""FLAC's header, and a block that the encoder still holds, at most"""


def rounded(samples: Samples) -> tuple[Samples, int]:
    """Round samples to 24 bits.

    Parameters
    ----------
    samples : array, shape ``(n,)``, n >= 1

    Returns
    -------
    samples : array, shape ``(n,)``
    exponent : int
        Of the power of two that brings them to full scale: 0, but for samples that
        are louder.
    """
    peak = float(np.abs(samples).max())
    exponent = int(np.frexp(peak)[1]) if peak > 1 else 0
    step = np.float32(2.0**exponent / FULL_SCALE)
    whole = np.rint(samples / step)
    return np.clip(whole, -FULL_SCALE, FULL_SCALE - 1) * step, exponent


class FlacFile:
    """One segment of sound, written as it is heard.

    Raises
    ------
    OSError, soundfile.LibsndfileError
        From every method: the medium is full or broken.
    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        self.path = path
        self.samples = 0
        """Samples written so far"""
        self.marks: list[Mark] = []
        """What holds from where on"""
        self._file = soundfile.SoundFile(
            path,
            "w",
            samplerate=rate_hz,
            channels=1,
            format="FLAC",
            subtype="PCM_24",
        )

    def most_bytes(self, samples: int) -> int:
        """Size of the file with so many samples more, however badly they pack."""
        return self.path.stat().st_size + HELD_BYTES + 4 * samples

    def write(self, samples: Samples, exponent: int, clipped: bool) -> None:
        """Append samples that were `rounded`."""
        if not self.marks or self.marks[-1][1:] != (exponent, clipped):
            self.marks.append(Mark(self.samples, exponent, clipped))
        whole = (samples * (FULL_SCALE / 2.0**exponent)).astype(np.int32)
        self._file.write(whole << 8)  # the upper 24 of 32 bits
        self.samples += len(samples)

    def close(self) -> None:
        """End the file, whole or not."""
        self._file.close()

    def finish(self, *, ended: bool) -> Segment:
        """End the file and see that all of it is there."""
        self.close()
        if soundfile.info(self.path).frames != self.samples:
            raise OSError(errno.EIO, f"{self.path.name} was not written whole")
        return Segment(samples=self.samples, ended=ended, marks=tuple(self.marks))
