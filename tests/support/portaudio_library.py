"""A small library in the place of PortAudio, for failures that are hard to cause."""

import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from asd_agent.capture.chunk import Samples


class PortAudioError(Exception):
    """As sounddevice raises it: text, code, and details of the sound system."""


class Library:
    """Devices that open, or fail as told."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.names = ["Mic: USB Audio (hw:1,0)"]
        self.plugged_in: list[str] = []
        self.fails: dict[str, PortAudioError] = {}
        self.opened: list[dict[str, Any]] = []
        self.closed = 0
        self.channels = 2
        self.available = 4_800
        self._opened_channels = 0
        self.default = SimpleNamespace(device=(0, -1))

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "index": index,
                "name": name,
                "hostapi": 0,
                "max_input_channels": self.channels,
                "default_samplerate": 48_000.0,
            }
            for index, name in enumerate(self.names)
        ]

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def RawInputStream(self, **options: Any) -> "Library":
        self._maybe_fail("open")
        self.opened.append(options)
        self._opened_channels = options["channels"]
        return self

    @property
    def read_available(self) -> int:
        self._maybe_fail("available")
        return self.available

    def start(self) -> None:
        self._maybe_fail("start")

    def read(self, count: int) -> tuple[bytes, bool]:
        """Channel n of a frame is its number times n + 1, alternately negative."""
        self._maybe_fail("read")
        ramp = np.arange(count, dtype=np.float32)
        factors = [(n + 1) * (-1) ** n for n in range(self._opened_channels)]
        frames: Samples = np.stack([ramp * np.float32(f) for f in factors], axis=1)
        return frames.tobytes(), True

    def close(self) -> None:
        self.closed += 1

    def check_input_settings(self, **options: Any) -> None:
        os.write(2, b"a library talks\n")
        if options["samplerate"] not in (16_000, 48_000):
            raise PortAudioError("Invalid sample rate", -9997)

    def _terminate(self) -> None:
        self.names = []

    def _initialize(self) -> None:
        self.names = self.plugged_in

    def _maybe_fail(self, verb: str) -> None:
        if verb in self.fails:
            raise self.fails[verb]
