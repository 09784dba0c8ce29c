"""Figures: well-formed, coloured by the page, and drawn from what was given."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asd_train.report.figures.canvas import ROLE, Canvas
from asd_train.report.figures.curves import curves, thinned
from asd_train.report.figures.dots import dots
from asd_train.report.figures.embedding import embedding, mapped
from asd_train.report.figures.embedding import thinned as chosen
from asd_train.report.figures.histogram import DomainScores, histogram
from asd_train.report.figures.roc import Scored, roc
from asd_train.report.figures.spectra import spectra
from asd_train.report.figures.spectrogram import (
    LEVEL,
    Picture,
    difference,
    gridded,
    limits,
    spectrogram,
)
from asd_train.report.history import Curve

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(3)
NORMAL, ODD = RNG.normal(size=40), RNG.normal(2, size=30)
NASTY = "<script>\"&'$x_"


def parsed(svg: str) -> ElementTree.Element:
    """Parse, and see that nothing but the page decides on colours and fonts."""
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own text
    plain = re.sub(r"data:image/png;base64,[A-Za-z0-9+/= ]*", "", svg)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", plain)
    assert "font-family" not in plain
    assert "<style" not in plain
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:url\(|href=")#([^)"]*)', plain):
        assert target in ids
    return root


def words(svg: str) -> list[str]:
    return [node.text or "" for node in parsed(svg).iter(f"{SVG}text")]


def test_each_role_has_a_colour_of_its_own() -> None:
    assert len(set(ROLE.values())) == len(ROLE)


def test_roc_draws_a_curve_for_each_row_of_both_labels() -> None:
    truth = np.arange(70) >= 40
    both = Scored(np.concatenate([NORMAL, ODD]), truth, 0, False)
    dashed = Scored(both.scores, truth, 1, True)
    alone = Scored(NORMAL, np.zeros(40, np.bool_), 2, False)
    svg = roc([both, dashed, alone], "roc", "ROC of fan")
    assert "2 curves" in svg
    assert {"var(--c0)", "var(--c1)", "var(--shade)"} <= set(
        re.findall(r"var\(--\w+\)", svg)
    )
    assert "var(--c2)" not in svg
    assert "false-positive rate" in words(svg)


def test_histogram_has_a_panel_a_domain_and_marks_the_threshold() -> None:
    panels = [
        DomainScores("source", NORMAL, ODD, 1.25),
        DomainScores("target", NORMAL + 1, np.zeros(0), None),
    ]
    svg = histogram(panels, "h", NASTY)
    assert {"source", "target", "score"} <= set(words(svg))
    assert "threshold 1.25" in svg
    assert "target: 40 normal clips" in svg
    assert parsed(svg).findtext(f"{SVG}title") == NASTY


def test_histogram_of_equal_scores_is_drawn() -> None:
    same = np.full(5, 0.25)
    parsed(histogram([DomainScores("all", same, same, 0.25)], "h", "t"))


def test_a_map_keeps_far_groups_apart_and_repeats() -> None:
    centres = np.eye(3, 8) * 10
    vectors = np.repeat(centres, 12, axis=0) + RNG.normal(size=(36, 8)) * 0.1
    kind = np.repeat(["train", "normal", "anomaly"], 12)
    domain = np.tile(["source", "target"], 18)
    data = vectors.astype(np.float32)
    one, other = mapped(data, kind, domain), mapped(data, kind, domain)
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.place, other.place)
    distance = np.linalg.norm(one.place[:, None] - one.place[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (one.kind[distance.argmin(axis=1)] == one.kind).all()
    assert "12 anomaly, 12 normal, 12 train" in embedding(one, "m", "t")
    parsed(embedding(one, "m", "t"))


def test_a_map_needs_points_that_are_numbers() -> None:
    data = np.full((20, 4), np.nan, np.float32)
    data[:5] = 1
    assert mapped(data, np.repeat("normal", 20), np.repeat("", 20)) is None


def test_a_large_map_is_thinned() -> None:
    kind = np.where(np.arange(1500) < 30, "anomaly", "train")
    usable = np.arange(1500) != 7
    rows = chosen(kind, usable, 0)
    assert len(rows) == len(set(rows.tolist())) == 500
    assert set(rows.tolist()) >= set(range(30)) - {7}
    assert 7 not in rows
    assert len(chosen(kind[::-1][:600], usable[:600], 0)) == 500


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2000))
@settings(max_examples=30, deadline=None)
def test_thinning_keeps_the_span_and_the_order(values: list[float]) -> None:
    found = thinned(np.sort(np.array(values)))
    assert 1 <= len(found) <= 240
    assert min(values) - 1e-6 <= found[0] <= found[-1] <= max(values) + 1e-6
    assert (np.diff(found) >= -1e-6).all()


def test_curves_name_every_network() -> None:
    steps = np.arange(1.0, 501)
    some = [Curve(m, steps, 1 / steps) for m in ("fan", "valve")]
    svg = curves(some, "rate", "c", "Training: rate")
    parsed(svg)
    assert "fan: from 1 at step 1 to 0.002 at step 500" in svg
    assert "valve" in svg


EDGES = np.stack([np.arange(24) * 100, np.arange(1, 25) * 100], axis=1).astype(
    np.float32
)


def test_spectra_say_where_the_difference_is() -> None:
    normal = np.full(24, -60, np.float32)
    loud = normal.copy()
    loud[7] += 12
    svg = spectra(loud, normal, EDGES, "s", "t")
    parsed(svg)
    assert "from 700 to 800 Hz, by +12.0 dB" in svg
    assert "Loudest from 700 to 800 Hz" in spectra(loud, None, EDGES, "s", "t")


def tone(bands: NDArray[np.float32], row: int, gain: float) -> NDArray[np.float32]:
    found = bands.copy()
    found[row] += gain
    return found


@pytest.mark.parametrize("frames", [5, 120, 307])
def test_the_grid_keeps_levels_and_difference_finds_the_tone(frames: int) -> None:
    quiet = np.full((512, frames), -70, np.float32)
    edges = np.arange(513, dtype=np.float32) * 15.625
    pairs = np.stack([edges[:-1], edges[1:]], axis=1)
    normal = gridded(quiet, pairs, 4.0)
    np.testing.assert_allclose(normal.levels, -70, rtol=1e-6)
    assert normal.levels.shape == (72, min(frames, 120))
    odd = gridded(tone(quiet, 192, 30), pairs, 4.0)
    delta = difference(odd, normal)
    row = int(delta.levels[:, 0].argmax())
    assert delta.hz[row] <= 3008 <= delta.hz[row + 1]
    # 1000 times the power in one of the n bands of the cell.
    n = ((pairs.mean(axis=1) >= delta.hz[row]) & (edges[:-1] < delta.hz[row + 1])).sum()
    wanted = 10 * np.log10((n - 1 + 1000) / n)
    assert delta.levels.max() == pytest.approx(wanted, abs=0.7)
    assert limits(normal) == (-70, -69)


def test_a_spectrogram_is_a_picture_within_axes() -> None:
    levels = RNG.normal(-60, 5, size=(72, 50)).astype(np.float32)
    picture = Picture(levels, np.geomspace(50, 8000, 73), 1.6)
    svg = spectrogram(picture, (-80, -40), LEVEL, "g", "t")
    image = parsed(svg).find(f".//{SVG}image")
    assert image is not None
    assert (image.get("width"), image.get("height")) == ("50", "72")
    assert {"100", "1k", "5k", "seconds"} <= set(words(svg))


def test_dots_take_names_as_they_are_and_leave_out_what_is_missing() -> None:
    values: list[list[float | None]] = [[0.8, 0.9], [None, 0.7]]
    svg = dots(values, ["fan", NASTY], ["one", "風車"], "d", "t")
    parsed(svg)
    assert NASTY in words(svg)
    assert "one none, 風車 70.0%" in svg


def test_a_canvas_is_as_large_as_it_says() -> None:
    root = parsed(Canvas(210, 120).svg("x", "t", "d"))
    assert root.get("viewBox") == "0 0 210 120"
