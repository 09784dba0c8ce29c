"""Whether the agent of a configuration runs on this machine."""

import errno
import fcntl
import os
from enum import Enum
from pathlib import Path

from asd_agent.alone import FILE


class Running(Enum):
    """What is known of the agent."""

    NO = "does not run"
    YES = "runs"
    UNKNOWN = "may run"
    """This user may not look"""


def agent_of(state_dir: Path) -> Running:
    """Look whether somebody holds the lock of a state folder."""
    try:
        descriptor = os.open(state_dir / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Running.NO
    except OSError:
        return Running.UNKNOWN
    try:
        # For microseconds only: an agent that starts just then would be refused.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        held = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        return Running.YES if held else Running.UNKNOWN
    finally:
        os.close(descriptor)
    return Running.NO
