"""How recordings are read, and which can be used, told from their headers."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import soundfile

from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec
from asd_train.data.dcase import read_folder
from asd_train.data.names import Clip

_log = logging.getLogger(__name__)
_UNKNOWN_BYTES = 0x7FFF0000
"""Sizes from here on are written by programs that cannot go back to the header"""


@dataclass(frozen=True, slots=True)
class Problem:
    """A recording that cannot be used."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a folder of recordings is read."""

    layout: str = "auto"
    """As in `asd_train.data.dcase.read_clips`"""
    channel: int = 0
    """Channel to read of recordings that have several, from 0"""
    strict: bool = False
    """Whether a recording that cannot be used ends the command"""

    def clips(
        self, root: Path, split: str, machines: Iterable[str] = ()
    ) -> tuple[Clip, ...]:
        """Find the clips of one split, as `asd_train.data.dcase.read_folder`."""
        return read_folder(
            root, split, machines, layout=self.layout, channel=self.channel
        )

    def usable(
        self, clips: Iterable[Clip], spec: FeatureSpec, *, quiet: bool = False
    ) -> tuple[Clip, ...]:
        """Those that have at least one unit of `spec`, as the function `usable`."""
        return usable(
            clips, spec.unit_samples, spec.rate_hz, strict=self.strict, quiet=quiet
        )[0]


AS_FOUND = Reading()
"""What no flag changes"""


def usable(
    clips: Iterable[Clip],
    min_samples: int,
    rate_hz: int,
    *,
    keep_rate: bool = False,
    strict: bool = False,
    quiet: bool = False,
) -> tuple[tuple[Clip, ...], tuple[Problem, ...]]:
    """Tell clips that can be read from those that cannot, without decoding them.

    Each that cannot is named in a warning of one line, their number at the end. Of a
    file the header and the last sample are looked at: damage within is not found.

    Parameters
    ----------
    clips : iterable of Clip
        In any order, which is kept.
    min_samples : int
        Shortest clip, in samples at `rate_hz`, such as ``spec.unit_samples``.
    rate_hz : int
        Rate that the clips will be resampled to.
    keep_rate : bool
        Resampling is not wanted: another rate is a problem.
    strict : bool
        Raise if there is any problem.
    quiet : bool
        Warn of nothing: another process does.

    Returns
    -------
    clips : tuple of Clip
    problems : tuple of Problem

    Raises
    ------
    SoundError
        There is a problem, and `strict` is set.
    """
    good, problems = [], []
    level = logging.DEBUG if quiet else logging.WARNING
    for clip in clips:
        reason = _reason(clip, min_samples, rate_hz, keep_rate)
        if reason:
            problems.append(Problem(clip.path, reason))
            _log.log(level, "%s", problems[-1])
        else:
            good.append(clip)
    if problems:
        count = f"{len(problems)} of {len(problems) + len(good)} recordings"
        if strict:
            raise SoundError(f"{count} cannot be used. The first is {problems[0]}")
        _log.log(level, "%s are left out", count)
    return tuple(good), tuple(problems)


def _reason(clip: Clip, min_samples: int, rate_hz: int, keep_rate: bool) -> str:
    """Why a clip cannot be used; empty: it can."""
    try:
        frames, rate, channels = _header(clip.path)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    except SoundError as error:
        return str(error)
    if clip.channel >= channels:
        has = "channel 0 alone" if channels == 1 else f"channels 0 to {channels - 1}"
        return f"has {has}, and channel {clip.channel} was asked for"
    if keep_rate and rate != rate_hz:
        return f"has {rate} Hz, and exactly {rate_hz} Hz was asked for"
    if frames * rate_hz < min_samples * rate:
        return f"lasts {frames / rate:.2f} s, needed are {min_samples / rate_hz:.2f} s"
    return ""


def _header(path: Path) -> tuple[int, int, int]:
    """Samples, rate in hertz and channels of a recording that is whole."""
    if path.stat().st_size == 0:
        raise SoundError("the file is empty")
    cut = _cut_off(path)
    try:
        with soundfile.SoundFile(path) as file:
            cut = cut or _ends_early(file)
            found = file.frames, file.samplerate, file.channels
    except soundfile.LibsndfileError as error:
        text = error.error_string.rstrip(".")
        raise SoundError(f"not a readable recording ({text})") from error
    if cut:
        raise SoundError("cut off: its header tells of more than there is")
    return found


def _ends_early(file: soundfile.SoundFile) -> bool:
    """Whether the last sample that the header promises cannot be read."""
    if not file.frames:
        return False
    try:
        file.seek(file.frames - 1)
        return len(file.read(1)) == 0
    except soundfile.LibsndfileError:
        return True


def _cut_off(path: Path) -> bool:
    """Whether a WAV file is shorter than its own header says."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != b"RIFF" or len(head) < 8:
        return False
    size = int.from_bytes(head[4:], "little")
    return size < _UNKNOWN_BYTES and size + 8 > path.stat().st_size + 1
