"""Clips on disk: within their room, whole or not at all, for their owner's eyes alone.

Rules: room is made before a clip is written, from the oldest on. Only files whose
names this module gives are counted or removed; one that cannot be removed is passed
over. A part of the disk stays free for what matters more than clips.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.bundle.disk import Disk
from asd_agent.mqtt.quiet import Quiet

NAME = re.compile(r"[0-9a-f]{8}-[a-z0-9][a-z0-9_-]{0,62}-[0-9]{1,20}")
"""What a clip may be called: the identifier of an alarm"""
_FILE = re.compile(rf"({NAME.pattern})(\.flac|\.json)(\.partial)?")
SPARE_BYTES = 67_108_864
"""Of the disk, which clips leave free"""


@dataclass(slots=True)
class _Stored:
    """The files of one clip."""

    bytes: int = 0
    changed_ns: int = 0
    files: list[Path] = field(default_factory=list)


class ClipStore:
    """A folder of clips. One thread uses it.

    Parameters
    ----------
    folder
        Made when the first clip is written.
    most_bytes
        Room for all clips.
    disk
        What writes.
    spare_bytes
        Of the disk, which clips leave free.
    """

    def __init__(
        self,
        folder: Path,
        most_bytes: int,
        disk: Disk,
        quiet: Quiet,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        self._folder = folder
        self._most = most_bytes
        self._disk = disk
        self._quiet = quiet
        self._spare = spare_bytes
        self.bytes = 0
        """What clips took when they were looked at last"""
        self.skipped = 0
        """Times that a file could not be removed"""

    def tidy(self) -> None:
        """Remove what a write that was cut short has left.

        Raises
        ------
        OSError
            The folder cannot be read.
        """
        for stored in self._stored().values():
            whole = any(path.suffix == ".flac" for path in stored.files)
            for path in stored.files:
                if path.suffix == ".partial" or not whole:
                    self._remove(path)
        self._stored()

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        """Keep the files of one clip, given by what their names end with.

        Raises
        ------
        OSError
            They cannot be written, or there is no room for them; none is left.
        """
        if not self._folder.is_dir():
            self._disk.make_folders(self._folder)
            # People may have talked beside the machine.
            self._folder.chmod(0o700)
        newest_ns = self._make_room(sum(len(raw) for raw in files.values()))
        paths = {self._folder / (name + ending): raw for ending, raw in files.items()}
        try:
            for path, raw in paths.items():
                self._write(path, raw)
        except OSError:
            for path in paths:
                with contextlib.suppress(OSError):
                    self._disk.remove(path)
            raise
        finally:
            self._stored()
        self._order(paths, newest_ns)

    def _write(self, path: Path, raw: bytes) -> None:
        partial = path.with_name(path.name + ".partial")
        try:
            fd = self._disk.open(partial, os.O_CREAT | os.O_TRUNC)
            try:
                os.fchmod(fd, 0o600)
                self._disk.write(fd, raw)
                self._disk.sync(fd)
            finally:
                os.close(fd)
            self._disk.rename(partial, path)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.remove(partial)
            raise
        self._disk.sync_path(self._folder)

    def _order(self, paths: Mapping[Path, bytes], newest_ns: int) -> None:
        """Let a clip count as newest, also where the clock went back."""
        for path in paths:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime_ns <= newest_ns:
                    os.utime(path, ns=(newest_ns + 1, newest_ns + 1))

    def _make_room(self, wanted: int) -> int:
        """Remove the oldest until so many bytes fit; say when the newest was made."""
        clips = self._stored()
        free = self._disk.free_bytes(self._folder) + self.bytes - self._spare
        if wanted > min(self._most, free):
            self._refuse(wanted)
        oldest_first = sorted(clips.items(), key=lambda c: (c[1].changed_ns, c[0]))
        left = self.bytes
        for _, stored in oldest_first:
            if self._fits(left, wanted):
                break
            removed = [self._remove(path) for path in stored.files]
            left -= stored.bytes * all(removed)
        if not self._fits(left, wanted):
            self._refuse(wanted)
        return max((stored.changed_ns for stored in clips.values()), default=0)

    def _fits(self, taken: int, wanted: int) -> bool:
        if taken + wanted > self._most:
            return False
        return self._disk.free_bytes(self._folder) >= wanted + self._spare

    def _refuse(self, wanted: int) -> None:
        text = f"no room for {wanted} bytes beside the {self._spare} that stay free"
        raise OSError(errno.ENOSPC, text)

    def _remove(self, path: Path) -> bool:
        try:
            self._disk.remove(path)
        except FileNotFoundError:
            return True
        except OSError as error:
            self.skipped += 1
            text = "%s: cannot be removed (%s); the next oldest goes. Remove it"
            self._quiet.say("remove", text, path, error.strerror)
            return False
        return True

    def _stored(self) -> dict[str, _Stored]:
        """What is there, by name; counts its bytes."""
        found: dict[str, _Stored] = {}
        for name, path in self._files():
            try:
                status = path.lstat()
            except OSError:
                continue  # removed by somebody meanwhile
            if not stat.S_ISREG(status.st_mode):
                self.skipped += 1
                text = "%s: is no plain file; it is left alone. Remove it"
                self._quiet.say("odd", text, path)
                continue
            stored = found.setdefault(name, _Stored())
            stored.bytes += status.st_size
            stored.changed_ns = max(stored.changed_ns, status.st_mtime_ns)
            stored.files.append(path)
        self.bytes = sum(stored.bytes for stored in found.values())
        return found

    def _files(self) -> Iterator[tuple[str, Path]]:
        try:
            paths = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        for path in paths:
            match = _FILE.fullmatch(path.name)
            if match:
                yield match[1], path
