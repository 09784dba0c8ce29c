"""The file that holds the state of the store, and what is done when it is broken."""

from datetime import datetime, timezone
from pathlib import Path

from asd_agent.bundle.disk import Disk, NotPlain, read_plain
from asd_agent.bundle.state import FRESH, MAX_STATE_BYTES, StoreState, decode, encode
from asd_agent.bundle.trust import STATE_FILE
from asd_agent.errors import BundleError

KEPT_BROKEN = 3
"""State files that were set aside and are kept"""


class Broken(Exception):
    """The state file is there and is no state; the text says why."""


class StateFile:
    """``state.json`` in the folder of the store."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.path = folder / STATE_FILE
        self._disk = disk

    def load(self) -> StoreState:
        """Read the state; without a file nothing was ever installed.

        Raises
        ------
        Broken
            It is no state.
        BundleError
            This user may not read it.
        """
        try:
            return decode(read_plain(self.path, MAX_STATE_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return FRESH
        except PermissionError as error:
            raise BundleError(
                f"{self.path}: cannot be read: {error.strerror}. Give this user the "
                "folder, or set state_dir to one that it may read"
            ) from error
        except (OSError, BundleError) as error:
            raise Broken(str(error)) from error

    def write(self, state: StoreState) -> None:
        """Replace the state; the medium holds the old one or the new one."""
        self._disk.write_whole(self.path, encode(state))

    def set_aside(self) -> Path:
        """Keep a broken file under another name, until a new one is written."""
        now = datetime.now(timezone.utc)
        aside = self.path.with_name(f"{STATE_FILE}.broken-{now:%Y%m%dT%H%M%SZ}")
        self._disk.remove_tree(aside)
        try:
            # A copy: without any state file a crash right now would lose it.
            self._disk.write_whole(aside, read_plain(self.path, MAX_STATE_BYTES))
        except NotPlain:
            self._disk.rename(self.path, aside)
        return aside

    def forget_broken(self) -> None:
        """Remove all but the last files that were set aside."""
        broken = sorted(self.path.parent.glob(f"{STATE_FILE}.broken-*"))
        for path in broken[:-KEPT_BROKEN]:
            self._disk.remove_tree(path)
