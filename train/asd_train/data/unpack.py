"""Unpacks archives that come from elsewhere, and only below one folder."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from asd_agent.errors import SoundError

MAX_FILES = 1_000_000
MAX_RATIO = 100
"""Unpacked bytes to packed ones; sound reaches 4, silence more"""
_NOTES = ("__MACOSX", ".DS_Store")


def unpack(archive: Path, folder: Path, machine: str = "") -> int:
    """Unpack a zip file; returns the number of files.

    Parameters
    ----------
    archive : Path
    folder : Path
        All files land below it.
    machine : str
        Machine type of the archive: everything lands in ``folder/<machine>``. Folders
        down to one of that name are dropped, if the archive has it.

    Raises
    ------
    SoundError
        The archive is broken, too large, or names a place outside `folder`. What is
        written by then is whole files.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [m for m in packed.infolist() if not m.is_dir()]
            _check_size(archive, members, folder)
            targets = list(_targets(archive, members, machine))
            for member, relative in targets:
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(target.name + ".part")
                with packed.open(member) as data, part.open("wb") as out:
                    shutil.copyfileobj(data, out, 1 << 20)
                part.replace(target)
            return len(targets)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SoundError(f"{archive}: not a readable zip file: {error}") from error
    except RuntimeError as error:  # raised by zipfile for an encrypted member
        raise SoundError(f"{archive}: cannot be unpacked: {error}") from error
    except OSError as error:
        raise SoundError(f"{archive}: cannot be unpacked: {error}") from error


def _check_size(archive: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    """Refuse what would fill the disk, before anything is written."""
    size = sum(member.file_size for member in members)
    packed = archive.stat().st_size
    if len(members) > MAX_FILES or size > MAX_RATIO * packed:
        raise SoundError(
            f"{archive}: {len(members)} files of {size} bytes from {packed} bytes: "
            f"more than {MAX_FILES} files or {MAX_RATIO} times its size is refused"
        )
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if size > free:
        raise SoundError(f"{archive}: needs {size} bytes in {folder}, free are {free}")


def _targets(
    archive: Path, members: list[zipfile.ZipInfo], machine: str
) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Where each member goes, below the folder."""
    for member in members:
        path = PurePosixPath(member.filename)
        mode = stat.S_IFMT(member.external_attr >> 16)
        unsafe = path.is_absolute() or ".." in path.parts or "\\" in member.filename
        if (
            unsafe
            or ":" in member.filename
            or not member.filename.isprintable()
            or mode not in (0, stat.S_IFREG)
        ):
            raise SoundError(
                f"{archive}: refused, for it holds {member.filename!r}, which is no "
                "plain file below the folder"
            )
        if any(part in _NOTES for part in path.parts):
            continue
        if machine:
            folders = path.parts[:-1]
            start = folders.index(machine) + 1 if machine in folders else 0
            path = PurePosixPath(machine, *path.parts[start:])
        yield member, path
