"""How a device is opened and how its failures read, without one."""

import numpy as np
import pytest

from asd_agent.capture import asound
from asd_agent.capture.stream import Stream
from asd_agent.errors import SoundError
from support.portaudio_library import Library, PortAudioError


def test_one_channel_at_the_devices_rate(sound: Library) -> None:
    stream = Stream("default", 1)
    assert stream.rate_hz == 48_000
    assert sound.opened[0] == {
        "device": 0,
        "samplerate": 48_000,
        "channels": 2,
        "dtype": "float32",
        "latency": 0.5,
    }
    assert stream.available == 4_800
    raw, lost = stream.read(5)
    np.testing.assert_array_equal(np.frombuffer(raw, np.float32), [0, -2, -4, -6, -8])
    assert lost
    stream.close()
    stream.close()
    assert sound.closed == 1


@pytest.mark.parametrize("channel", [2, 9, -1])
def test_a_channel_that_is_not_there(sound: Library, channel: int) -> None:
    with pytest.raises(SoundError, match=f"channel {channel} is not there: .* has 2"):
        Stream("default", channel)
    assert sound.opened == []


@pytest.mark.parametrize(
    "error",
    [
        PortAudioError("Device unavailable", -9985),
        PortAudioError("Unanticipated host error", -9999, (0, -16, "busy")),
    ],
)
def test_who_keeps_the_device_busy_is_named(
    sound: Library, monkeypatch: pytest.MonkeyPatch, error: PortAudioError
) -> None:
    sound.fails["open"] = error
    with pytest.raises(SoundError, match="in use by another program; stop it"):
        Stream("default", 0)
    monkeypatch.setattr(asound, "holder", lambda card: f"arecord ({card})")
    with pytest.raises(SoundError, match=r"in use by arecord \(1\)"):
        Stream("default", 0)


def test_a_single_channel_is_not_asked_of_a_stereo_device(sound: Library) -> None:
    """A sound server would answer with the mix of both."""
    Stream("default", 0).close()
    sound.channels = 1
    Stream("default", 0).close()
    sound.channels = 6
    Stream("default", 4).close()
    assert [options["channels"] for options in sound.opened] == [2, 1, 5]


def test_another_failure_is_told_as_it_is(sound: Library) -> None:
    sound.fails["start"] = PortAudioError("Invalid sample rate", -9997)
    with pytest.raises(SoundError, match=r"cannot be opened \(.*Invalid sample rate"):
        Stream("default", 0)
    sound.fails["start"] = PortAudioError("Error querying device 3")
    with pytest.raises(SoundError, match="querying device 3"):
        Stream("default", 0)
    assert sound.closed == len(sound.opened) == 4


@pytest.mark.parametrize("verb", ["read", "available"])
def test_a_device_that_is_pulled_out(sound: Library, verb: str) -> None:
    stream = Stream("default", 0)
    sound.fails[verb] = PortAudioError("Unanticipated host error", -9999)
    with pytest.raises(SoundError, match=r"stopped giving sound .* check its cable"):
        stream.read(stream.available)
    stream.close()


def test_a_device_that_is_plugged_in_later_is_found(sound: Library) -> None:
    sound.plugged_in = [*sound.names, "Late: USB Audio (hw:2,0)"]
    stream = Stream("late", 0)
    assert sound.opened[-1]["device"] == 1
    stream.close()
