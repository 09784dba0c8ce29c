"""Spectrograms of two clips and of their difference, on one coarse grid."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from asd_train.report.figures.canvas import Canvas
from asd_train.report.figures.spectra import hertz

Array = NDArray[np.float32]

_ROWS, _COLUMNS = 72, 120
"""Of the grid: fine enough to see a fault, coarse enough for the noise of a frame
not to hide the difference"""
_LOWEST_HZ = 50.0


@dataclass(frozen=True, slots=True)
class Picture:
    """Levels on the grid, the lowest frequency first."""

    levels: Array
    """Decibel, shape ``(rows, columns)``"""
    hz: NDArray[np.float64]
    """Hertz, edges of the rows, equal steps of the logarithm, ``(rows + 1,)``"""
    seconds: float
    """Length"""


def gridded(levels: Array, edges_hz: Array, seconds: float) -> Picture:
    """Mean power of a spectrogram in the cells of the grid.

    Power and not decibel: a tone in one narrow band of a cell must not be lost.

    Parameters
    ----------
    levels : array, shape ``(bands, frames)``
        Decibel.
    edges_hz : array, shape ``(bands, 2)``
        Hertz.
    seconds : float
        Length of the frames together.
    """
    centre = edges_hz.mean(axis=1)
    lowest = max(_LOWEST_HZ, float(centre[0]))
    hz = np.geomspace(lowest, float(edges_hz[-1, 1]), _ROWS + 1)
    power = 10 ** (levels.astype(np.float64) / 10)
    rows = np.zeros((_ROWS, levels.shape[1]))
    for i, (low, high) in enumerate(pairwise(hz)):
        inside = (centre >= low) & (centre < high)
        if not inside.any():  # narrower than a band
            inside[np.argmin(np.abs(centre - (low + high) / 2))] = True
        rows[i] = power[inside].mean(axis=0)
    starts = np.linspace(0, rows.shape[1], min(_COLUMNS, rows.shape[1]) + 1).astype(int)
    sums = np.add.reduceat(rows, starts[:-1], axis=1)
    mean = 10 * np.log10(sums / np.diff(starts))
    return Picture(mean.astype(np.float32), hz, seconds)


def difference(one: Picture, other: Picture) -> Picture:
    """Level of one over that of the other, for as long as both last."""
    columns = min(one.levels.shape[1], other.levels.shape[1])
    delta = one.levels[:, :columns] - other.levels[:, :columns]
    return Picture(delta, one.hz, min(one.seconds, other.seconds))


def limits(*pictures: Picture) -> tuple[float, float]:
    """Decibel that the colours of pictures to be compared begin and end with."""
    pooled = np.concatenate([picture.levels.ravel() for picture in pictures])
    low, high = np.percentile(pooled, [2, 99.7])
    return float(low), float(max(high, low + 1))


def spectrogram(
    picture: Picture,
    limits_db: tuple[float, float],
    colours: str,
    name: str,
    title: str,
) -> str:
    """Draw one picture, the image itself as PNG.

    Parameters
    ----------
    picture : Picture
    limits_db : (float, float)
        Decibel of the first and the last colour.
    colours : str
        Name of a colour map of Matplotlib.
    name, title : str
        See `Canvas.svg`.
    """
    canvas = Canvas(300, 190, margins=(40, 36, 10, 8))
    (panel,) = canvas.panels
    panel.grid(visible=False)
    panel.imshow(
        picture.levels,
        aspect="auto",
        origin="lower",
        interpolation="none",
        cmap=colours,
        vmin=limits_db[0],
        vmax=limits_db[1],
        extent=(0, picture.seconds, 0, _ROWS),
    )
    ticks = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4]
    ticks = [hz for hz in ticks if picture.hz[0] <= hz <= picture.hz[-1]]
    panel.set_yticks(
        np.interp(np.log(ticks), np.log(picture.hz), np.arange(_ROWS + 1)),
        [hertz(hz) for hz in ticks],
    )
    panel.set(xlabel="seconds", ylabel="Hz")
    panel.locator_params(axis="x", nbins=6)
    mean = picture.levels.mean(axis=1)
    row = int(np.argmax(np.abs(mean)) if colours == DIFFERENCE else np.argmax(mean))
    text = (
        f"{picture.seconds:.1f} s; the mean level over time is "
        f"{'farthest from 0' if colours == DIFFERENCE else 'highest'} at "
        f"{picture.hz[row]:.0f} Hz, {mean[row]:+.1f} dB."
    )
    return canvas.svg(name, title, text)


LEVEL, DIFFERENCE = "viridis", "RdBu_r"
"""Colour maps that colour-blind readers can read"""
