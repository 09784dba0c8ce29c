"""Whether what is heard can come from the microphone that was learnt with.

A microphone that is covered, torn off or turned down gives sound that no detector
knows: a novelty, but none of the machine. What tells it is level alone, against the
quietest that was learnt, in groups of bands. A machine that stands still in a quiet
hall looks the same: nothing is known of it either, so it is not called normal.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

QUIET_DB = 20.0
"""So far below the quietest that was learnt, most bands are deaf"""
NARROW_DB = 30.0
"""So far below, the highest bands alone are cut off"""
TOP_SHARE = 0.25
"""Share of the groups that are the highest"""


class Suspicion:
    """Compares windows with what was learnt.

    Parameters
    ----------
    bands : array, shape ``(windows, groups)``
        Decibel in each group of bands, of each normal window.
    """

    def __init__(self, bands: Array) -> None:
        self._floor = bands.min(axis=0)
        self._top = max(1, round(TOP_SHARE * len(self._floor)))

    def reason(self, window: Array) -> str:
        """Say in a word what is wrong with the microphone; empty: nothing.

        Parameters
        ----------
        window : array, shape ``(groups,)``
            Decibel in each group, mean over the window.

        Returns
        -------
        str
            ``quiet``: much below all that was learnt, in most bands. ``narrow``: in
            the highest alone, as behind a telephone's codec.
        """
        below = self._floor - window
        if float(np.median(below)) > QUIET_DB:
            return "quiet"
        rest = below[: -self._top]
        if not len(rest):
            return ""
        cut = float(below[-self._top :].min()) > NARROW_DB
        return "narrow" if cut and float(np.median(rest)) < QUIET_DB / 2 else ""
