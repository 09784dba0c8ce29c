"""Write the sensitivity of layers to a file: a plot, or a table for a program."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from asd_agent.errors import ConfigError
from asd_export.sensitivity import Layer

SHOWN = 40
"""Layers in a plot: the others have next to no part in the noise"""
COLOURS = {
    "unit": "#4c566a",
    "convolution": "#3b6ea5",
    "depthwise": "#c0504d",
    "sum": "#8fae5d",
    "join": "#8064a2",
    "mean": "#e0a030",
}


def write(layers: Sequence[Layer], path: Path, title: str) -> None:
    """Write layers, the worst first, in the form that the ending of `path` says.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    try:
        if path.suffix == ".csv":
            _table(layers, path)
        else:
            _plot(layers, path, title)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _table(layers: Sequence[Layer], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(Layer.__dataclass_fields__))
        rows.writeheader()
        rows.writerows(asdict(layer) for layer in layers)


def _plot(layers: Sequence[Layer], path: Path, title: str) -> None:
    shown = layers[:SHOWN]
    figure = Figure(figsize=(9, 1.2 + 0.22 * len(shown)), layout="constrained")
    axes = figure.subplots()
    names = [layer.name for layer in shown]
    axes.barh(
        names,
        [100 * layer.share for layer in shown],
        color=[COLOURS[layer.kind] for layer in shown],
    )
    axes.invert_yaxis()
    for kind, colour in COLOURS.items():
        if any(layer.kind == kind for layer in shown):
            axes.bar(0, 0, color=colour, label=kind)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.legend(loc="lower right")
    axes.set_xlabel("part of the noise in the embedding, percent; right: SQNR, decibel")
    axes.set_title(title)
    for place, layer in enumerate(shown):
        axes.annotate(
            f"{layer.sqnr_db:.1f}",
            (100 * layer.share, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize="x-small",
        )
    axes.tick_params(axis="y", labelsize="x-small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
