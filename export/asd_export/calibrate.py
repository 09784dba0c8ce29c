"""Find the ranges of int8 from calibration sound, by several methods."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from asd_export.histogram import Histogram, Range
from asd_export.order import Choice

Method = Literal["minmax", "percentile", "entropy"]
Tap = Callable[[NDArray[np.float32]], Iterable[tuple[str, NDArray[np.float32]]]]
"""Runs one unit through a float network; names and values of its inner tensors"""
Ranges = Mapping[str, Range]
"""Range of each tensor by its name"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to set ranges."""

    name: str
    """As the manifest and the table have it, such as ``percentile 99.99``"""
    method: Method
    percent: float = 100.0
    """Middle part of the values that is kept, percent"""

    def range(self, histogram: Histogram) -> Range:
        """Range of one tensor."""
        if self.method == "entropy":
            return histogram.entropy()
        if self.method == "percentile":
            return histogram.percentile(self.percent)
        return histogram.extremes()


MINMAX = Way("minmax", "minmax")
WAYS = (
    MINMAX,
    Way("percentile 99.99", "percentile", 99.99),
    Way("percentile 99.9", "percentile", 99.9),
    Way("entropy", "entropy"),
)
"""Every way, in the order in which they are tried"""


def ways(choice: Choice) -> tuple[Way, ...]:
    """Ways that a choice on the command line stands for."""
    return tuple(way for way in WAYS if choice in ("best", way.method))


def spread(
    tap: Tap, units: NDArray[np.float32], what: str = "calibrating"
) -> dict[str, Histogram]:
    """Run all units and count the values of every tensor.

    Parameters
    ----------
    tap
        The float network in the runtime that the ranges are for.
    units : array, shape ``(n, bands, unit_frames)``
        Normalised features.
    what
        Title of the progress bar.
    """
    found: dict[str, Histogram] = {}
    for unit in tqdm(units, what, unit="unit", leave=False, disable=None):
        for name, values in tap(unit):
            found.setdefault(name, Histogram()).add(values)
    return found


def ranges(histograms: Mapping[str, Histogram], way: Way) -> dict[str, Range]:
    """Range of every tensor."""
    return {name: way.range(histogram) for name, histogram in histograms.items()}
