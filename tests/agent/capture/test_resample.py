"""The resampler: exact lengths, and the same bits whatever the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.capture.chunk import Samples
from asd_agent.capture.resample import NOTHING, Resampler

RATES_HZ = [8_000, 22_050, 44_100, 48_000, 96_000]


def _noise(count: int) -> Samples:
    return np.random.default_rng(count).uniform(-0.5, 0.5, count).astype(np.float32)


def _in_chunks(sound: Samples, in_hz: int, sizes: list[int]) -> Samples:
    resampler, at, turn, out = Resampler(in_hz, 16_000), 0, 0, []
    while at < len(sound):
        size = sizes[turn % len(sizes)]
        out.append(resampler.push(sound[at : at + size]))
        at, turn = at + size, turn + 1
    return np.concatenate([*out, resampler.push(NOTHING, last=True)])


@pytest.mark.parametrize("in_hz", [*RATES_HZ, 16_000])
def test_chunks_of_any_size_give_the_same_bits(in_hz: int) -> None:
    sound = _noise(in_hz)
    whole = _in_chunks(sound, in_hz, [len(sound)])
    for size in (7, 512, 16_000):
        np.testing.assert_array_equal(_in_chunks(sound, in_hz, [size]), whole)
    part = sound[:3_000]
    np.testing.assert_array_equal(
        _in_chunks(part, in_hz, [1]), _in_chunks(part, in_hz, [len(part)])
    )


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(RATES_HZ),
    st.integers(1, 20_000),
    st.lists(st.integers(1, 9_000), min_size=1, max_size=8),
)
def test_mixed_chunks_give_the_same_bits(
    in_hz: int, count: int, sizes: list[int]
) -> None:
    sound = _noise(count)
    whole = _in_chunks(sound, in_hz, [count])
    np.testing.assert_array_equal(_in_chunks(sound, in_hz, sizes), whole)
    assert abs(len(whole) - count * 16_000 / in_hz) <= 0.5


@pytest.mark.parametrize("in_hz", [*RATES_HZ, 11_025, 12_345, 16_000, 192_000])
def test_ten_seconds_are_ten_seconds(in_hz: int) -> None:
    sound = np.zeros(10 * in_hz, np.float32)
    assert len(_in_chunks(sound, in_hz, [in_hz // 10])) == 160_000


@pytest.mark.parametrize("in_hz", RATES_HZ)
def test_a_tone_keeps_its_pitch_its_level_and_its_time(in_hz: int) -> None:
    time_s = np.arange(2 * in_hz) / in_hz
    sound = (0.5 * np.sin(2 * np.pi * 1_000 * time_s)).astype(np.float32)
    out = _in_chunks(sound, in_hz, [in_hz // 10])
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(32_000) / 16_000)
    np.testing.assert_allclose(out[4_000:-4_000], expected[4_000:-4_000], atol=1e-4)


def test_what_the_new_rate_cannot_carry_is_gone() -> None:
    time_s = np.arange(48_000) / 48_000
    sound = np.sin(2 * np.pi * 11_000 * time_s).astype(np.float32)
    out = _in_chunks(sound, 48_000, [4_800])
    assert np.abs(out[2_000:-2_000]).max() < 1e-4


def test_equal_rates_pass_untouched() -> None:
    resampler, sound = Resampler(16_000, 16_000), _noise(10)
    assert resampler.push(sound) is sound
    assert len(resampler.push(NOTHING, last=True)) == 0
    assert resampler.held == 0


def test_what_is_held_back_is_counted() -> None:
    resampler = Resampler(48_000, 16_000)
    given_out = sum(len(resampler.push(_noise(4_800))) for _ in range(10))
    assert resampler.held > 0
    assert given_out + resampler.held == 16_000


def test_after_the_last_push_a_new_input_begins() -> None:
    resampler, sound = Resampler(44_100, 16_000), _noise(5_000)
    first = resampler.push(sound, last=True)
    np.testing.assert_array_equal(resampler.push(sound, last=True), first)
