"""Strips over time as text: a bar chart of scores and a spectrogram. Pure."""

import math
from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from asd_train.demo.account import Moment, Slice

DOUBLINGS = 1.5
"""Doublings of the score in one row of the chart"""
BELOW, ABOVE = 4, 2
"""Rows of the chart below and above the threshold: from 1/64 of it to 8 times"""
BLOCKS = " ▁▂▃▄▅▆▇█"
HEAT = ((0, 0, 16), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191))
"""Colours from quiet to loud"""
MARGIN = 7
"""Columns left of a strip, for its labels"""


def columns(times_s: Sequence[float], span_s: float, width: int) -> list[int | None]:
    """Index of the newest item in each of `width` columns; None: there is none."""
    found: list[int | None] = [None] * width
    for index, time_s in enumerate(times_s):
        found[min(width - 1, max(0, int(time_s / span_s * width)))] = index
    return found


def filled(found: list[int | None]) -> list[int | None]:
    """Widen each item over the empty columns up to the next one."""
    last = max((i for i, index in enumerate(found) if index is not None), default=-1)
    held: int | None = None
    out: list[int | None] = []
    for i, index in enumerate(found):
        held = held if index is None else index
        out.append(held if i <= last else None)
    return out


def scores(moments: Sequence[Moment], span_s: float, width: int) -> list[Text]:
    """Draw scores in thresholds, logarithmic, top row first."""
    found = filled(columns([m.time_s for m in moments], span_s, width))
    shown = [None if i is None else moments[i].ratio for i in found]
    return [_score_row(shown, row) for row in range(BELOW + ABOVE - 1, -1, -1)]


def _score_row(ratios: Sequence[float | None], row: int) -> Text:
    bottom, top = 2 ** (BELOW * DOUBLINGS), 2 ** (ABOVE * DOUBLINGS)
    labels = {BELOW: "limit", BELOW + ABOVE - 1: f"{top:g}x", 0: f"1/{bottom:g}"}
    text = Text(f"{labels.get(row, ''):>{MARGIN - 1}} ", "dim")
    for ratio in ratios:
        height = 0.0
        if ratio is not None and ratio > 0:
            height = math.log2(ratio) / DOUBLINGS + BELOW - row
        block = BLOCKS[round(8 * min(1.0, max(0.0, height)))]
        if block == " " and row == BELOW:
            text.append("▁", "yellow")
        else:
            over = ratio is not None and ratio >= 1
            text.append(block, "red" if over else "green")
    return text


def spectrogram(
    slices: Sequence[Slice], span_s: float, width: int, rows: int
) -> list[Text]:
    """Draw levels as colours, two bands a row, the highest frequency on top."""
    found = filled(columns([s.time_s for s in slices], span_s, width))
    levels = [band_levels(s, 2 * rows) for s in slices]
    known = [db for column in levels for db in column if db is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    top_khz = slices[-1].top_hz / 1000 if slices else 0.0
    lines = []
    for row in range(rows - 1, -1, -1):
        label = f"{top_khz:.0f} kHz" if row == rows - 1 else "0" if row == 0 else ""
        line = Text(f"{label:>{MARGIN - 1}} ", "dim")
        for index in found:
            if index is None:
                line.append(" ")
                continue
            upper = heat(levels[index][2 * row + 1], low, high)
            lower = heat(levels[index][2 * row], low, high)
            line.append("▀", Style(color=upper, bgcolor=lower))
        lines.append(line)
    return lines


def band_levels(slice_: Slice, count: int) -> list[float | None]:
    """Levels in `count` bands, lowest first: the mean of those that fall together."""
    given = slice_.level_db
    out: list[float | None] = []
    for i in range(count):
        first = i * len(given) // count
        past = max(first + 1, (i + 1) * len(given) // count)
        known = [db for db in given[first:past] if db is not None]
        out.append(sum(known) / len(known) if known else None)
    return out


def heat(level_db: float | None, low: float, high: float) -> str:
    """Colour of a level between the quietest and the loudest, as ``#rrggbb``."""
    share = 0.0
    if level_db is not None and high > low:
        share = min(1.0, max(0.0, (level_db - low) / (high - low)))
    place = share * (len(HEAT) - 1)
    index = min(int(place), len(HEAT) - 2)
    part = place - index
    mixed = (
        round(a + (b - a) * part)
        for a, b in zip(HEAT[index], HEAT[index + 1], strict=True)
    )
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def axis(span_s: float, width: int, mark_s: float, mark: str) -> Text:
    """Draw the time axis with a mark where something begins."""
    cells = [" "] * width
    for at_s in range(0, int(span_s), 10):
        _write(cells, int(at_s / span_s * width), clock(at_s))
    line = Text(" " * MARGIN + "".join(cells), "dim")
    flag = [" "] * width
    _write(flag, int(mark_s / span_s * width), f"↑ {mark}")
    return Text.assemble(line, "\n", (" " * MARGIN + "".join(flag).rstrip(), "yellow"))


def clock(seconds: float) -> str:
    """Write seconds as ``m:ss``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _write(cells: list[str], at: int, word: str) -> None:
    if at + len(word) <= len(cells):
        cells[at : at + len(word)] = word
