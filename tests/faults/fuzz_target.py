"""Something that the device reads, and how to tamper with it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import AsdError
from faults.mutation import Mutate, mutated

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""A folder in memory, if there is one: a medium would be waited for"""


@dataclass(frozen=True, slots=True)
class Target:
    """One reader with what it takes."""

    name: str
    seeds: tuple[bytes, ...]
    """What is good"""
    read: Callable[[bytes], object]
    mutate: Mutate = mutated
    refusals: tuple[type[Exception], ...] = (AsdError,)
    """What the reader may raise; it must mend all else itself"""
    most_s: float = 20.0
    """Seconds that a case may take"""


Make = Callable[[Path], Target]
"""Makes a target that works in a folder"""
