"""The most anomalous clips, each beside the normal clip that it is most like."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from asd_agent.errors import SoundError
from asd_train.report.clips import Clips
from asd_train.report.figures.spectra import spectra
from asd_train.report.figures.spectrogram import (
    DIFFERENCE,
    LEVEL,
    difference,
    limits,
    spectrogram,
)
from asd_train.report.folder import Evaluation
from asd_train.report.history import History
from asd_train.report.plates import Key, Plate
from asd_train.report.sound import picture


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One clip; of the numbers, those that the evaluation has."""

    path: str
    """Relative to the folder of recordings"""
    machine: str
    facts: tuple[tuple[str, str], ...]
    """What is known of it: name and value"""
    nearest: str
    """Path of the nearest normal training clip; empty: not known"""
    plates: tuple[Plate, ...]
    note: str
    """Why there are band levels and no spectrograms; empty: nothing to say"""


def most_anomalous(clips: Clips, most: int) -> list[int]:
    """Rows of the clips that are least normal.

    Scores of different machines cannot be compared, so machines take turns; the
    smallest p-value, then the score farthest above the threshold, comes first.
    """
    tested = np.flatnonzero(clips.tested)
    p_value = np.nan_to_num(clips.p_value[tested], nan=1.0)
    excess = np.nan_to_num(clips.score - clips.threshold)[tested]
    ranked = tested[np.lexsort((-clips.score[tested], -excess, p_value))]
    queues = [
        [int(row) for row in ranked if clips.machine[row] == machine]
        for machine in dict.fromkeys(clips.machine[ranked].tolist())
    ]
    turns = chain.from_iterable(zip_longest(*queues))
    return [row for row in turns if row is not None][:most]


def exhibits(
    evaluation: Evaluation, history: History, data: Path | None, most: int
) -> Iterator[Exhibit]:
    """Show the most anomalous clips.

    Parameters
    ----------
    evaluation : Evaluation
    history : History
        Knows the front end that spectrograms are computed with.
    data : Path or None
        Folder of recordings; None, or without the clip: band levels are shown.
    most : int
        Clips.
    """
    clips = evaluation.clips
    for number, row in enumerate(most_anomalous(clips, most)):
        nearest = int(evaluation.nearest[row])
        machine = str(clips.machine[row])
        name = f"clip{number}"
        note = ""
        plates: tuple[Plate, ...] = ()
        if data is not None:
            paths = [data / str(clips.path[i]) for i in (row, nearest) if i >= 0]
            try:
                plates = _spectrograms(paths, history, machine, name)
            except SoundError as error:
                note = f"No spectrogram: {error}"
        yield Exhibit(
            str(clips.path[row]),
            machine,
            _facts(clips, row),
            str(clips.path[nearest]) if nearest >= 0 else "",
            plates or (_levels(evaluation, row, nearest, name),),
            note,
        )


def _facts(clips: Clips, row: int) -> tuple[tuple[str, str], ...]:
    numbers = (
        ("score", clips.score[row], "{:.4g}"),
        ("threshold", clips.threshold[row], "{:.4g}"),
        ("p-value", clips.p_value[row], "{:.2g}"),
    )
    words = (
        ("label", clips.label[row] or "not known"),
        ("machine", clips.machine[row]),
        ("section", clips.section[row]),
        ("domain", clips.domain[row]),
        ("attributes", clips.attributes[row]),
    )
    decided = {1.0: "anomalous", 0.0: "normal"}.get(float(clips.decision[row]), "")
    found = [(key, str(value)) for key, value in words if value]
    found += [(k, form.format(v)) for k, v, form in numbers if np.isfinite(v)]
    return (*found, ("decision", decided)) if decided else tuple(found)


def _spectrograms(
    paths: list[Path], history: History, machine: str, name: str
) -> tuple[Plate, ...]:
    pictures = [picture(path, history.front_end(machine)) for path in paths]
    span = limits(*pictures)
    words = ("This clip", "Nearest normal clip")
    plates = []
    for number, (one, what) in enumerate(zip(pictures, words, strict=False)):
        svg = spectrogram(one, span, LEVEL, f"{name}-{number}", what)
        plates.append(
            Plate(svg, f"{what}, {_db(span[0])} to {_db(span[1])} dB", machine)
        )
    if len(pictures) == 2:
        delta = difference(*pictures)
        most = max(6.0, float(np.percentile(np.abs(delta.levels), 99.5)))
        svg = spectrogram(delta, (-most, most), DIFFERENCE, f"{name}-2", "Difference")
        text = f"Difference, {most:.0f} dB lower (blue) to {most:.0f} dB higher (red)"
        plates.append(Plate(svg, text, machine))
    return tuple(plates)


def _db(level: float) -> str:
    return f"{level:.0f}".replace("-", "\N{MINUS SIGN}")


def _levels(evaluation: Evaluation, row: int, nearest: int, name: str) -> Plate:
    normal = evaluation.levels[nearest] if nearest >= 0 else None
    svg = spectra(
        evaluation.levels[row], normal, evaluation.edges_hz, name, "Band levels"
    )
    keys = (Key("c1", "this clip"), Key("c0", "nearest normal clip"))
    machine = str(evaluation.clips.machine[row])
    shown = keys if normal is not None else keys[:1]
    return Plate(svg, "Mean level of each group of bands", machine, shown)
