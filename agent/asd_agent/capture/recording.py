"""Recordings as a source of sound: one file or many, as fast as told."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from asd_agent.capture.chunk import Chunk, Samples
from asd_agent.errors import SoundError

SUFFIXES = frozenset(
    {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg"}
    | {".opus", ".rf64", ".snd", ".w64", ".wav"}
)
"""What counts as a recording in a folder; a file that is named may have any"""

LOUDEST = 1e6
"""Times full scale. Integers stored as they are reach 32,768 (16 bit); of 1e19 the
power has no place in float32"""

RATES_HZ = (500, 2_000_000)
"""Lowest and highest rate of a recording; another one is a broken header, by which an
hour of sound would become a second, or a second hours and much memory"""

Pace = Literal["realtime", "fast"]


def recordings(paths: Iterable[str | Path]) -> list[Path]:
    """List the recordings that files, folders and patterns stand for.

    Parameters
    ----------
    paths : iterable of str or Path
        A file; a folder, searched with the folders in it; or a pattern such as
        ``/srv/pump/*.flac``, where ``**`` stands for any number of folders.

    Returns
    -------
    list of Path
        In order of path, each once.

    Raises
    ------
    SoundError
        One of `paths` stands for no recording.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        try:
            some, rule = _look_for(path)
        except (OSError, ValueError, RecursionError) as error:
            # Too long, not permitted, or no pattern that there can be, as a**b.
            raise SoundError(f"{path}: {error}; check the path") from error
        if not some:
            raise SoundError(f"{path}: no recording found: {rule}; check the path")
        found |= some
    return sorted(found)


def _look_for(path: Path) -> tuple[set[Path], str]:
    """The recordings that a path stands for, and the rule if there are none."""
    if path.is_dir():
        found = {p for p in path.rglob("*") if _is_recording(p)}
        return found, f"a folder needs files that end in {' '.join(sorted(SUFFIXES))}"
    if path.exists():
        # A pipe would be waited for for ever.
        return {path} if path.is_file() else set(), "a pipe or a device is none"
    below = str(path.relative_to(path.anchor))
    found = {p for p in Path(path.anchor).glob(below) if p.is_file()}
    return found, "neither a file, a folder nor a pattern that matches files"


def _is_recording(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


class Recording:
    """One channel of the recordings that a path or a pattern stands for.

    Several files play as one long tape, in order of path; each at its own rate.

    Parameters
    ----------
    path : str, Path or a sequence of them
        Files, folders or patterns, see `recordings`.
    channel : int
        The one channel that is played, from 0; channels are never mixed.
    pace : {"fast", "realtime"}
        As fast as it is read, or as fast as it was heard.
    loop : bool
        Whether the tape starts again at its end.
    clock, sleep : callable
        Monotonic seconds, and a wait of so many seconds.
    block_s : float
        Seconds in one chunk.

    Raises
    ------
    SoundError
        The path stands for no recording.

    Notes
    -----
    A file is refused where it cannot be decoded, ends before the length in its
    header, or holds a value that is not a number. A WAV file that was cut short
    has no such length: what is there is played.
    """

    flaw = ""

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        channel: int = 0,
        pace: Pace = "fast",
        loop: bool = False,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        block_s: float = 0.1,
    ) -> None:
        paths = [path] if isinstance(path, str | Path) else path
        self.name = ", ".join(map(str, paths))
        self.live = pace == "realtime"
        self._files = recordings(paths)
        self._channel = channel
        self._loop = loop
        self._clock = clock
        self._sleep = sleep
        self._block_s = block_s
        self._closed = False

    def chunks(self) -> Iterator[Chunk]:
        """Play the tape.

        Raises
        ------
        SoundError
            A file is not a usable recording, or has no such channel.
        """
        start_s = self._clock()
        played_s = 0.0
        for file in self._tape():
            for chunk in read(file, self._channel, self._block_s):
                if self._closed:
                    return
                played_s += len(chunk.samples) / chunk.rate_hz
                if self.live:
                    # Against the start, so that late wake-ups do not add up.
                    self._sleep(max(0.0, start_s + played_s - self._clock()))
                yield chunk

    def close(self) -> None:
        """End the tape at the next chunk."""
        self._closed = True

    def _tape(self) -> Iterator[Path]:
        yield from self._files
        while self._loop:
            yield from self._files


def read(path: Path, channel: int = 0, block_s: float = 0.1) -> Iterator[Chunk]:
    """Read one channel of one file in chunks of `block_s` seconds.

    Raises
    ------
    SoundError
        The file is not a usable recording, or has no such channel.
    """
    with _opened(path) as file:
        if file.frames == 0:
            raise SoundError(f"{path}: holds no samples; record it again")
        if not RATES_HZ[0] <= file.samplerate <= RATES_HZ[1]:
            raise SoundError(
                f"{path}: its header says {file.samplerate} samples a second, expected "
                f"{RATES_HZ[0]:,} to {RATES_HZ[1]:,}; copy or record it again"
            )
        if not 0 <= channel < file.channels:
            raise SoundError(
                f"{path}: channel {channel} is not there: the file has "
                f"{file.channels}, counted from 0; change channel"
            )
        size = max(1, round(block_s * file.samplerate))
        at = 0
        while at < file.frames:
            frames = _frames(file, size, path, at)
            samples = np.ascontiguousarray(frames[:, channel])
            _check_finite(samples, path, at)
            yield Chunk(samples, file.samplerate)
            at += len(samples)


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise SoundError(f"{path}: {_why_not(path, error)}") from error
    with file:
        yield file


def _why_not(path: Path, error: Exception) -> str:
    if not path.exists():
        return "there is no such file; check the path"
    try:
        with path.open("rb") as raw:
            if not raw.read(1):
                return "the file is empty; record or copy it again"
    except OSError as denied:
        return f"cannot be read: {denied.strerror}; check its permissions"
    return (
        f"not a recording that libsndfile reads ({error}); "
        "convert it to WAV or FLAC, or copy it again"
    )


def _frames(file: soundfile.SoundFile, size: int, path: Path, at: int) -> Samples:
    """Next frames, shape ``(n, channels)``, n >= 1."""
    try:
        frames: Samples = file.read(size, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise SoundError(
            f"{path}: broken after frame {at} of {file.frames} "
            f"({error}); copy or record it again"
        ) from error
    if not len(frames):
        raise SoundError(
            f"{path}: ends after frame {at}, its header says {file.frames}; "
            "copy or record it again"
        )
    return frames


def _check_finite(samples: Samples, path: Path, at: int) -> None:
    bad = np.flatnonzero(~(np.abs(samples) <= LOUDEST))  # so that NaN is bad, too
    if len(bad):
        raise SoundError(
            f"{path}: frame {at + int(bad[0])} is {samples[bad[0]]:g}, every sample "
            f"must be a finite number, at most {LOUDEST:g} times full scale; "
            "export it again as 16 or 24 bit"
        )
