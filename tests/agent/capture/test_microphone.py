"""The microphone: a hand-written device, then a real one behind PortAudio."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import soundfile

from asd_agent.capture.chunk import Samples
from asd_agent.capture.feed import Feed
from asd_agent.capture.microphone import Microphone, RateCheck
from asd_agent.errors import SoundError
from support.sound_server import SoundServer, sound_server


class Device:
    """Gives what it was made with, then is unplugged."""

    rate_hz = 1_000

    def __init__(self, reads: list[tuple[Samples, bool]]) -> None:
        self.reads = reads
        self.counts: list[int] = []
        self.closed = 0

    def open(self, wanted: str, channel: int) -> "Device":
        self.opened = (wanted, channel)
        return self

    def read(self, count: int) -> tuple[Samples, bool]:
        self.counts.append(count)
        if not self.reads:
            raise SoundError("unplugged")
        return self.reads.pop(0)

    def close(self) -> None:
        self.closed += 1


def _sound(level: float = 0.1) -> Samples:
    return np.full(100, level, np.float32)


def test_reads_blocks_until_the_device_is_gone() -> None:
    device = Device([(_sound(), False), (_sound(0.2), True), (_sound(), False)])
    microphone = Microphone("usb:1:2", 3, open_stream=device.open)
    chunks = microphone.chunks()
    assert [chunk.gap for chunk in islice(chunks, 3)] == [False, True, False]
    with pytest.raises(SoundError, match="unplugged"):
        next(chunks)
    assert device.opened == ("usb:1:2", 3)
    assert device.counts == [100] * 4
    assert device.closed == 1
    assert (microphone.name, microphone.live) == ("usb:1:2", True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_becomes_a_gap(bad: float) -> None:
    sound = _sound()
    sound[7] = bad
    device = Device([(sound, False)])
    chunk = next(Microphone("m", open_stream=device.open).chunks())
    assert chunk.gap
    expected = _sound()
    expected[7] = 0.0
    np.testing.assert_array_equal(chunk.samples, expected)


def test_close_lets_go_of_the_device() -> None:
    device = Device([(_sound(), False)] * 5)
    microphone = Microphone("m", open_stream=device.open)
    chunks = microphone.chunks()
    next(chunks)
    microphone.close()
    assert list(chunks) == []
    assert (device.closed, len(device.reads)) == (1, 4)


def test_the_feed_counts_what_the_device_lost() -> None:
    reads = [(_sound(), turn == 1) for turn in range(4)]
    device = Device(reads)
    feed = Feed(Microphone("m", open_stream=device.open), 1_000, block_s=0.1)
    blocks = feed.blocks()
    gaps = {block.start // 100: block.gap for block in islice(blocks, 4)}
    assert gaps == {0: False, 1: True, 2: False, 3: False}
    assert feed.overflows == 1
    with pytest.raises(SoundError, match="unplugged"):
        next(blocks)
    feed.close()
    assert device.closed == 1


def _run(check: RateCheck, true_hz: float, seconds: int) -> None:
    for block in range(seconds * 10):
        check.push(round(true_hz / 10), 50.0 + block * 0.1, lost=False)


@pytest.mark.parametrize("true_hz", [16_100, 16_000, 15_900])
def test_a_true_rate_is_not_complained_about(
    true_hz: int, caplog: pytest.LogCaptureFixture
) -> None:
    check = RateCheck("m", 16_000)
    _run(check, true_hz, 130)
    assert check.measured_hz == pytest.approx(true_hz, rel=1e-3)
    assert caplog.text == ""


@pytest.mark.parametrize("true_hz", [16_200, 8_000, 44_100])
def test_a_wrong_rate_is_told_once(
    true_hz: int, caplog: pytest.LogCaptureFixture
) -> None:
    check = RateCheck("m", 16_000)
    _run(check, true_hz, 300)
    assert check.measured_hz == pytest.approx(true_hz, rel=1e-3)
    assert [record.message for record in caplog.records] == [
        f"m: promises 16000 samples a second and gives {true_hz}: every frequency "
        "is shifted; choose another device or rate in the sound server"
    ]


def test_lost_samples_are_not_taken_for_a_wrong_rate() -> None:
    check = RateCheck("m", 16_000)
    for block in range(2_000):
        lost = block % 300 == 299
        check.push(1_600, block * 0.1 + 0.5 * (block // 300 + lost), lost)
    assert check.measured_hz is None


def test_the_burst_at_the_start_is_not_measured() -> None:
    check = RateCheck("m", 16_000)
    for _ in range(20):
        check.push(1_600, 0.0, lost=False)
    _run(check, 16_000, 70)
    assert check.measured_hz == pytest.approx(16_000, rel=1e-3)


CAPTURE = """
import json, sys
import numpy as np
from asd_agent.capture.feed import Feed
from asd_agent.capture.microphone import Microphone

