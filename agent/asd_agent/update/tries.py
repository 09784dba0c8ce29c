"""How often the installation of one bundle was begun and never ended.

A bundle may end the agent itself while it is tested, be it through the memory of the
device. The count is on the medium before the test begins, and goes when the test ends,
however it ends: what is left was cut short by a crash or a power cut.
"""

import contextlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_agent.bundle.disk import Disk, read_plain, told
from asd_agent.errors import BundleError

MAX_TRIES = 3
"""Tests that may be cut short"""
MAX_TRIES_BYTES = 4096
"""A larger file is no count"""


class _Count(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tries: int = Field(ge=1, le=MAX_TRIES)


class Tries:
    """The count of one bundle at a time, in one small file."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()

    def begin(self, bundle: str) -> None:
        """Count one more try, before anything of the bundle is run.

        Raises
        ------
        BundleError
            ``crashed``: too many were cut short; or the count cannot be written.
        """
        count = self._read(bundle)
        if count >= MAX_TRIES:
            raise BundleError(
                f"the agent ended {count} times while it tested {bundle}. Test the "
                "bundle elsewhere with asd-agent bundle verify",
                "crashed",
            )
        raw = _Count(id=bundle, tries=count + 1).model_dump_json().encode()
        with told(self._path):
            self._disk.write_whole(self._path, raw)

    def end(self) -> None:
        """Forget the count: the agent is still here."""
        with contextlib.suppress(OSError):
            self._disk.remove(self._path)

    def _read(self, bundle: str) -> int:
        try:
            raw = read_plain(self._path, MAX_TRIES_BYTES)
            count = _Count.model_validate_json(raw)
        except (OSError, ValidationError):
            return 0
        return count.tries if count.id == bundle else 0
