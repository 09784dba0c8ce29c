"""The whole command with a real sound server in a microphone's place."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from asd_agent.capture.chunk import Samples
from support.sound_server import SoundServer, sound_server
from support.sounds import wav


def sounds() -> dict[str, Samples]:
    rng = np.random.default_rng(3)
    count = 40 * 48_000
    time_s = np.arange(count) / 48_000
    return {
        "tone": (0.3 * np.sin(2 * np.pi * 1_000 * time_s)).astype(np.float32),
        "clipped": np.clip(rng.normal(0, 2, count), -1, 1).astype(np.float32),
    }


SAID = {
    # What is played, the exit code, and what is said of it.
    "tone": (
        0,
        dict.fromkeys(("sound", "level", "clipping", "bandwidth"), "ok"),
    ),
    "clipped": (3, {"clipping": "fail", "sound": "ok"}),
    "silence": (3, {"signal": "fail", "sound": "ok"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[SoundServer]:
    with sound_server() as running:
        yield running


@pytest.mark.microphone
@pytest.mark.parametrize("played", SAID)
def test_a_real_microphone(server: SoundServer, tmp_path: Path, played: str) -> None:
    config = tmp_path / "asd.yaml"
    config.write_text(
        f"device: press-07\nstate_dir: {tmp_path}/state\n"
        "sources: [{name: gearbox, microphone: default}]\n"
    )
    words = ("--config", str(config), "--seconds", "3", "--json")
    command = (sys.executable, "-m", "asd_agent", "doctor", *words)
    with ExitStack() as playing:
        if played != "silence":
            path = wav(tmp_path / "sound.wav", sounds()[played], 48_000)
            playing.enter_context(server.play(path))
        done = subprocess.run(
            command, env=server.env, capture_output=True, text=True, check=False
        )
    assert done.stderr == ""
    report = json.loads(done.stdout)
    code, grades = SAID[played]
    assert (done.returncode, report["exit_code"]) == (code, code)
    found = {f["subject"]: f for f in report["findings"] if "gearbox" in f["part"]}
    assert {name: found[name]["grade"] for name in grades} == grades
    assert found["rate"]["figures"]["promised_hz"] == 44_100
    assert found["rate"]["figures"]["measured_hz"] == pytest.approx(44_100, rel=0.1)
    if played == "tone":
        rms_dbfs = found["level"]["figures"]["level_dbfs"]
        assert rms_dbfs == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=0.5)
    if played == "silence":
        assert "digital silence" in found["signal"]["text"]


@pytest.mark.microphone
def test_a_microphone_that_is_pulled_out(tmp_path: Path) -> None:
    config = tmp_path / "asd.yaml"
    config.write_text(
        f"device: press-07\nstate_dir: {tmp_path}/state\n"
        "sources: [{name: gearbox, microphone: default}]\n"
    )
    with sound_server() as gone:
        gone.stop()
        done = subprocess.run(
            (sys.executable, "-m", "asd_agent", "doctor", "--config", str(config)),
            env=gone.env,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert "  FAIL  device: microphone 'default'" in done.stdout
    assert "  skip  sound: not listened to: there is no device" in done.stdout
