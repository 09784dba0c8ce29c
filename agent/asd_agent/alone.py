"""One agent for one state folder: two would overwrite what the other has learnt."""

import fcntl
import os
from pathlib import Path

from asd_agent.errors import SiteError

FILE = "agent.lock"
"""Below the state folder; the kernel lets it go when the process ends"""


def hold(state_dir: Path) -> int | None:
    """Have the state folder to oneself; None: it cannot be written, so nobody can.

    Raises
    ------
    SiteError
        Another agent has it.
    """
    path = state_dir / FILE
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise SiteError(
            f"state_dir {state_dir}: another agent runs here. Stop it (systemctl stop "
            "asd-agent), or give this one a state_dir and a device name of its own"
        ) from error
    return fd
