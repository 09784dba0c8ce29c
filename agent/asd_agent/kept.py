"""Sound that a source was learnt from, kept so that a later bundle can learn it too.

It lies beside the sites of the source, in a folder ``sound-<when>``: a FLAC file
(24 bit, one channel, the rate of the front end) for each segment that hangs together,
and ``sound.json``, which says what FLAC cannot: where a recording ended, where the
source was clipped, and where samples were louder than full scale.
"""

import fcntl
import logging
import os
import re
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from asd_agent.bundle.disk import Disk, read_plain
from asd_agent.bundle.lock import remove_unless_held
from asd_agent.bundle.site import read_info, sites_in
from asd_agent.capture.chunk import Block, Samples
from asd_agent.capture.recording import read
from asd_agent.capture.resample import NOTHING, Resampler
from asd_agent.errors import SiteError, SoundError

INDEX = "sound.json"
"""Written last: a folder without it is not whole"""
MAX_INDEX_BYTES = 262_144
"""A longer index is neither written nor read"""
MAX_EXPONENT = 20
"""Of the power of two that samples were divided by: enough for `LOUDEST`"""
PART = ".part"
"""Ends the name of a folder that is not whole yet"""
_NAME = re.compile(r"sound-[0-9A-Za-z-]{1,64}")

log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """What holds from one sample of a segment on, up to the next mark."""

    at: int
    """Sample of the segment, from 0"""
    exponent: Annotated[int, Field(ge=0, le=MAX_EXPONENT)]
    """The file holds the samples divided by two to this power"""
    clipped: bool
    """Whether the source was at full scale too often"""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Segment(_Model):
    """One file: sound without a gap and without silence."""

    samples: int = Field(ge=1)
    """Samples in it"""
    ended: bool
    """Whether it is the end of a recording, which may be shorter than a window"""
    marks: Annotated[tuple[Mark, ...], FailFast()] = Field(min_length=1)
    """In order; the first at 0"""

    @model_validator(mode="after")
    def _in_order(self) -> "Segment":
        places = [mark.at for mark in self.marks]
        rising = all(a < b for a, b in pairwise(places))
        if places[0] != 0 or not rising or places[-1] >= self.samples:
            raise ValueError("its marks are not in order")
        return self


class Index(_Model):
    """Contents of ``sound.json``."""

    v: Literal[1] = 1
    rate_hz: int = Field(ge=1_000, le=384_000)
    """Hertz of the files: the rate of the front end that learnt them"""
    # To gather all that is wrong would take 600 times the length of the file.
    segments: Annotated[tuple[Segment, ...], FailFast()] = Field(min_length=1)
    """In the order in which they were heard: ``0000.flac`` and so on"""

    @property
    def seconds(self) -> float:
        """Seconds of sound in all of them."""
        return sum(segment.samples for segment in self.segments) / self.rate_hz


@dataclass(frozen=True, slots=True)
class KeptSound:
    """A folder of kept sound, to read; one block of it at a time is in memory."""

    folder: Path
    index: Index

    @classmethod
    def open(cls, folder: Path) -> "KeptSound":
        """Read what the folder holds.

        Raises
        ------
        SoundError
            It is missing or damaged.
        """
        path = folder / INDEX
        try:
            raw = read_plain(path, MAX_INDEX_BYTES)
        except OSError as error:
            raise SoundError(f"{path}: cannot be read: {error.strerror}") from error
        try:
            if len(raw) > MAX_INDEX_BYTES:
                raise ValueError(f"more than {MAX_INDEX_BYTES} bytes")
            return cls(folder, Index.model_validate_json(raw))
        except (ValidationError, ValueError) as error:
            raise SoundError(f"{path}: is damaged ({_first_line(error)})") from error

    def blocks(self, number: int, rate_hz: int) -> Iterator[Block]:
        """Sound of one segment; the sample counter begins at 0.

        Parameters
        ----------
        number : int
            Segment, from 0.
        rate_hz : int
            Hertz of the blocks.

        Raises
        ------
        SoundError
            The file is missing, damaged or not as long as the index says.
        """
        resampler = Resampler(self.index.rate_hz, rate_hz)
        start, clipped = 0, False
        for samples, clipped in self._pieces(number):
            out = resampler.push(samples)
            if len(out):
                yield Block(out, start, gap=False, clipped=clipped)
                start += len(out)
        out = resampler.push(NOTHING, last=True)
        if len(out):
            yield Block(out, start, gap=False, clipped=clipped)

    def _pieces(self, number: int) -> Iterator[tuple[Samples, bool]]:
        """Samples as they were heard, cut at the marks; whether they are clipped."""
        segment = self.index.segments[number]
        path = self.folder / file_name(number)
        places = [mark.at for mark in segment.marks]
        past = 0
        for chunk in read(path):
            at, past = past, past + len(chunk.samples)
            if chunk.rate_hz != self.index.rate_hz or past > segment.samples:
                break
            rest = chunk.samples
            while len(rest):
                i = bisect_right(places, at)
                count = (
                    len(rest) if i == len(places) else min(len(rest), places[i] - at)
                )
                mark = segment.marks[i - 1]
                yield rest[:count] * 2.0**mark.exponent, mark.clipped
                rest = rest[count:]
                at += count
        if past != segment.samples:
            raise SoundError(f"{path}: is not the file that {INDEX} tells of")


def file_name(number: int) -> str:
    """Name of a segment's file."""
    return f"{number:04d}.flac"


def sound_folder(site_folder: Path, name: str) -> Path | None:
    """Where the kept sound of that name lies; None: it is no such name."""
    return site_folder / name if _NAME.fullmatch(name) else None


@contextmanager
def hold(folder: Path) -> Generator[None, None, None]:
    """Keep `tidy` of any process from removing a folder that is read.

    Raises
    ------
    SoundError
        The folder is not there.
    """
    try:
        fd = lock(folder, fcntl.LOCK_SH)
    except OSError as error:
        raise SoundError(f"{folder}: cannot be read: {error.strerror}") from error
    try:
        yield
    finally:
        os.close(fd)


def lock(folder: Path, how: int = fcntl.LOCK_EX) -> int:
    """Lock a folder, at once or not at all; closing the descriptor opens it.

    Raises
    ------
    OSError
        It is not there, or in use (`BlockingIOError`).
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def tidy(site_folder: Path, disk: Disk) -> None:
    """Remove sound that no site of the source names; what is in use stays.

    Nothing is removed while a site there cannot be read: it may name any of it.
    """
    try:
        named = {read_info(path).sound for path in sites_in(site_folder)}
        found = sorted(site_folder.iterdir()) if site_folder.is_dir() else []
    except (SiteError, OSError) as error:
        log.warning("old sound is not removed: %s", error)
        return
    for folder in found:
        if not _NAME.fullmatch(folder.name.removesuffix(PART)) or folder.name in named:
            continue
        try:
            remove_unless_held(folder, disk)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", folder, error.strerror)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
