import re

from hypothesis import given
from hypothesis import strategies as st

from asd_train.demo import chart
from asd_train.demo.account import Moment, Slice


def moment(time_s: float, score: float | None) -> Moment:
    return Moment(time_s, "normal", score, 1.0, 0.5)


def column(score: float | None) -> str:
    rows = chart.scores([moment(0.0, score)], span_s=1.0, width=1)
    return "".join(row.plain[chart.MARGIN] for row in rows)


def test_bars_are_logarithmic_and_meet_the_limit_at_the_threshold() -> None:
    assert column(None) == " ▁    "
    assert column(1 / 64) == " ▁    "
    assert column(2**-3) == " ▁  ██"
    assert column(1.0) == " ▁████"
    assert column(2**0.75) == " ▄████"
    assert column(8.0) == column(1e9) == "██████"


def test_over_the_limit_is_red() -> None:
    rows = chart.scores([moment(0.0, 0.9), moment(0.5, 1.1)], span_s=1.0, width=2)
    below, above = rows[-1].spans[-2:]
    assert (below.style, above.style) == ("green", "red")


def test_columns_show_the_newest_and_hold_it_until_the_next() -> None:
    found = chart.columns([0.0, 1.0, 1.4, 3.9], span_s=4.0, width=4)
    assert found == [0, 2, None, 3]
    assert chart.filled(found) == [0, 2, 2, 3]
    assert chart.filled([None, 5, None, None]) == [None, 5, None, None]


@given(st.lists(st.floats(0, 1000)), st.integers(1, 200))
def test_every_strip_fits(times_s: list[float], width: int) -> None:
    moments = [moment(t, 0.5) for t in times_s]
    slices = [Slice(t, (-50.0, None, -20.0), 8000.0) for t in times_s]
    rows = chart.scores(moments, 85.0, width)
    rows += chart.spectrogram(slices, 85.0, width, 6)
    assert {len(row.plain) for row in rows} == {width + chart.MARGIN}


@given(st.floats(-200, 50), st.floats(-200, 50), st.floats(-200, 50))
def test_heat_is_a_colour(level: float, low: float, high: float) -> None:
    assert re.fullmatch("#[0-9a-f]{6}", chart.heat(level, low, high))


def test_heat_goes_from_quiet_to_loud() -> None:
    assert chart.heat(-60, -60, -20) == chart.heat(None, -60, -20) == "#000010"
    assert chart.heat(-20, -60, -20) == "#fcfdbf"


def test_bands_are_gathered_or_repeated() -> None:
    slice_ = Slice(0.0, (-10.0, -30.0, None, -50.0), 8000.0)
    assert chart.band_levels(slice_, 2) == [-20.0, -50.0]
    assert chart.band_levels(slice_, 4) == [-10.0, -30.0, None, -50.0]
    assert chart.band_levels(slice_, 8)[:3] == [-10.0, -10.0, -30.0]


def test_the_highest_frequency_is_on_top() -> None:
    slices = [Slice(0.0, (-60.0, -60.0, -60.0, -20.0), 8000.0)]
    top, bottom = chart.spectrogram(slices, span_s=1.0, width=1, rows=2)
    assert top.plain.startswith(" 8 kHz")
    assert str(top.spans[-1].style) == "#fcfdbf on #000010"
    assert str(bottom.spans[-1].style) == "#000010 on #000010"


def test_the_axis_marks_the_onset() -> None:
    lines = chart.axis(85.0, 85, 25.0, "it begins").plain.split("\n")
    assert lines[0][chart.MARGIN :].startswith("0:00      0:10")
    assert lines[1].index("↑") == chart.MARGIN + 25
