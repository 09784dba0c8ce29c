"""What a training run finds on this computer: device, memory, revision."""

import ctypes
import subprocess
import sys
from pathlib import Path

import torch

from asd_agent.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device.

    Raises
    ------
    ConfigError
        A GPU is asked for and torch sees none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigError("torch sees no GPU: take --device cpu, or install its driver")
    if not found or name == "cpu":
        return torch.device("cpu")
    # Every batch has the same shape: the search for the fastest kernels pays.
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda", torch.cuda.current_device())


def keep_freed_memory() -> None:
    """Stop the C library from giving memory back after every layer.

    Asking the system for the same megabytes again doubles the time of a step on
    a CPU. Elsewhere than on Linux with glibc nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def revision() -> str:
    """Git revision of this software, ``unknown`` outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607  # wherever git is
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
