"""A database that cannot be read is set aside, with what belongs to it."""

from datetime import datetime
from pathlib import Path

KEPT = 2
"""Broken files that are kept, the newest"""
LOG = "-wal"
"""What SQLite appends to the name of a database for the log that belongs to it"""


def set_aside(path: Path, utc: datetime) -> Path:
    """Rename a database to ``<name>.broken-<utc>`` and delete the oldest of those.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    before = sorted(_broken(path), key=lambda found: (found.stat().st_mtime, found))
    for old in before[: max(0, len(before) - KEPT + 1)]:
        old.unlink()
        _log_of(old).unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}.broken-{utc:%Y%m%dT%H%M%SZ}")
    if path.exists():
        path.rename(aside)
    log = _log_of(path)
    if log.exists():
        log.rename(_log_of(aside))
    return aside


def _broken(path: Path) -> list[Path]:
    found = path.parent.glob(f"{path.name}.broken-*")
    return [file for file in found if not file.name.endswith(LOG)]


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + LOG)
