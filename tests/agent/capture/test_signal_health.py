"""What is called deaf, what clipped, and what is only quiet."""

import numpy as np
import pytest

from asd_agent.capture.chunk import Samples
from asd_agent.capture.resample import Resampler
from asd_agent.capture.signal_health import ClippingWatch, Verdict, assess

RNG = np.random.default_rng(3)


def _noise(level: float, count: int = 17_920) -> Samples:
    return (RNG.standard_normal(count) * level).astype(np.float32)


def _sixteen_bit(sound: Samples) -> Samples:
    return (np.round(sound * 32_768) / 32_768).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 512, 17_920])
@pytest.mark.parametrize("value", [0.0, 0.3, -1.0, 1.0, 1e-6])
def test_a_stuck_value_is_no_signal(value: float, count: int) -> None:
    health = assess(np.full(count, value, np.float32))
    assert health.verdict is Verdict.NO_SIGNAL
    assert health.dc == pytest.approx(value, abs=1e-6)
    assert health.level_dbfs < -120


def test_digital_silence_has_a_finite_level() -> None:
    assert assess(np.zeros(512, np.float32)).level_dbfs == -200.0


def test_rounding_noise_alone_is_no_signal() -> None:
    health = assess(_noise(1 / 32_768 / np.sqrt(12)))
    assert health.verdict is Verdict.NO_SIGNAL
    assert health.level_dbfs == pytest.approx(-101.1, abs=0.3)


@pytest.mark.parametrize("count", [512, 17_920])
@pytest.mark.parametrize("level", [1e-4, 5e-4, 0.01, 0.2])
def test_a_faint_machine_is_heard(level: float, count: int) -> None:
    health = assess(_sixteen_bit(_noise(level, count)))
    assert health.verdict is Verdict.OK
    assert health.level_dbfs == pytest.approx(20 * np.log10(level), abs=0.6)


@pytest.mark.parametrize(
    ("offset", "reason"), [(0.1, ""), (-0.2, ""), (0.4, "dc"), (-0.3, "dc")]
)
def test_an_offset_is_reported_and_a_large_one_suspect(
    offset: float, reason: str
) -> None:
    health = assess(_noise(5e-4) + np.float32(offset))
    assert health.verdict is (Verdict.SUSPECT if reason else Verdict.OK)
    assert health.reason == reason
    assert health.dc == pytest.approx(offset, abs=1e-4)
    assert health.level_dbfs == pytest.approx(-66.0, abs=0.3)


def test_the_rail_on_either_side_is_clipping() -> None:
    for sign in (1, -1):
        sound = _noise(0.1)
        sound[: len(sound) // 50] = sign
        health = assess(sound)
        assert health.verdict is Verdict.SUSPECT
        assert health.clipped_share == pytest.approx(0.02, abs=1e-3)


def test_a_rare_peak_is_no_clipping() -> None:
    sound = _noise(0.1)
    sound[:100] = 1.0
    assert assess(sound).verdict is Verdict.OK


def test_no_signal_goes_before_clipping() -> None:
    stuck = np.ones(512, np.float32)
    assert assess(stuck, clipped=True).verdict is Verdict.NO_SIGNAL


def test_the_watch_sees_what_the_resampler_hides() -> None:
    loud = np.clip(_noise(1.0, 96_000), -1, 1)
    watch = ClippingWatch()
    clipped = [
        watch.push(loud[at : at + 4_800], 48_000) for at in range(0, 96_000, 4_800)
    ]
    assert all(clipped)
    behind = Resampler(48_000, 16_000).push(loud, last=True)
    assert assess(behind).verdict is Verdict.OK
    assert assess(behind, clipped=True).verdict is Verdict.SUSPECT


def test_the_watch_forgets_after_a_second() -> None:
    watch, loud, fair = ClippingWatch(), np.ones(100, np.float32), _noise(0.1, 100)
    assert watch.push(loud, 1_000)
    verdicts = [watch.push(fair, 1_000) for _ in range(12)]
    assert verdicts == [True] * 9 + [False] * 3


def test_the_watch_lets_a_hammer_blow_pass() -> None:
    watch, blow = ClippingWatch(), _noise(0.1, 4_800)
    blow[:300] = 1.0
    for _ in range(10):
        watch.push(_noise(0.1, 4_800), 48_000)
    assert not watch.push(blow, 48_000)
