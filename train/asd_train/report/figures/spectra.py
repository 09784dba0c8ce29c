"""Levels of one clip in groups of bands, beside those of the nearest normal one."""

import numpy as np
from numpy.typing import NDArray

from asd_train.report.figures.canvas import ANOMALY, NORMAL, ROLE, Canvas

Array = NDArray[np.float32]


def spectra(
    levels: Array, normal: Array | None, edges_hz: Array, name: str, title: str
) -> str:
    """Draw levels, and below them how much higher they are.

    Parameters
    ----------
    levels, normal : array, shape ``(groups,)``
        Decibel; `normal` is None where there is no nearest clip.
    edges_hz : array, shape ``(groups, 2)``
        Hertz, rising.
    """
    canvas = Canvas(420, 230 if normal is not None else 150, 1 if normal is None else 2)
    # The axis is logarithmic; a lowest edge of 0 Hz has no place on it.
    edges = np.append(edges_hz[:, 0], edges_hz[-1, 1]).astype(np.float64)
    edges[0] = max(edges[0], edges[1] / 2)
    top = canvas.panels[0]
    if normal is not None:
        top.stairs(normal, edges, color=NORMAL, baseline=None, linewidth=1.5)
        delta = levels - normal
        bottom = canvas.panels[1]
        bottom.stairs(np.maximum(delta, 0), edges, fill=True, color=ANOMALY, alpha=0.6)
        bottom.stairs(np.minimum(delta, 0), edges, fill=True, color=NORMAL, alpha=0.6)
        bottom.axhline(0, color=ROLE["muted"], linewidth=0.8)
        bottom.set_ylabel("difference, dB")
        bottom.locator_params(axis="y", nbins=4)
    top.stairs(levels, edges, color=ANOMALY, baseline=None, linewidth=1.5)
    top.locator_params(axis="y", nbins=4)
    top.set_ylabel("level, dB")
    last = canvas.panels[-1]
    last.set_xscale("log")
    ticks = [f for f in (50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4) if f <= edges[-1]]
    last.set_xticks(ticks, [hertz(f) for f in ticks])
    last.set_xticks([], minor=True)
    last.set(xlabel="frequency, Hz", xlim=(edges[0], edges[-1]))
    return canvas.svg(name, title, _words(levels, normal, edges_hz))


def hertz(frequency: float) -> str:
    """Write a frequency short: ``500``, ``2k``."""
    return f"{frequency / 1000:g}k" if frequency >= 1000 else f"{frequency:g}"


def _words(levels: Array, normal: Array | None, edges_hz: Array) -> str:
    if normal is None:
        loudest = int(np.argmax(levels))
        low, high = edges_hz[loudest]
        return f"Loudest from {low:.0f} to {high:.0f} Hz, {levels[loudest]:.0f} dB."
    delta = levels - normal
    widest = int(np.argmax(np.abs(delta)))
    low, high = edges_hz[widest]
    return (
        f"Differs most from {low:.0f} to {high:.0f} Hz, by {delta[widest]:+.1f} dB "
        "from the nearest normal clip."
    )
