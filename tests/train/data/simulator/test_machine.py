"""Simulated machines: repeatable, graded, fast, and made of the parts they claim."""

import subprocess
import sys
import time

import numpy as np
import pytest

from asd_agent.errors import ConfigError
from asd_train.data.simulator import (
    FAULTS,
    KINDS,
    SOURCE_POINTS,
    TARGET_POINTS,
    Machine,
    OperatingPoint,
)

CASES = [(kind, fault) for kind in KINDS for fault in KINDS[kind].faults]


def _spectrum_db(sound: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(sound, 2048)[::512]
    power = np.abs(np.fft.rfft(frames * np.hanning(2048))) ** 2
    return np.asarray(10 * np.log10(power + 1e-9))


def _changes_db(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Change in mean and in spread over time of each third of an octave."""
    edges = np.unique(np.geomspace(4, 1024, 25).astype(int))
    a, b = (np.add.reduceat(_spectrum_db(x), edges, axis=1) for x in (one, other))
    width = np.diff(edges, append=1025)
    a, b = a / width, b / width
    return np.concatenate([f(a, axis=0) - f(b, axis=0) for f in (np.mean, np.std)])


@pytest.mark.parametrize("kind", list(KINDS))
def test_same_seed_same_sound_and_another_seed_another(kind: str) -> None:
    machine = Machine.draw(kind, 4)
    sound = machine.render(1.0, seed=9)
    assert sound.dtype == np.float32
    assert sound.shape == (16_000,)
    assert np.array_equal(sound, Machine.draw(kind, 4).render(1.0, seed=9))
    assert not np.array_equal(sound, machine.render(1.0, seed=10))
    assert not np.array_equal(sound, Machine.draw(kind, 5).render(1.0, seed=9))


@pytest.mark.parametrize("kind", list(KINDS))
def test_level_is_that_of_a_well_placed_microphone(kind: str) -> None:
    for seed in range(4):
        sound = Machine.draw(kind, seed).render(2.0)
        level_db = 20 * np.log10(np.sqrt(np.mean(sound**2)))
        assert -50 < level_db < -12
        assert np.abs(sound).max() < 1


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_a_fault_grows_with_its_severity(kind: str, fault: str) -> None:
    machine = Machine.draw(kind, 1 if kind.startswith("Toy") else 3)
    healthy = machine.render(4.0, seed=1)
    chance = _changes_db(healthy, machine.render(4.0, seed=2))
    changes = [
        _changes_db(healthy, machine.render(4.0, fault=fault, severity=s, seed=1))
        for s in (0.1, 0.4, 1.0)
    ]
    # A tone that moves from band to band changes each of them once: look at all.
    faint, clear, grave = (np.sqrt(np.mean(c**2)) for c in changes)
    assert faint < clear < grave
    assert np.abs(changes[2]).max() > np.abs(chance).max()


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_a_fault_of_no_severity_is_silent(kind: str, fault: str) -> None:
    machine = Machine.draw(kind, 3)
    healthy = machine.render(1.0, seed=1)
    none = machine.render(1.0, fault=fault, severity=0.0, seed=1)
    assert np.allclose(none, healthy, atol=1e-6)


def test_a_fault_can_come_in_the_middle_of_a_stream() -> None:
    machine = Machine.draw("pump", 3)
    sound = machine.render(
        12.0, fault="leak", severity=lambda t: np.clip((t - 6.0) / 2.0, 0, 1), seed=1
    )
    early, late = _spectrum_db(sound[:96_000]), _spectrum_db(sound[-48_000:])
    high = slice(300, 800)
    before, after = early[:, high].mean(), late[:, high].mean()
    assert after > before + 2
    first, second = _spectrum_db(sound[:48_000]), _spectrum_db(sound[48_000:96_000])
    assert abs(first[:, high].mean() - second[:, high].mean()) < 0.5


def test_damaged_bearing_knocks_at_its_ball_pass_frequency() -> None:
    machine = Machine.draw("fan", 3)
    bearing = next(p for p in machine.build.structure if hasattr(p, "passes"))
    hz = bearing.passes * machine.build.turns_hz
    sound = machine.render(8.0, fault="bearing", severity=1.0, seed=1)
    spectrum = np.fft.rfft(sound)
    bins = np.fft.rfftfreq(len(sound), 1 / 16_000)
    spectrum[(bins < 1500) | (bins > 7000)] = 0
    envelope = np.fft.irfft(spectrum) ** 2
    lines = np.abs(np.fft.rfft(envelope - envelope.mean()))
    near = np.abs(bins - hz) < 0.02 * hz
    around = (np.abs(bins - hz) < 0.3 * hz) & ~near
    assert lines[near].max() > 3 * np.median(lines[around])


def test_faster_is_higher_and_louder() -> None:
    machine = Machine.draw("fan", 2)
    slow = machine.render(3.0, point=OperatingPoint(0.7, 0.6))
    fast = machine.render(3.0, point=OperatingPoint(1.2, 0.6))
    assert np.std(fast) > 1.3 * np.std(slow)


def test_another_rate_is_the_same_machine() -> None:
    assert Machine.draw("pump", 1).render(0.5, rate_hz=48_000).shape == (24_000,)


def test_source_and_target_domain_share_no_operating_point() -> None:
    names = [p.attributes for p in (*SOURCE_POINTS, *TARGET_POINTS)]
    assert len(set(names)) == len(names)
    assert OperatingPoint(1.12, 0.7).attributes == "spd_112_load_70"
    assert OperatingPoint(1.0, 0.6, 2.0).attributes == "spd_100_load_60_noise_200"


def test_a_noisier_hall_adds_to_the_same_machine() -> None:
    machine = Machine.draw("pump", 2)
    loud = machine.render(2.0, point=OperatingPoint(noise=3.0))
    none = machine.render(2.0, point=OperatingPoint(noise=0.0))
    usual = machine.render(2.0)
    # Sound waves add up: three times the noise is three times the difference.
    assert np.allclose(loud - none, 3 * (usual - none), atol=1e-5)


def test_every_fault_is_some_machines() -> None:
    assert {fault for _, fault in CASES} == set(FAULTS)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="no machine type 'boiler'"):
        Machine.draw("boiler", 1)
    with pytest.raises(ConfigError, match="a valve has no fault 'imbalance'"):
        Machine.draw("valve", 1).render(1.0, fault="imbalance")


def test_thirty_times_faster_than_real_time() -> None:
    machines = [Machine.draw(kind, 1) for kind in KINDS]
    started = time.process_time()
    for machine in machines:
        machine.render(10.0)
    assert time.process_time() - started < 10.0 * len(machines) / 30


def test_needs_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, asd_train.data.simulator as s; s.Machine.draw('fan', 1);"
        "print({'torch', 'scipy', 'tqdm'} & set(sys.modules))"
    )
    paths = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "set()", done.stderr
