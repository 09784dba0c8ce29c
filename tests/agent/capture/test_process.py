"""The process that captures: what it writes, and when it gives up."""

import os

import numpy as np
import pytest

from asd_agent.capture import process
from asd_agent.capture.device import Device
from asd_agent.capture.process import FIRST_S, STALL_S, Listener, listen
from asd_agent.capture.wire import OPENED, SOUND, Packet, unpack
from asd_agent.errors import SoundError

RATE_HZ = 1_000
DEVICE = Device(1, "Mic", "usb:1:2", "usb:1:2@3", "ALSA", 2, RATE_HZ, True, 1)


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 10.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Stream:
    """Gives sound as the clock passes, within some stretches of time."""

    device = DEVICE
    rate_hz = RATE_HZ

    def __init__(self, clock: Clock, *stretches: tuple[float, float]) -> None:
        self._clock = clock
        self._stretches = stretches
        self._taken = 0
        self.closed = False

    @property
    def available(self) -> int:
        came_s = sum(
            max(0.0, min(self._clock(), past) - first)
            for first, past in self._stretches
        )
        return int(came_s * RATE_HZ + 1e-6) - self._taken

    def read(self, count: int) -> tuple[bytes, bool]:
        assert count <= self.available
        self._taken += count
        return np.full(count, 0.5, np.float32).tobytes(), False

    def close(self) -> None:
        self.closed = True


def packets(stream: Stream, clock: Clock, since_s: float | None = None) -> list[Packet]:
    return list(Listener(stream, clock, clock.sleep, since_s).packets())


def test_sound_in_tenths_of_a_second_until_it_stalls() -> None:
    clock = Clock()
    found = packets(Stream(clock, (10.0, 15.0)), clock)
    assert len(found) == 50
    assert {packet.kind for packet in found} == {SOUND}
    assert {len(packet.body) for packet in found} == {4 * RATE_HZ // 10}
    assert not any(packet.gap or packet.lost for packet in found)
    assert found[-1].at_s == pytest.approx(15.0, abs=0.05)
    assert clock() == pytest.approx(15.0 + STALL_S, abs=0.1)


def test_the_first_sound_may_take_longer() -> None:
    clock = Clock()
    assert len(packets(Stream(clock, (14.0, 15.0)), clock)) == 10
    clock = Clock()
    assert packets(Stream(clock), clock) == []
    assert clock() == pytest.approx(10.0 + FIRST_S, abs=0.1)


def test_a_pause_is_told_with_its_length() -> None:
    clock = Clock()
    found = packets(Stream(clock, (10.0, 12.0), (13.0, 16.0)), clock)
    assert [packet.gap for packet in found].index(True) == 20
    assert sum(packet.lost for packet in found) == pytest.approx(1_000, abs=100)


def test_what_passed_since_another_stream_is_lost() -> None:
    clock = Clock()
    first, *rest = packets(Stream(clock, (10.0, 11.0)), clock, since_s=7.0)
    assert first.gap
    assert first.lost == pytest.approx(3_000, abs=50)
    assert sum(packet.lost for packet in rest) == 0


def test_a_stream_that_stalls_is_opened_anew_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    streams = [Stream(clock, (10.0, 12.0)), Stream(clock, (14.0, 16.0)), Stream(clock)]
    opened = list(streams)

    def listener(stream: Stream, since_s: float | None = None) -> Listener:
        return Listener(stream, clock, clock.sleep, since_s)

    monkeypatch.setattr(process, "Stream", lambda *_: opened.pop(0))
    monkeypatch.setattr(process, "Listener", listener)
    monkeypatch.setattr(os, "getppid", lambda: 7)
    written = bytearray()
    with pytest.raises(SoundError, match="is open and gives no sound"):
        listen("mic", 0, written.extend, 7)
    assert all(stream.closed for stream in streams)
    found = []
    while (packet := unpack(written)) is not None:
        found.append(packet)
    assert [packet.kind for packet in found].count(OPENED) == 3
    assert found[0].json() == {"name": "Mic", "id": "usb:1:2", "rate_hz": RATE_HZ}
    lost = [packet for packet in found if packet.lost]
    assert len(lost) == 1
    assert lost[0].lost == pytest.approx(2_000, abs=100)


def test_it_ends_with_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    stream = Stream(clock, (10.0, 99.0))
    monkeypatch.setattr(process, "Stream", lambda *_: stream)
    monkeypatch.setattr(
        process,
        "Listener",
        lambda stream, since_s=None: Listener(stream, clock, clock.sleep, since_s),
    )
    monkeypatch.setattr(os, "getppid", lambda: 1)
    listen("mic", 0, lambda _: None, parent=7)
    assert stream.closed
