"""Simulated sound through a real capture device to a real broker."""

from pathlib import Path

import pytest
import soundfile

from asd_train.data.simulator import Machine
from support.live import live_agent

RATE_HZ = 16_000


def _record(path: Path, seconds: float, severity: float, seed: int) -> Path:
    machine = Machine.draw("gearbox", 3)
    samples = machine.render(
        seconds, RATE_HZ, fault="bearing", severity=severity, seed=seed
    )
    soundfile.write(path, samples, RATE_HZ)
    return path


@pytest.mark.broker
@pytest.mark.microphone
def test_a_fault_played_into_the_microphone_is_told_to_the_broker(
    tmp_path: Path,
) -> None:
    # Real time: 60 s to learn, 25 s of normal sound, 35 s with a fault.
    with live_agent(tmp_path) as live:
        said = live.learn(_record(tmp_path / "learn.wav", 60, 0, seed=1))
        assert "extrapolated" in said
        with live.running():
            normal = live.hear(_record(tmp_path / "normal.wav", 25, 0, seed=2))
            fault = live.hear(_record(tmp_path / "fault.wav", 35, 1.0, seed=3))
    assert "normal" in {message["state"] for message in normal}
    assert "anomalous" not in {message["state"] for message in normal}
    alarm = [message for message in fault if message["state"] == "anomalous"]
    assert alarm, [message["score"] for message in fault]
    assert alarm[-1]["bands"]
    assert alarm[-1]["p_value"] < 0.05
    assert {message["state"] for message in fault} <= {
        "normal",
        "anomalous",
        "no_signal",
    }
