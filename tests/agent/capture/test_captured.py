"""A device in another process, which can say anything, hang, or die."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from asd_agent.capture import captured
from asd_agent.capture.captured import Captured
from asd_agent.capture.wire import FAILED, OPENED, SOUND, Packet, pack, say
from asd_agent.errors import AsdError, RuntimeMissing, SoundError

SOUND_10 = pack(Packet(SOUND, np.full(10, 0.25, np.float32).tobytes(), 0, 5.0))
OPENED_1000 = say(OPENED, {"name": "Mic", "id": "usb:1:2", "rate_hz": 1000})

Start = Callable[[str, int], Sequence[str]]


def start(folder: Path, *parts: bytes, then: str = "") -> Start:
    """A process that writes some bytes, and then does something."""
    script = folder / "child.py"
    script.write_text(
        "import sys, time, os\n"
        f"for part in {list(parts)!r}:\n"
        "    sys.stdout.buffer.write(part)\n"
        "    sys.stdout.buffer.flush()\n"
        f"{then}\n"
    )
    return lambda *_: [sys.executable, str(script)]


HANG = "time.sleep(60)"


def test_sound_comes_through(tmp_path: Path) -> None:
    lost = pack(Packet(SOUND, np.zeros(10, np.float32).tobytes(), 70, 6.0, gap=True))
    device = Captured("m", 0, start=start(tmp_path, OPENED_1000, SOUND_10, lost))
    assert device.rate_hz == 1000
    piece = device.read()
    np.testing.assert_array_equal(piece.samples, np.full(10, 0.25, np.float32))
    assert (piece.at_s, piece.gap, piece.lost) == (5.0, False, 0)
    piece.samples[0] = 1.0  # they are the reader's own
    piece = device.read()
    assert (piece.at_s, piece.gap, piece.lost) == (6.0, True, 70)
    with pytest.raises(SoundError, match=r"has ended \(code 0\)"):
        device.read()
    device.close()
    device.close()


@pytest.mark.parametrize(("missing", "kind"), [(0, SoundError), (1, RuntimeMissing)])
def test_why_it_cannot_be_opened(
    tmp_path: Path, missing: int, kind: type[AsdError]
) -> None:
    said = say(FAILED, {"error": "no such device; write another", "missing": missing})
    with pytest.raises(kind, match=r"^no such device; write another$"):
        Captured("m", 0, start=start(tmp_path, said, then=HANG))


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("os._exit(3)", r"has ended \(code 3\)"),
        ("os.kill(os.getpid(), 9)", r"has ended \(by signal 9\)"),
        ("sys.stdout.buffer.write(b'Traceback'*9)", "writes nonsense"),
    ],
)
def test_a_process_that_dies(tmp_path: Path, then: str, said: str) -> None:
    device = Captured("m", 0, start=start(tmp_path, OPENED_1000, then=then))
    with pytest.raises(SoundError, match=said):
        device.read()
    device.close()


def test_a_process_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured, "STALL_S", 0.3)
    monkeypatch.setattr(captured, "FIRST_S", 0.6)
    monkeypatch.setattr(captured, "OPEN_S", 5.0)
    device = Captured("m", 0, start=start(tmp_path, OPENED_1000, SOUND_10, then=HANG))
    device.read()
    with pytest.raises(SoundError, match=r"no sound for 0\.3 s"):
        device.read()
    process = device._process
    assert process.poll() is None
    device.close()
    assert process.poll() == -9
    deaf = Captured("m", 0, start=start(tmp_path, OPENED_1000, then=HANG))
    with pytest.raises(SoundError, match=r"no sound for 0\.6 s"):
        deaf.read()
    deaf.close()


def test_a_stream_that_is_only_opened_anew_is_no_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a device that opens and says nothing would never be a fault."""
    monkeypatch.setattr(captured, "STALL_S", 0.5)
    again = (
        f"while True: sys.stdout.buffer.write({OPENED_1000!r}); "
        "sys.stdout.buffer.flush(); time.sleep(0.05)"
    )
    begin = start(tmp_path, OPENED_1000, SOUND_10, then=again)
    device = Captured("m", 0, start=begin)
    device.read()
    before_s = time.monotonic()
    with pytest.raises(SoundError, match="no sound for"):
        device.read()
    assert time.monotonic() - before_s < 5
    device.close()


def test_another_rate_is_seen(tmp_path: Path) -> None:
    faster = say(OPENED, {"name": "Mic", "id": "usb:1:2", "rate_hz": 2000})
    device = Captured(
        "m", 0, start=start(tmp_path, OPENED_1000, SOUND_10, faster, SOUND_10)
    )
    device.read()
    device.read()
    assert device.rate_hz == 2000
    device.close()
