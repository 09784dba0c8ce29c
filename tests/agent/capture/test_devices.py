"""The devices of this machine, with a small library in PortAudio's place."""

import os
import sys
from pathlib import Path

import pytest

from asd_agent.capture import devices
from asd_agent.errors import RuntimeMissing, SoundError
from support.portaudio_library import Library


def test_rates_that_open_are_tried_in_silence(
    sound: Library, capfd: pytest.CaptureFixture[str]
) -> None:
    assert devices.rates(devices.devices()) == {0: [16_000, 48_000]}
    assert capfd.readouterr().err == ""
    os.write(2, b"heard again\n")
    assert capfd.readouterr().err == "heard again\n"


def test_portaudio_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text(
        "raise OSError('PortAudio library not found')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(RuntimeMissing, match="apt install libportaudio2"):
        devices.devices()


def test_a_device_is_found_by_its_name(sound: Library) -> None:
    sound.names.append("Other: USB Audio (hw:2,0)")
    assert devices.find("other").index == 1
    with pytest.raises(SoundError, match="is not there; found: 'Mic: USB"):
        devices.find("Mic 2")


def test_the_listing_shows_devices_or_says_why_not(sound: Library) -> None:
    lines = devices.listing().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("(default)  2         16000 48000")
    sound.names.clear()
    assert "no capture device found" in devices.listing()
