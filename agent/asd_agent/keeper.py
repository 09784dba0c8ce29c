"""Writes down the very sound that is learnt, within a bound, as it is heard.

FLAC holds 24 bits, and sound that was resampled has more. So it is rounded before it
is learnt, not only before it is written: who learns it again gets the same bits.
"""

import logging
import os
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import soundfile

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.manifest import MemberSpec
from asd_agent.capture.chunk import Block
from asd_agent.capture.signal_health import Verdict
from asd_agent.flac import HELD_BYTES, FlacFile, rounded
from asd_agent.hearing import Heard
from asd_agent.kept import (
    INDEX,
    MAX_INDEX_BYTES,
    PART,
    Index,
    Segment,
    file_name,
    lock,
    tidy,
)

SEGMENT_BYTES, MARK_BYTES = 80, 32
"""Of a segment and of a mark in the index, at most"""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept."""

    name: str
    """Of the folder beside the site"""
    seconds: float
    """Seconds of sound in it"""


class Keeper:
    """Keeps the samples of the units that a `Learner` keeps, segment for segment.

    It never stops the learning: where the medium is full or broken, that is logged
    and nothing is kept. What it writes becomes whole with `finish` alone.

    Parameters
    ----------
    site_folder
        Where the sites of the source lie.
    spec
        Of any member: all have the same rate, units and windows.
    most_bytes
        Bytes that may be kept; 0: none.
    disk
        What writes.
    """

    def __init__(
        self,
        site_folder: Path,
        spec: MemberSpec,
        most_bytes: int,
        disk: Disk | None = None,
    ) -> None:
        features = spec.features
        self._sites = site_folder
        self._rate_hz = features.rate_hz
        self._unit = features.unit_samples
        self._window = self._unit + (spec.pooling.units - 1) * features.shift_samples
        self._most = most_bytes
        self._disk = disk or Disk()
        self._keeping = most_bytes > 0
        self._heard: deque[tuple[Block, int]] = deque()
        self._broken = True
        self._from = 0
        self._folder: Path | None = None
        self._lock: int | None = None
        self._file: FlacFile | None = None
        self._segments: list[Segment] = []
        self._stored = 0

    def hear(self, block: Block) -> Block:
        """Take what is going to be heard, before the units that it completes.

        Returns
        -------
        Block
            The same, rounded to 24 bits: this is what has to be heard and learnt.
        """
        if block.gap:
            self._heard.clear()
            return block
        samples, exponent = rounded(block.samples)
        block = replace(block, samples=samples)
        oldest = block.start - self._unit
        while self._heard and _past(self._heard[0][0]) <= oldest:
            self._heard.popleft()
        self._heard.append((block, exponent))
        return block

    def keep(self, heard: Heard) -> None:
        """Take one unit, as `Learner.add` does."""
        if heard.verdict is Verdict.NO_SIGNAL:
            self._broken = True
            return
        if not self._keeping:
            return
        with self._never_stopping():
            if heard.gap or self._broken:
                self._end(ended=False)
                self._from = heard.end_sample - self._unit
            self._broken = False
            if self._has_room(heard.end_sample - self._from):
                self._append(heard.end_sample)
            else:
                self._end(ended=False)
                self._keeping = False
                log.warning(
                    "%s: %d bytes of sound are kept, which is all that "
                    "learn.keep_bytes, or an index of %d bytes, allows; what follows "
                    "is learnt but not kept",
                    self._sites,
                    self._stored,
                    MAX_INDEX_BYTES,
                )

    def end_recording(self) -> None:
        """Say that a recording is over: what follows does not continue it."""
        with self._never_stopping():
            self._end(ended=True)
        self._heard.clear()
        self._broken = True

    def finish(self) -> Kept | None:
        """Make what was kept whole and lasting; None: nothing was.

        Until `close` no other process removes it.
        """
        with self._never_stopping():
            self._end(ended=False)
            if self._segments and self._folder:
                return self._finish(self._folder)
        self.drop()
        return None

    def drop(self) -> None:
        """Remove what was kept."""
        self._keeping = False
        file, self._file = self._file, None
        folder, self._folder = self._folder, None
        try:
            if file is not None:
                with suppress(soundfile.LibsndfileError, OSError):
                    file.close()
            if folder is not None:
                self._disk.remove_tree(folder)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", folder, error.strerror)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what `finish` made."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def _never_stopping(self) -> Generator[None, None, None]:
        try:
            yield
        except (soundfile.LibsndfileError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            log.warning(
                "%s: the sound cannot be kept (%s; is the disk full?); it is learnt "
                "all the same, but no later bundle can learn from it",
                self._sites,
                why,
            )
            self.drop()

    def _has_room(self, count: int) -> bool:
        """Whether so many samples would still fit."""
        marks = [len(segment.marks) for segment in self._segments]
        file = self._file
        now = file.most_bytes(count) if file else HELD_BYTES + 4 * count
        new = len(self._heard) + (len(file.marks) if file else 0)
        index = SEGMENT_BYTES * (len(marks) + 2) + MARK_BYTES * (sum(marks) + new)
        return index <= MAX_INDEX_BYTES and self._stored + now + index <= self._most

    def _append(self, past: int) -> None:
        """Write what was heard up to a sample."""
        if self._file is None:
            path = self._made() / file_name(len(self._segments))
            self._file = FlacFile(path, self._rate_hz)
        for block, exponent in self._heard:
            first, end = max(self._from, block.start), min(past, _past(block))
            if first < end:
                samples = block.samples[first - block.start : end - block.start]
                self._file.write(samples, exponent, block.clipped)
        self._from = past

    def _made(self) -> Path:
        """The folder, made when it is needed first."""
        if self._folder is None:
            self._disk.make_folders(self._sites)
            tidy(self._sites, self._disk)
            self._folder = self._new_folder()
            self._lock = lock(self._folder)
            # People may have talked beside the machine.
            self._folder.chmod(0o700)
        return self._folder

    def _new_folder(self) -> Path:
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while True:
            name = f"sound-{stamp}-{number}"
            if not (self._sites / name).exists():
                folder = self._sites / (name + PART)
                with suppress(FileExistsError):
                    self._disk.make_folder(folder)
                    return folder
            number += 1

    def _end(self, *, ended: bool) -> None:
        """Finish the file; a fragment that the learner forgets is removed."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if file.samples < self._window and not ended:
            file.close()
            self._disk.remove(file.path)
            return
        self._segments.append(file.finish(ended=ended))
        self._stored += file.path.stat().st_size

    def _finish(self, part: Path) -> Kept:
        index = Index(rate_hz=self._rate_hz, segments=tuple(self._segments))
        for number in range(len(self._segments)):
            self._disk.sync_path(part / file_name(number))
        raw = index.model_dump_json().encode()
        self._disk.write_new(part / INDEX, raw, sync=True)
        self._disk.sync_path(part)
        whole = part.with_name(part.name.removesuffix(PART))
        self._disk.rename(part, whole)
        self._folder = whole
        self._disk.sync_path(whole.parent)
        return Kept(whole.name, index.seconds)


def _past(block: Block) -> int:
    return block.start + len(block.samples)
