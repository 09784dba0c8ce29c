"""The capture devices of this machine."""

from collections.abc import Mapping, Sequence

from asd_agent.capture import portaudio
from asd_agent.capture.device import Device, choose, describe, table, why_none

RATES_HZ = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)


def devices() -> list[Device]:
    """List the capture devices.

    Raises
    ------
    RuntimeMissing
        PortAudio is not installed.
    """
    with portaudio.lock:
        sound = portaudio.library()
        default = sound.default.device[0]
        return describe(sound.query_devices(), sound.query_hostapis(), default)


def rates(devices: Sequence[Device]) -> Mapping[int, list[int]]:
    """Try which rates each device opens with.

    Returns
    -------
    mapping
        Device index to hertz, rising.
    """
    return {device.index: _rates(device) for device in devices}


def _rates(device: Device) -> list[int]:
    sound = portaudio.library()
    possible = []
    with portaudio.lock, portaudio.no_stderr():
        for rate_hz in sorted({*RATES_HZ, device.rate_hz}):
            try:
                sound.check_input_settings(
                    device=device.index, channels=1, samplerate=rate_hz
                )
            except sound.PortAudioError:
                continue
            possible.append(rate_hz)
    return possible


def find(wanted: str) -> Device:
    """Find the device that the user means, see `device.choose`.

    Raises
    ------
    SoundError
        No device answers to it, or several do.
    RuntimeMissing
        PortAudio is not installed.
    """
    return choose(wanted, devices())


def listing() -> str:
    """Lay out every capture device, and what it opens with, for a terminal.

    Raises
    ------
    RuntimeMissing
        PortAudio is not installed.
    """
    there = devices()
    if not there:
        return why_none()
    return table(there, rates(there))
