"""One clip: what a source sounded like around an alarm.

`Line` keeps the newest sound of a source in fixed memory, and the rest of a clip that
is under way. It copies samples and does nothing else: it is called for every block by
the thread that listens.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import soundfile

from asd_agent.capture.chunk import Block, Samples
from asd_agent.flac import FULL_SCALE, HELD_BYTES, rounded

VERSION = 1
"""Of the fields beside the sound"""
SIDECAR_BYTES = 16_384
"""What stands beside the sound, at most"""


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound around one alarm, as it was heard."""

    name: str
    """Of its files, without what says their kind"""
    source: str
    rate_hz: int
    samples: Samples
    """Shape ``(n,)``"""
    before: int
    """Samples of them up to the alarm"""
    gap: bool
    """Whether samples were lost within it"""
    clipped: bool
    """Whether the source was at full scale too often within it"""
    alarm: Mapping[str, Any]
    """What was said of the alarm"""

    def encode(self) -> dict[str, bytes]:
        """Make its files, by what their names end with."""
        sound, exponent = _flac(self.samples, self.rate_hz)
        return {".json": self._sidecar(2.0**exponent), ".flac": sound}

    def _sidecar(self, full_scale: float) -> bytes:
        said = {
            "v": VERSION,
            "clip": self.name,
            "source": self.source,
            "rate_hz": self.rate_hz,
            "seconds": round(len(self.samples) / self.rate_hz, 6),
            "before_s": round(self.before / self.rate_hz, 6),
            "gap": self.gap,
            "clipped": self.clipped,
            "full_scale": full_scale,
            "alarm": {key: v for key, v in self.alarm.items() if key != "clip"},
        }
        return json.dumps(said, allow_nan=False, indent=1).encode() + b"\n"


def most_bytes(seconds: float, rate_hz: int) -> int:
    """Room that a clip takes, however badly its sound packs."""
    return HELD_BYTES + 4 * round(seconds * rate_hz) + SIDECAR_BYTES


def _flac(samples: Samples, rate_hz: int) -> tuple[bytes, int]:
    """Pack samples with 24 bits, in memory: what is written is known beforehand.

    Returns
    -------
    sound : bytes
    exponent : int
        The file holds the samples divided by two to this power.
    """
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    sound, exponent = rounded(finite)
    whole = (sound * (FULL_SCALE / 2.0**exponent)).astype(np.int32)
    # Not a file object: libsndfile would call back into Python, for which cffi needs
    # memory that can be written and executed.
    fd = os.memfd_create("clip")
    try:
        with soundfile.SoundFile(
            fd,
            "w",
            samplerate=rate_hz,
            channels=1,
            format="FLAC",
            subtype="PCM_24",
            closefd=False,
        ) as file:
            file.write(whole << 8)  # the upper 24 of 32 bits
        return os.pread(fd, os.fstat(fd).st_size, 0), exponent
    finally:
        os.close(fd)


class Recent:
    """The newest samples of one source; the memory never grows."""

    def __init__(self, capacity: int) -> None:
        self._samples = np.zeros(capacity, np.float32)
        self._written = 0
        self._gap_past = 0
        self._clipped_past = 0

    def push(self, samples: Samples, *, gap: bool, clipped: bool) -> None:
        """Take samples; they push out the oldest."""
        capacity = len(self._samples)
        self._written += len(samples)
        if gap:
            # Samples may be missing anywhere in the block.
            self._gap_past = self._written
        if clipped:
            self._clipped_past = self._written
        kept = samples[-capacity:] if capacity else samples[:0]
        at = (self._written - len(kept)) % max(1, capacity)
        first = min(len(kept), capacity - at)
        self._samples[at : at + first] = kept[:first]
        self._samples[: len(kept) - first] = kept[first:]

    def copy_to(self, room: Samples) -> tuple[int, bool, bool]:
        """Copy what there is to the beginning of an array, oldest first.

        Returns
        -------
        count : int
            Samples that were copied.
        gap, clipped : bool
            Whether there is one among them, and whether they are clipped.
        """
        count = min(self._written, len(self._samples))
        at = (self._written - count) % max(1, len(self._samples))
        first = min(count, len(self._samples) - at)
        room[:first] = self._samples[at : at + first]
        room[first:count] = self._samples[: count - first]
        oldest = self._written - count
        return count, self._gap_past > oldest, self._clipped_past > oldest


class _Tape:
    """A clip under way: it has sound from before the alarm and waits for the rest."""

    def __init__(self, name: str, recent: Recent, room: Samples, after: int) -> None:
        self.name = name
        self._room = room
        self.before, self.gap, self.clipped = recent.copy_to(room)
        self._filled = self.before
        self._past = self.before + after

    @property
    def whole(self) -> bool:
        return self._filled == self._past

    @property
    def samples(self) -> Samples:
        return self._room[: self._filled]

    def push(self, samples: Samples, *, gap: bool, clipped: bool) -> None:
        wanted = samples[: self._past - self._filled]
        self._room[self._filled : self._filled + len(wanted)] = wanted
        self._filled += len(wanted)
        self.gap = self.gap or gap
        self.clipped = self.clipped or clipped


class Line:
    """The sound of one source, now and a while ago.

    The source's own thread uses it; another may end a clip that gets no more sound.
    """

    def __init__(self, source: str, before_s: float, after_s: float) -> None:
        self.source = source
        self.rate_hz: int | None = None
        """Hertz of the newest sound; None before the first"""
        self.heard_s = 0.0
        """When sound came last while a clip was under way, seconds"""
        self._before_s = before_s
        self._after_s = after_s
        self._recent = Recent(0)
        self._next: int | None = None
        self._tape: _Tape | None = None
        self._alarm: Mapping[str, Any] = {}
        self._lock = Lock()

    @property
    def recording(self) -> bool:
        """Whether a clip is under way."""
        return self._tape is not None

    def hear(self, block: Block, rate_hz: int, now_s: float) -> Clip | None:
        """Take samples; give the clip that they complete."""
        with self._lock:
            ended = None
            if rate_hz != self.rate_hz:
                ended = self._end()
                self._recent = Recent(round(self._before_s * rate_hz))
                self.rate_hz, self._next = rate_hz, None
            gap = block.gap or self._next not in {None, block.start}
            self._next = block.start + len(block.samples)
            self._recent.push(block.samples, gap=gap, clipped=block.clipped)
            if self._tape is None:
                return ended
            self.heard_s = now_s
            self._tape.push(block.samples, gap=gap, clipped=block.clipped)
            return self._end() if self._tape.whole else None

    def begin(self, name: str, alarm: Mapping[str, Any], now_s: float) -> bool:
        """Begin a clip at the newest sample; False: one is under way."""
        with self._lock:
            if self._tape is not None or self.rate_hz is None:
                return False
            after = round(self._after_s * self.rate_hz)
            before = round(self._before_s * self.rate_hz)
            room = np.empty(before + after, np.float32)
            self._alarm, self.heard_s = dict(alarm), now_s
            self._tape = _Tape(name, self._recent, room, after)
            return True

    def end(self) -> Clip | None:
        """Give the clip under way as far as it is; None: there is none."""
        with self._lock:
            return self._end()

    def _end(self) -> Clip | None:
        tape, self._tape = self._tape, None
        if tape is None or self.rate_hz is None:
            return None
        return Clip(
            name=tape.name,
            source=self.source,
            rate_hz=self.rate_hz,
            samples=tape.samples,
            before=tape.before,
            gap=tape.gap,
            clipped=tape.clipped,
            alarm=self._alarm,
        )
