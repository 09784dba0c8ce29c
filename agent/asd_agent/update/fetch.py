"""Where the files of a bundle come from."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import BinaryIO, Protocol

from asd_agent.bundle.bundle import refuse_extra
from asd_agent.bundle.disk import open_plain, told
from asd_agent.bundle.staged import Staged
from asd_agent.errors import BundleError

CHUNK_BYTES = 1_048_576
"""Read so much at a time"""

Told = Callable[[int, int], None]
"""Called with the bytes that are here and those of the whole bundle"""


class Fetcher(Protocol):
    """Brings files; knows nothing of what they are for."""

    def fetch(self, staged: Staged, stop: Event, progress: Told) -> None:
        """Bring every file that `staged` misses, from the byte where it broke off.

        Parameters
        ----------
        staged
            Takes the bytes, and checks size and hash of each file.
        stop
            When set, the fetcher gives up soon with `unavailable`.
        progress
            Told now and then how far it is.

        Raises
        ------
        BundleError
            `unavailable`: try again later; `too_large`, `changed`, `disk_full`.
        """
        ...


class FolderFetcher:
    """Copies the files of a folder, such as a stick or a shared directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, staged: Staged, stop: Event, progress: Told) -> None:
        """Copy every missing file; see `Fetcher`."""
        refuse_extra(self._path, staged.manifest)
        total = sum(entry.bytes for entry in staged.manifest.files.values())
        missing = staged.missing()
        here = total - sum(entry.bytes for entry in missing.values())
        for name, entry in missing.items():
            self._copy(name, staged, stop)
            here += entry.bytes
            progress(here, total)

    def _copy(self, name: str, staged: Staged, stop: Event) -> None:
        path = self._path / name
        with told(path, "cannot be read"), _open(path) as file:
            file.seek(staged.partial(name))
            while chunk := file.read(CHUNK_BYTES):
                if stop.is_set():
                    raise BundleError(f"{path}: copying was stopped", "unavailable")
                staged.append(name, chunk)
        staged.finish(name)


def _open(path: Path) -> BinaryIO:
    try:
        return open_plain(path)
    except FileNotFoundError as error:
        raise BundleError(
            f"{path}: is missing. Copy the whole bundle folder", "missing_file"
        ) from error
