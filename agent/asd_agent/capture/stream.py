"""An open capture device, read by waiting.

There is no callback. A callback needs a piece of memory that is written and then
executed, which ``MemoryDenyWriteExecute=`` of the systemd unit forbids; and one
that waits for Python's interpreter lock loses samples, where a read does not until
PortAudio's own buffer is full.
"""

from typing import Any

from asd_agent.capture import asound, devices, portaudio
from asd_agent.capture.chunk import Samples
from asd_agent.capture.device import Device
from asd_agent.errors import SoundError

BUFFER_S = 0.5
"""Sound that the device keeps while Python is late; "high" may mean 0.035 s"""
_BUSY = (-9985, -16)
"""PortAudio's "device unavailable" and Linux's EBUSY"""

_open_streams = 0


class Stream:
    """An open device.

    Parameters
    ----------
    wanted : str
        See `device.choose`.
    channel : int
        The one channel that is wanted, from 0.

    Raises
    ------
    SoundError
        The device is missing, busy or has no such channel.
    RuntimeMissing
        PortAudio is not installed.
    """

    def __init__(self, wanted: str, channel: int) -> None:
        global _open_streams  # noqa: PLW0603 - PortAudio itself is global
        self._channel = channel
        with portaudio.lock:
            try:
                self._device, self._stream = _opened(wanted, channel)
            except SoundError:
                if _open_streams:
                    raise
                portaudio.list_again()
                self._device, self._stream = _opened(wanted, channel)
            _open_streams += 1
        self.rate_hz = self._device.rate_hz
        self._is_open = True

    def read(self, count: int) -> tuple[Samples, bool]:
        """Wait for samples.

        Parameters
        ----------
        count : int
            How many.

        Returns
        -------
        samples : array, shape ``(count,)``, float32
        lost : bool
            Whether samples before them were lost.

        Raises
        ------
        SoundError
            The device gives no more, most often because it was unplugged.
        """
        try:
            frames, lost = self._stream.read(count)
        except portaudio.library().PortAudioError as error:
            raise SoundError(
                f"{self._device.name}: stopped giving sound ({error}); "
                "check its cable and its power"
            ) from error
        return frames[:, self._channel].copy(), bool(lost)

    def close(self) -> None:
        """Let go of the device; may be called more than once."""
        global _open_streams  # noqa: PLW0603 - PortAudio itself is global
        with portaudio.lock:
            if self._is_open:
                self._is_open = False
                _open_streams -= 1
                self._stream.close()


def _opened(wanted: str, channel: int) -> tuple[Device, Any]:
    sound, device = portaudio.library(), devices.find(wanted)
    if not 0 <= channel < device.channels:
        raise SoundError(
            f"{device.name}: channel {channel} is not there: the device "
            f"has {device.channels}, counted from 0; change channel"
        )
    try:
        stream = sound.InputStream(
            device=device.index,
            samplerate=device.rate_hz,
            # Asked for one channel, a sound server mixes both of a stereo device.
            channels=max(channel + 1, min(2, device.channels)),
            # PortAudio converts from what the device offers, 24 bit included.
            dtype="float32",
            latency=BUFFER_S,
        )
    except sound.PortAudioError as error:
        raise SoundError(_why_closed(device, error)) from error
    try:
        stream.start()
    except sound.PortAudioError as error:
        stream.close()
        raise SoundError(_why_closed(device, error)) from error
    return device, stream


def _why_closed(device: Device, error: Exception) -> str:
    code, host = (*error.args[1:], None, None)[:2]
    errno = host[1] if host else None
    if code not in _BUSY and errno not in _BUSY:
        return f"{device.name}: cannot be opened ({error}); see asd-agent devices"
    holder = asound.holder(device.card) if device.card is not None else ""
    return (
        f"{device.name}: is in use by {holder or 'another program'}; stop it, or let "
        "both capture through the sound server: microphone: default"
    )
