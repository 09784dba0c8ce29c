"""A module of the agent with a fault in it, run as the child process that it is.

``python -m faults.wrapped FAULT MODULE ARGUMENTS``, as `asd_agent.child` would run
``MODULE ARGUMENTS``.
"""

import errno
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.member import Member


def _raise(*_: object) -> NoReturn:
    raise FloatingPointError("a fault in a library")


def _kill(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _hang(*_: object) -> NoReturn:
    while True:
        time.sleep(1)


def _full(_disk: Disk, fd: int, _raw: bytes) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device", f"/proc/self/fd/{fd}")


def _alter(arguments: list[str]) -> None:
    """Change a byte of the bundle's golden numbers."""
    folder = next(Path(word) for word in arguments if Path(word).is_dir())
    path = folder / "golden.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def main() -> None:
    """Put the fault in its place and become the module."""
    fault, module, *arguments = sys.argv[1:]
    faults = {"exception": _raise, "SIGKILL": _kill, "hang": _hang}
    if fault in faults:
        Member.embed = faults[fault]  # type: ignore[assignment,method-assign]
    elif fault == "disk full":
        Disk.write = _full  # type: ignore[assignment,method-assign]
    else:
        _alter(arguments)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
