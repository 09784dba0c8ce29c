"""The front end: right against a naive computation, the same however it is fed."""

import tracemalloc
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asd_agent.capture.chunk import Samples
from asd_agent.features.mel import mel_filters
from asd_agent.features.spec import FLOOR_POWER, FeatureSpec, LogMelSpec, SecomSpec
from asd_agent.features.stream import FeatureStream, Unit, band_edges_hz, units
from support.sounds import cut, noise

SECOM = SecomSpec(window=128, hop=32, unit_frames=8, unit_shift=4)
LOGMEL = LogMelSpec(window=128, hop=32, unit_frames=8, unit_shift=4, n_mels=12)
SPECS: dict[str, FeatureSpec] = {
    "secom": SECOM,
    "logmel": LOGMEL,
    "nyquist": SECOM.model_copy(update={"drop": "nyquist"}),
    "units-do-not-overlap": SECOM.model_copy(update={"unit_shift": 8}),
    "one-frame-shift": SECOM.model_copy(update={"unit_shift": 1}),
    "frames-do-not-overlap": SECOM.model_copy(update={"hop": 128}),
    "one-frame": SECOM.model_copy(
        update={"hop": 128, "unit_frames": 1, "unit_shift": 1}
    ),
    "odd-window": SECOM.model_copy(update={"window": 100}),
    "normalised": SECOM.model_copy(
        update={
            "mean_db": tuple(np.linspace(-60, -20, 64)),
            "std_db": tuple(np.linspace(1, 9, 64)),
        }
    ),
    "mel-of-a-range": LOGMEL.model_copy(update={"low_hz": 300.0, "high_hz": 6000.0}),
}


def naive(spec: FeatureSpec, sound: Samples) -> NDArray[np.float64]:
    """Each unit by the textbook in float64, shape ``(n, bands, unit_frames)``."""
    n = np.arange(spec.window)
    hann = np.sin(np.pi * n / spec.window) ** 2
    found = []
    for unit in range(spec.units_in(len(sound))):
        columns = []
        for frame in range(spec.unit_frames):
            at = unit * spec.shift_samples + frame * spec.hop
            part = sound[at : at + spec.window].astype(np.float64)
            power = np.abs(np.fft.rfft(part * hann) * 2 / hann.sum()) ** 2
            if isinstance(spec, LogMelSpec):
                high_hz = spec.high_hz or spec.rate_hz / 2
                power = power @ mel_filters(
                    spec.rate_hz, spec.window, spec.n_mels, spec.low_hz, high_hz
                ).astype(np.float64)
            else:
                power = power[1:] if spec.drop == "dc" else power[:-1]
            level = 10 * np.log10(power + FLOOR_POWER)
            level -= np.array(spec.mean_db or 0.0)
            columns.append(level / np.array(spec.std_db or 1.0))
        found.append(np.stack(columns, axis=1))
    return np.stack(found)


def fed(spec: FeatureSpec, pieces: list[Samples]) -> list[tuple[int, bytes, bytes]]:
    """Start, values and samples of every unit, as bytes."""
    stream = FeatureStream(spec)
    return [frozen(unit) for piece in pieces for unit in stream.push(piece)]


def frozen(unit: Unit) -> tuple[int, bytes, bytes]:
    return unit.start, unit.values.tobytes(), unit.samples.tobytes()


@pytest.mark.parametrize("name", SPECS)
def test_units_are_those_of_a_naive_computation(name: str) -> None:
    spec = SPECS[name]
    sound = noise(spec.unit_samples + 5 * spec.shift_samples + 17)
    found = units(spec, sound)
    assert found.shape == (6, *spec.unit_shape)
    np.testing.assert_allclose(found, naive(spec, sound), atol=2e-2)
    assert np.abs(found - naive(spec, sound)).mean() < 1e-4


@pytest.mark.parametrize("size", [1, 7, 512, 16_000])
@pytest.mark.parametrize("name", SPECS)
def test_chunk_size_changes_no_bit(name: str, size: int) -> None:
    spec = SPECS[name]
    sound = noise(spec.unit_samples + 5 * spec.shift_samples + 17)
    whole = fed(spec, [sound])
    assert len(whole) == 6
    assert fed(spec, list(cut(sound, repeat(size)))) == whole


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(SPECS)),
    sizes=st.lists(st.integers(0, 700), max_size=40),
)
def test_no_cut_changes_a_bit(name: str, sizes: list[int]) -> None:
    sound = noise(4000, seed=3)
    assert fed(SPECS[name], list(cut(sound, sizes))) == fed(SPECS[name], [sound])


