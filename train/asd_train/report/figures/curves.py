"""Training curves."""

from collections.abc import Sequence

import numpy as np

from asd_train.report.clips import Numbers
from asd_train.report.figures.canvas import SERIES, Canvas
from asd_train.report.history import Curve

_MOST = 240
"""Points of a curve"""


def curves(some: Sequence[Curve], quantity: str, name: str, title: str) -> str:
    """Draw a quantity over the steps, one curve for each network."""
    canvas = Canvas(300, 200, margins=(54, 36, 12, 10))
    (panel,) = canvas.panels
    for number, curve in enumerate(some):
        steps, values = thinned(curve.steps), thinned(curve.values)
        style = "-" if number < len(SERIES) else (0, (3, 1.5))
        colour = SERIES[number % len(SERIES)]
        panel.plot(steps, values, color=colour, linestyle=style, linewidth=1.2)
    panel.set(xlabel="step", ylabel=quantity)
    if quantity == "rate":
        panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        panel.yaxis.get_offset_text().set_fontsize(9)
    panel.locator_params(nbins=5)
    text = "; ".join(
        f"{curve.machine or 'network'}: from {curve.values[0]:.3g} at step "
        f"{curve.steps[0]:.0f} to {curve.values[-1]:.3g} at step {curve.steps[-1]:.0f}"
        for curve in some
    )
    return canvas.svg(name, title, f"{text}.")


def thinned(values: Numbers) -> Numbers:
    """Mean of neighbours, so many together that few enough are left."""
    each = -(-len(values) // _MOST)
    starts = np.arange(0, len(values), each)
    counts = np.diff(np.append(starts, len(values)))
    means: Numbers = np.add.reduceat(values, starts) / counts
    return means
