"""An open capture device, read by looking whether there is something.

There is no callback. A callback needs a piece of memory that is written and then
executed, which ``MemoryDenyWriteExecute=`` of the systemd unit forbids; and one
that waits for Python's interpreter lock loses samples, where a read does not until
PortAudio's own buffer is full. Nor does a read wait: a device that is there and gives
nothing would keep it for ever.
"""

from array import array
from typing import Any

from asd_agent.capture import asound, devices, portaudio
from asd_agent.capture.device import Device
from asd_agent.errors import SoundError

BUFFER_S = 0.5
"""Sound that the device keeps while Python is late; "high" may mean 0.035 s"""
_BUSY = (-9985, -16)
"""PortAudio's "device unavailable" and Linux's EBUSY"""


class Stream:
    """An open device; a process has one.

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
        self._channel = channel
        with portaudio.lock:
            try:
                self.device, self._stream = _opened(wanted, channel)
            except SoundError:
                portaudio.list_again()
                self.device, self._stream = _opened(wanted, channel)
        self.rate_hz = self.device.rate_hz
        self._channels = int(self._stream.channels)
        self._is_open = True

    @property
    def available(self) -> int:
        """Samples of each channel that can be read at once.

        Raises
        ------
        SoundError
            The device gives no more, most often because it was unplugged.
        """
        try:
            return int(self._stream.read_available)
        except portaudio.library().PortAudioError as error:
            raise self._stopped(error) from error

    def read(self, count: int) -> tuple[bytes, bool]:
        """Read samples.

        Parameters
        ----------
        count : int
            How many; no more than are `available`, or this waits for them.

        Returns
        -------
        samples : bytes
            float32, `count` of the one channel.
        lost : bool
            Whether samples before them were lost.

        Raises
        ------
        SoundError
            The device gives no more, most often because it was unplugged.
        """
        try:
            raw, lost = self._stream.read(count)
        except portaudio.library().PortAudioError as error:
            raise self._stopped(error) from error
        frames = array("f", bytes(raw))
        return frames[self._channel :: self._channels].tobytes(), bool(lost)

    def close(self) -> None:
        """Let go of the device; may be called more than once."""
        with portaudio.lock:
            if self._is_open:
                self._is_open = False
                self._stream.close()

    def _stopped(self, error: Exception) -> SoundError:
        return SoundError(
            f"{self.device.name}: stopped giving sound ({error}); "
            "check its cable and its power"
        )


def _opened(wanted: str, channel: int) -> tuple[Device, Any]:
    sound, device = portaudio.library(), devices.find(wanted)
    if not 0 <= channel < device.channels:
        raise SoundError(
            f"{device.name}: channel {channel} is not there: the device "
            f"has {device.channels}, counted from 0; change channel"
        )
    try:
        stream = sound.RawInputStream(
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
