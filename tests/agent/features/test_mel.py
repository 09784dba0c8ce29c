"""Mel filters: values that can be worked out by hand, and what all of them share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.features.mel import hz_to_mel, mel_edges, mel_filters, mel_to_hz


def test_the_scale_is_linear_to_1_khz_and_logarithmic_above() -> None:
    hz = np.array([0.0, 200.0, 1000.0, 6400.0])
    # 200/3 Hz a mel to 15 mel; 27 more for a factor of 6.4.
    np.testing.assert_allclose(hz_to_mel(hz), [0, 3, 15, 42], atol=1e-12)


@given(st.floats(0, 200_000))
def test_the_scale_can_be_undone(hz: float) -> None:
    back = mel_to_hz(hz_to_mel(np.array([hz])))
    np.testing.assert_allclose(back, [hz], rtol=1e-12, atol=1e-9)


def test_corners_are_even_in_mel_and_end_where_they_should() -> None:
    edges = mel_edges(40, 50.0, 8000.0)
    assert len(edges) == 42
    np.testing.assert_allclose(edges[[0, -1]], [50, 8000])
    np.testing.assert_allclose(np.diff(hz_to_mel(edges), 2), 0, atol=1e-12)


def test_a_linear_bank_worked_out_by_hand() -> None:
    # Corners at 0, 100 ... 400 Hz; bins at 0, 50 ... 500 Hz. A triangle of 200 Hz
    # has the height 2 / 200.
    filters = mel_filters(1000, 20, 3, 0.0, 400.0)
    assert filters.shape == (11, 3)
    expected = np.array([0, 0.5, 1, 0.5, 0, 0, 0, 0, 0, 0, 0]) / 100
    np.testing.assert_allclose(filters[:, 0], expected, atol=1e-9)
    np.testing.assert_allclose(filters[:, 1], np.roll(expected, 2), atol=1e-9)
    np.testing.assert_allclose(filters[:, 2], np.roll(expected, 4), atol=1e-9)


@pytest.mark.parametrize("n_mels", [10, 40, 128])
def test_triangles_of_full_height_add_up_to_one(n_mels: int) -> None:
    filters = mel_filters(16_000, 2048, n_mels, 0.0, 8000.0).astype(float)
    edges = mel_edges(n_mels, 0.0, 8000.0)
    heights = filters * (edges[2:] - edges[:-2]) / 2
    bins_hz = np.arange(1025) * 16_000 / 2048
    inner = (bins_hz >= edges[1]) & (bins_hz <= edges[-2])
    np.testing.assert_allclose(heights.sum(axis=1)[inner], 1, rtol=1e-6)


def test_each_band_peaks_at_its_centre_and_has_area_one() -> None:
    filters = mel_filters(16_000, 16_384, 40, 0.0, 8000.0).astype(float)
    edges = mel_edges(40, 0.0, 8000.0)
    bin_hz = 16_000 / 16_384
    peaks_hz = filters.argmax(axis=0) * bin_hz
    np.testing.assert_allclose(peaks_hz, edges[1:-1], atol=bin_hz)
    np.testing.assert_allclose(filters.sum(axis=0) * bin_hz, 1, rtol=1e-3)


def test_a_band_without_a_bin_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mel band 0 .* holds no bin"):
        mel_filters(16_000, 64, 128, 0.0, 8000.0)
