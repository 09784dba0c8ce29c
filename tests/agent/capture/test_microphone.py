"""The microphone: a hand-written device, then a real one behind PortAudio."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent.capture.captured import Piece
from asd_agent.capture.chunk import Samples
from asd_agent.capture.feed import Feed
from asd_agent.capture.microphone import Microphone, RateCheck
from asd_agent.errors import SoundError
from support.sound_server import SoundServer, sound_server


class Device:
    """Gives what it was made with, then is unplugged."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.rate_hz = 1_000
        self.pieces = pieces
        self.closed = 0

    def open(self, wanted: str, channel: int) -> "Device":
        self.opened = (wanted, channel)
        return self

    def read(self) -> Piece:
        if not self.pieces:
            raise SoundError("unplugged")
        return self.pieces.pop(0)

    def close(self) -> None:
        self.closed += 1


def _sound(level: float = 0.1) -> Samples:
    return np.full(100, level, np.float32)


def _piece(level: float = 0.1, at_s: float = 0.0, **lost: Any) -> Piece:
    return Piece(_sound(level), at_s, **lost)


def test_reads_pieces_until_the_device_is_gone() -> None:
    pieces = [_piece(), _piece(0.2, gap=True), _piece(lost=7), _piece()]
    device = Device(pieces)
    microphone = Microphone("usb:1:2", 3, open_stream=device.open)
    chunks = microphone.chunks()
    first = list(islice(chunks, 4))
    assert [chunk.gap for chunk in first] == [False, True, True, False]
    assert [chunk.lost for chunk in first] == [0, 0, 7, 0]
    with pytest.raises(SoundError, match="unplugged"):
        next(chunks)
    assert device.opened == ("usb:1:2", 3)
    assert device.closed == 1
    assert (microphone.name, microphone.live) == ("usb:1:2", True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_becomes_a_gap(bad: float) -> None:
    piece = _piece()
    piece.samples[7] = bad
    chunk = next(Microphone("m", open_stream=Device([piece]).open).chunks())
    assert chunk.gap
    expected = _sound()
    expected[7] = 0.0
    np.testing.assert_array_equal(chunk.samples, expected)


def test_close_lets_go_of_the_device() -> None:
    device = Device([_piece() for _ in range(5)])
    microphone = Microphone("m", open_stream=device.open)
    chunks = microphone.chunks()
    next(chunks)
    microphone.close()
    assert list(chunks) == []
    assert (device.closed, len(device.pieces)) == (1, 4)


def test_the_feed_counts_what_the_device_lost() -> None:
    device = Device([_piece(gap=turn == 1, lost=50 * (turn == 1)) for turn in range(4)])
    feed = Feed(Microphone("m", open_stream=device.open), 1_000, block_s=0.1)
    blocks = feed.blocks()
    gaps = {block.start: block.gap for block in islice(blocks, 4)}
    # The counter goes on as the clock does, over what is missing.
    assert gaps == {0: False, 150: True, 250: False, 350: False}
    assert (feed.overflows, feed.skipped_samples) == (1, 50)
    with pytest.raises(SoundError, match="unplugged"):
        next(blocks)
    feed.close()
    assert device.closed == 1


def test_a_device_that_is_opened_anew_may_have_another_rate() -> None:
    device = Device([_piece(), _piece()])
    microphone = Microphone("m", open_stream=device.open)
    chunks = microphone.chunks()
    assert next(chunks).rate_hz == 1_000
    device.rate_hz = 500
    assert next(chunks).rate_hz == 500


def test_a_wrong_rate_makes_all_of_the_sound_suspect() -> None:
    """Promised are 1000 samples a second; it takes 0.125 s for each 100."""
    device = Device([_piece(at_s=turn * 0.125) for turn in range(200)])
    microphone = Microphone("m", open_stream=device.open)
    assert microphone.flaw == ""
    flaws: list[str] = []
    with pytest.raises(SoundError):
        flaws.extend(microphone.flaw for _ in microphone.chunks())
    assert flaws[0] == ""
    assert flaws[-1] == "rate"
    # As soon as it is sure: after five seconds to settle, and a few more.
    assert 5 < flaws.index("rate") * 0.125 < 8


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


def test_a_rate_that_is_far_off_is_told_within_seconds() -> None:
    check = RateCheck("m", 16_000)
    _run(check, 8_000, 8)
    assert check.off
    check = RateCheck("m", 16_000)
    _run(check, 15_950, 300)
    assert not check.off


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