@pytest.mark.parametrize("spec", [SecomSpec(), LogMelSpec()], ids=["secom", "logmel"])
def test_the_default_front_ends_change_no_bit(spec: FeatureSpec) -> None:
    sound = noise(60_000, seed=4)
    whole = fed(spec, [sound])
    assert len(whole) == spec.units_in(60_000)
    for size in (512, 1_600, 16_000):
        assert fed(spec, list(cut(sound, repeat(size)))) == whole
    assert units(spec, sound).tobytes() == b"".join(values for _, values, _ in whole)


def test_a_unit_is_the_same_wherever_in_a_stream_it_lies() -> None:
    sound = noise(6 * SECOM.unit_samples, seed=5)
    all_units = units(SECOM, sound)
    for i in (1, 5, 8):
        alone = units(SECOM, sound[i * SECOM.shift_samples :])
        assert alone[0].tobytes() == all_units[i].tobytes()


def test_units_know_where_they_start() -> None:
    stream = FeatureStream(SECOM)
    stream.reset(1000)
    sound = noise(1000)
    starts = []
    for unit in stream.push(sound):
        starts.append(unit.start)
        at = unit.start - 1000
        np.testing.assert_array_equal(unit.samples, sound[at : at + len(unit.samples)])
    assert starts == [1000 + i * SECOM.shift_samples for i in range(len(starts))]
    assert len(starts) == SECOM.units_in(1000)


def test_reset_forgets_the_past() -> None:
    stream = FeatureStream(SECOM)
    sound = noise(2000, seed=6)
    list(stream.push(noise(777, seed=7)))
    stream.reset(0)
    assert [frozen(unit) for unit in stream.push(sound)] == fed(SECOM, [sound])


def test_a_full_scale_sine_is_at_0_db_and_silence_at_the_floor() -> None:
    spec = SecomSpec()
    k = 100
    n = np.arange(spec.unit_samples)
    sine = np.sin(2 * np.pi * k / spec.window * n).astype(np.float32)
    values = units(spec, sine)[0]
    np.testing.assert_allclose(values[k - 1], 0, atol=1e-3)  # DC is dropped
    silent = units(spec, np.zeros(spec.unit_samples, np.float32))
    np.testing.assert_allclose(silent, 10 * np.log10(FLOOR_POWER), atol=1e-3)


def test_too_little_sound_is_no_unit() -> None:
    assert units(SECOM, noise(SECOM.unit_samples - 1)).shape == (0, *SECOM.unit_shape)
    assert len(units(SECOM, noise(SECOM.unit_samples))) == 1


@pytest.mark.parametrize("spec", [SecomSpec(), LogMelSpec()], ids=["secom", "logmel"])
def test_a_running_stream_allocates_nothing_for_a_frame(spec: FeatureSpec) -> None:
    # What a ufunc itself needs for a moment: a buffer of 8192 values, 8 bytes each.
    limit = 65_536 + 4_096
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        # NumPy 1 cannot write a transform into a given array: one block of frames.
        limit += spec.unit_shift * (spec.window // 2 + 1) * 32
    stream = FeatureStream(spec)
    sound = noise(1_600, seed=8)

    def listen(seconds: int) -> int:
        count = 0
        for _ in range(10 * seconds):
            for unit in stream.push(sound):
                count += len(unit.values) > 0
        return count

    assert listen(3) > 0
    peaks = []
    for seconds in (5, 40):
        tracemalloc.start()
        try:
            listen(seconds)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert max(peaks) < limit
    assert abs(peaks[1] - peaks[0]) < 1_024


def test_bands_have_the_edges_of_their_filters() -> None:
    dc = band_edges_hz(SECOM)
    np.testing.assert_allclose(dc[0], [62.5, 187.5])  # bin 1 of 125 Hz
    np.testing.assert_allclose(dc[-1], [7937.5, 8062.5])
    assert band_edges_hz(SPECS["nyquist"])[0, 0] == 0
    mel = band_edges_hz(SPECS["mel-of-a-range"])
    assert mel.shape == (12, 2)
    np.testing.assert_allclose([mel[0, 0], mel[-1, 1]], [300, 6000], rtol=1e-6)
