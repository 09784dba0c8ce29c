"""Parts of toys: what knocks, knocks when it should."""

import numpy as np
import pytest

from asd_train.data.simulator.motion import Motion, OperatingPoint, run
from asd_train.data.simulator.signal import rms
from asd_train.data.simulator.toy import Brushes, Knock, Rolling, Track

RATE_HZ = 16_000
RING = ((3000.0,), (0.001,))


def _motion(fault: str | None = None, grade: float = 1.0, speed: float = 1.0) -> Motion:
    samples = 4 * RATE_HZ
    return run(
        40.0,
        samples,
        RATE_HZ,
        OperatingPoint(speed),
        fault=fault,
        grade=np.full(samples, grade, np.float32),
        rng=np.random.default_rng(1),
    )


def _blows(sound: np.ndarray, apart_s: float) -> int:
    """Count the peaks above half of the highest, at least so many seconds apart."""
    high = np.flatnonzero(np.abs(sound) > 0.4 * np.abs(sound).max())
    return 1 + int(np.sum(np.diff(high) > apart_s * RATE_HZ))


@pytest.mark.parametrize("fault", ["chipped", "flat"])
def test_a_damaged_wheel_knocks_once_a_turn(fault: str) -> None:
    knock = Knock(fault, 0.25, (600.0,), (0.002,), level=1.0)
    # 40 turns a second, a quarter of them on the wheel, for 4 s.
    assert abs(_blows(knock.sound(_motion(fault)), 0.02) - 40) <= 1
    assert rms(knock.sound(_motion(fault))) == pytest.approx(1.0, rel=0.1)
    assert not knock.sound(_motion()).any()


def test_every_axle_knocks_at_every_joint() -> None:
    track = Track(0.05, (0.0, 0.4), (1.0,) * 6, 1.0, *RING, scrape_hz=(1000, 5000))
    # Two joints a second for 4 s, two axles.
    assert abs(_blows(track.sound(_motion()), 0.02) - 16) <= 2


def test_every_third_joint_that_came_apart_is_louder() -> None:
    track = Track(0.05, (0.0,), (1.0,) * 6, 1.0, *RING, scrape_hz=(1000, 5000))
    healthy, apart = track.sound(_motion()), track.sound(_motion("looseness"))
    assert abs(_blows(apart, 0.02) - 8 / 3) <= 1
    assert np.abs(apart).max() > 5 * np.abs(healthy).max()


def test_every_axle_scrapes_along_an_obstacle_twice_a_lap() -> None:
    track = Track(0.05, (0.0,), (1.0,) * 4, 1.0, *RING, scrape_hz=(1000, 5000))
    scrape = track.sound(_motion("obstacle")) - track.sound(_motion())
    # A lap of four joints takes 2 s: four scrapes in 4 s.
    level = np.sqrt(np.mean(scrape.reshape(-1, 800) ** 2, axis=1))
    rises = np.sum(np.diff((level > 0.5 * level.max()).astype(int)) == 1)
    assert abs(int(rises) - 4) <= 1


def test_brushes_tick_once_a_segment() -> None:
    brushes = Brushes(3, (1.0,), 0.0, *RING)
    spectrum = np.abs(np.fft.rfft(brushes.sound(_motion())))
    assert np.argmax(spectrum) / 4 == pytest.approx(120, rel=0.01)


@pytest.mark.parametrize(
    ("fault", "factor"), [(None, 1.0), ("overvoltage", 1.3), ("undervoltage", 0.75)]
)
def test_voltage_sets_the_speed(fault: str | None, factor: float) -> None:
    motion = _motion(fault)
    turned = motion.turns[-1] - motion.turns[0]
    assert turned == pytest.approx(160 * factor, rel=0.01)


def test_a_fault_of_a_part_leaves_the_voltage_alone() -> None:
    assert _motion("flat").voltage == 1.0
    assert np.allclose(_motion("overvoltage", 0.5).voltage, 1.15)


def test_rolling_is_louder_at_speed_and_swells_with_a_bend() -> None:
    rolling = Rolling(0.05, 300, 3000, 1.0, 0.1)
    slow, fast = (rms(rolling.sound(_motion(speed=s))) for s in (0.8, 1.2))
    assert fast / slow == pytest.approx(1.5**1.5, rel=0.02)
    swell = [np.std(_levels(rolling.sound(_motion(f)))) for f in (None, "bent")]
    assert swell[1] > 3 * swell[0]


def _levels(sound: np.ndarray) -> np.ndarray:
    """Level of each 50 ms."""
    return np.asarray(np.sqrt(np.mean(sound.reshape(-1, 800) ** 2, axis=1)))
