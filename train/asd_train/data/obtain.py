"""Brings the data sets of the catalogue to a folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import requests

from asd_agent.errors import SoundError
from asd_train.data.catalogue import FOLDERS, Entry
from asd_train.data.download import Progress, fetch, is_whole
from asd_train.data.unpack import unpack
from asd_train.data.zenodo import BASE_URL, RemoteFile, read_record, select


@dataclass(frozen=True, slots=True)
class Item:
    """One file to load, and where it goes."""

    entry: Entry
    licence: str
    """What the record states, or else the catalogue"""
    file: RemoteFile
    archive: Path
    """The file as it is loaded"""
    folder: Path
    """What it is unpacked to"""

    @property
    def mark(self) -> Path:
        """Says, with the checksum, that the file was loaded and unpacked."""
        return self.archive.with_name(self.archive.name + ".done")

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        if not (self.mark.is_file() and (self.folder / self.file.machine).is_dir()):
            return False
        return self.mark.read_text("utf-8", "replace").strip() == self.file.checksum


def plan(
    session: requests.Session,
    entries: Iterable[Entry],
    machines: Iterable[str],
    out: Path,
    base_url: str = BASE_URL,
) -> tuple[Item, ...]:
    """Ask the records for their files.

    `machines` are patterns such as ``Toy*``; the truth is not of one machine and is
    taken whole.

    Raises
    ------
    SoundError
        A record cannot be read, or none of its files fits.
    """
    patterns = tuple(machines)
    items = []
    for entry in entries:
        record = read_record(session, entry.record, base_url)
        stated = record.metadata.license
        chosen = select(record.files, () if entry.part == "truth" else patterns)
        if not chosen:
            there = sorted({file.machine or file.key for file in record.files})
            raise SoundError(
                f"{entry.page}: nothing fits {', '.join(patterns) or 'any name'}. It "
                f"has {', '.join(there) or 'no files'}"
            )
        items += [
            Item(
                entry,
                licence=stated.id if stated else entry.licence,
                file=file,
                archive=out / "downloads" / entry.part / file.key,
                folder=out / FOLDERS[entry.part],
            )
            for file in chosen
        ]
    return tuple(items)


def obtain(
    session: requests.Session,
    item: Item,
    progress: Progress,
    *,
    keep: bool = False,
) -> None:
    """Load one file, unpack it, and remove the archive unless `keep` is set.

    Raises
    ------
    SoundError
        It cannot be loaded or unpacked; what is loaded stays for the next call.
    """
    if not is_whole(item.archive, item.file):
        fetch(session, item.file, item.archive, progress)
    try:
        if item.archive.suffix == ".zip":
            unpack(item.archive, item.folder, item.file.machine)
        else:
            item.folder.mkdir(parents=True, exist_ok=True)
            (item.folder / item.file.key).write_bytes(item.archive.read_bytes())
        item.mark.write_text(item.file.checksum + "\n", encoding="utf-8")
        if not keep:
            item.archive.unlink()
    except OSError as error:
        raise SoundError(f"{item.archive}: {error.strerror}") from error
