"""A microphone that is covered, torn off or cut short, from levels alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from asd_agent.suspicion import Suspicion

LEARNT = np.linspace(-40, -70, 24, dtype=np.float32) + np.array([[0], [6]], np.float32)
"""Two windows, the second louder in all groups"""


def window(shift_db: float = 0.0, top_db: float = 0.0) -> NDArray[np.float32]:
    found: NDArray[np.float32] = LEARNT[0] + np.float32(shift_db)
    found[-6:] += np.float32(top_db)
    return found


@pytest.mark.parametrize(
    ("shift_db", "top_db", "reason"),
    [
        (0, 0, ""),
        (40, 0, ""),
        (-15, 0, ""),
        (-25, 0, "quiet"),
        (-60, 0, "quiet"),
        (0, -25, ""),
        (0, -40, "narrow"),
        (5, -80, "narrow"),
        (-12, -40, ""),
    ],
)
def test_what_levels_tell(shift_db: float, top_db: float, reason: str) -> None:
    assert Suspicion(LEARNT).reason(window(shift_db, top_db)) == reason


def test_a_few_bands_that_fall_silent_are_news_of_the_machine() -> None:
    found = window()
    found[4:9] -= 50
    assert Suspicion(LEARNT).reason(found) == ""


def test_one_group_of_bands_is_enough() -> None:
    suspicion = Suspicion(LEARNT[:, :1])
    assert suspicion.reason(LEARNT[0, :1]) == ""
    assert suspicion.reason(LEARNT[0, :1] - 30) == "quiet"
