"""Machines simulated from physical parts, for tests, demonstrations and training.

Only numpy is needed. Simulated sound shows that the software works; it says
nothing about how well real faults are found.
"""

from asd_train.data.simulator.kinds import KINDS
from asd_train.data.simulator.machine import Machine
from asd_train.data.simulator.motion import (
    FAULTS,
    SOURCE_POINTS,
    TARGET_POINTS,
    OperatingPoint,
)

__all__ = [
    "FAULTS",
    "KINDS",
    "SOURCE_POINTS",
    "TARGET_POINTS",
    "Machine",
    "OperatingPoint",
]