feed = Feed(Microphone(sys.argv[1], channel=int(sys.argv[2])), 16_000)
heard, blocks = [], feed.blocks()
while sum(map(len, heard)) < 40_000:
    block = next(blocks)
    assert not block.gap, "a gap"
    heard.append(block.samples)
feed.close()
tone = np.concatenate(heard)[-16_000:]
hertz = int(np.abs(np.fft.rfft(tone * np.hanning(16_000))).argmax())
print(json.dumps({"hertz": hertz, "rms": float(np.sqrt((tone**2).mean()))}))
"""

REFUSED = """
import sys
from asd_agent.capture.microphone import Microphone
from asd_agent.errors import SoundError

try:
    next(Microphone(sys.argv[1], channel=int(sys.argv[2])).chunks())
except SoundError as error:
    print(error)
"""

# Linux 6.3 and later can forbid a process what MemoryDenyWriteExecute= forbids:
# memory that is written and then executed. 65 is PR_SET_MDWE.
NO_WRITE_EXECUTE = """
import ctypes
from asd_agent.capture.microphone import Microphone
from asd_agent.capture.portaudio import library

forbidden = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0
chunks = Microphone("default").chunks()
assert all(len(next(chunks).samples) for _ in range(3))
try:
    library().InputStream(callback=lambda *_: None).close()
except MemoryError:
    print(forbidden)
else:
    print(not forbidden)
"""

UNPLUGGED = """
import time
from asd_agent.capture.microphone import Microphone
from asd_agent.errors import SoundError

for turn in range(100):
    microphone = Microphone("default")
    try:
        for chunk in microphone.chunks():
            print("heard", flush=True)
    except SoundError as error:
        print(error, flush=True)
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    """Null sink that hears 1000 Hz on the left and 3000 Hz on the right."""
    path = tmp_path_factory.mktemp("sound") / "tones.wav"
    time_s = np.arange(60 * 48_000) / 48_000
    left = 0.5 * np.sin(2 * np.pi * 1_000 * time_s)
    right = 0.05 * np.sin(2 * np.pi * 3_000 * time_s)
    soundfile.write(path, np.stack([left, right], axis=1), 48_000)
    with sound_server() as running, running.play(path):
        yield running


def _python(server: SoundServer, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=server.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.microphone
@pytest.mark.parametrize(
    ("channel", "hertz", "level"), [(0, 1_000, 0.5), (1, 3_000, 0.05)]
)
def test_a_tone_is_captured(
    server: SoundServer, channel: int, hertz: int, level: float
) -> None:
    heard = json.loads(_python(server, CAPTURE, "default", str(channel)))
    assert heard["hertz"] == hertz
    assert heard["rms"] == pytest.approx(level / np.sqrt(2), rel=0.02)


@pytest.mark.microphone
def test_a_missing_device_is_said_with_those_there_are(server: SoundServer) -> None:
    text = _python(server, REFUSED, "usb:0d8c:0014", "0")
    assert text.startswith("microphone 'usb:0d8c:0014' is not there; found: ")
    assert "'default'" in text
    assert "'pulse'" in text


@pytest.mark.microphone
def test_a_missing_channel_is_said(server: SoundServer) -> None:
    assert "channel 99 is not there" in _python(server, REFUSED, "pulse", "99")


@pytest.mark.microphone
def test_capture_needs_no_executable_memory(server: SoundServer) -> None:
    assert _python(server, NO_WRITE_EXECUTE) == "True"


@pytest.mark.microphone
def test_unplugged_and_plugged_in_again() -> None:
    with sound_server() as server:
        capture = subprocess.Popen(
            [sys.executable, "-c", UNPLUGGED],
            env=server.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert capture.stdout is not None
            lines = iter(capture.stdout)
            assert next(lines) == "heard\n"
            server.stop()
            assert "stopped giving sound" in next(x for x in lines if x != "heard\n")
            assert "no capture device" in next(lines)
            server.start()
            assert "heard\n" in islice(lines, 90)
        finally:
            capture.kill()
            capture.communicate()
