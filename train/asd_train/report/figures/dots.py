"""One figure of merit of several runs, machine by machine."""

from collections.abc import Sequence

from asd_train.report.figures.canvas import SERIES, Canvas

MARKERS = "oDs^vP*X"
"""Shapes of the runs, in order, so that colour is not needed to tell them apart"""


def dots(
    values: Sequence[Sequence[float | None]],
    machines: Sequence[str],
    runs: Sequence[str],
    name: str,
    title: str,
) -> str:
    """Draw a line for each machine with a dot for each run.

    Parameters
    ----------
    values : sequence of sequences
        By machine and run, 0 to 1; None where there is none.
    machines, runs : sequence of str
        Names.
    name, title : str
        See `Canvas.svg`.
    """
    canvas = Canvas(440, 60 + 30 * len(machines), margins=(110, 38, 14, 8))
    (panel,) = canvas.panels
    spread = min(0.11, 0.6 / len(runs))
    for run in range(len(runs)):
        place = [
            (value * 100, row + (run - (len(runs) - 1) / 2) * spread)
            for row, line in enumerate(values)
            if (value := line[run]) is not None
        ]
        if place:
            x, y = zip(*place, strict=True)
            panel.scatter(
                x,
                y,
                36,
                color=SERIES[run % len(SERIES)],
                marker=MARKERS[run % len(MARKERS)],
                linewidths=0,
            )
    panel.set_yticks(range(len(machines)), [_short(name) for name in machines])
    panel.set(ylim=(len(machines) - 0.4, -0.6), xlabel="%")
    panel.grid(visible=False, axis="y")
    panel.hlines(
        [row + 0.5 for row in range(len(machines) - 1)],
        *panel.get_xlim(),
        color=panel.get_xgridlines()[0].get_color(),
        linewidth=0.6,
    )
    text = "; ".join(
        f"{machine}: "
        + ", ".join(
            f"{run} {'none' if v is None else f'{v:.1%}'}"
            for run, v in zip(runs, line, strict=True)
        )
        for machine, line in zip(machines, values, strict=True)
    )
    return canvas.svg(name, title, f"{text}.")


def _short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"
