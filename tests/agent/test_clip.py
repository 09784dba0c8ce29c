"""A clip is the sound that was heard, from before the alarm to after it."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.capture.chunk import Block, Samples
from asd_agent.clip import SIDECAR_BYTES, Clip, Line, Recent, most_bytes
from asd_agent.clip_store import SPARE_BYTES
from asd_agent.clips import LIMITS, STALLED_S, WAITING_CLIPS
from asd_agent.config import ClipsConfig
from support.sounds import blocks, noise

RATE_HZ = 1000


def counted(past: int, start: int = 0) -> Samples:
    """Samples that are their own numbers."""
    return np.arange(start, past, dtype=np.float32)


def clip_of(samples: Samples, **changed: object) -> Clip:
    values: dict[str, object] = {
        "name": "5f0c1e9a-pump-80000",
        "source": "pump",
        "rate_hz": RATE_HZ,
        "samples": samples,
        "before": len(samples),
        "gap": False,
        "clipped": False,
        "alarm": {},
    }
    return Clip(**(values | changed))  # type: ignore[arg-type]


def sound_of(clip: Clip) -> tuple[Samples, int, float]:
    """Samples, rate and full scale as somebody reads them who has the files."""
    files = clip.encode()
    assert set(files) == {".flac", ".json"}
    samples, rate_hz = soundfile.read(io.BytesIO(files[".flac"]), dtype="float32")
    return samples, rate_hz, json.loads(files[".json"])["full_scale"]


PIECE = st.tuples(st.integers(1, 40), st.booleans(), st.booleans())


@given(capacity=st.integers(0, 50), pieces=st.lists(PIECE, max_size=20))
def test_the_newest_samples_are_kept_with_what_is_wrong_with_them(
    capacity: int, pieces: list[tuple[int, bool, bool]]
) -> None:
    recent, past = Recent(capacity), 0
    gaps, clippings = [], []
    for length, gap, clipped in pieces:
        recent.push(counted(past + length, past), gap=gap, clipped=clipped)
        past += length
        gaps += [gap] * length
        clippings += [clipped] * length
        room = np.full(capacity + 3, -1, np.float32)
        count, gap_in, clipped_in = recent.copy_to(room)
        assert count == min(capacity, past)
        np.testing.assert_array_equal(room[:count], counted(past, past - count))
        np.testing.assert_array_equal(room[count:], -1)
        assert gap_in == any(gaps[past - count :])
        assert clipped_in == any(clippings[past - count :])


@given(
    before=st.integers(0, 60),
    after=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    at=st.integers(0, 29),
)
def test_a_clip_reaches_from_before_the_alarm_to_after_it(
    before: int, after: int, sizes: list[int], at: int
) -> None:
    line = Line("pump", before / RATE_HZ, after / RATE_HZ)
    past, alarm, found = 0, None, []
    for number, size in enumerate(sizes):
        block = Block(counted(past + size, past), past, gap=False)
        found.append(line.hear(block, RATE_HZ, 0.0))
        past += size
        if number == at:
            assert line.begin("name", {}, 0.0)
            alarm = past
    clips = [clip for clip in [*found, line.end()] if clip]
    if alarm is None:
        assert clips == []
        return
    (clip,) = clips
    first = max(0, alarm - before)
    assert clip.before == alarm - first
    np.testing.assert_array_equal(
        clip.samples, counted(min(past, alarm + after), first)
    )
    assert not line.recording


def test_there_is_one_clip_at_a_time() -> None:
    line = Line("pump", 0.01, 0.01)
    assert not line.begin("early", {}, 0.0)  # nothing was heard
    line.hear(Block(noise(5), 0, gap=False), RATE_HZ, 0.0)
    assert line.begin("first", {}, 0.0)
    assert not line.begin("second", {}, 0.0)
    clip = line.hear(Block(noise(20), 5, gap=False), RATE_HZ, 0.0)
    assert clip is not None
    assert clip.name == "first"
    assert line.begin("third", {}, 0.0)


@pytest.mark.parametrize(
    ("second", "gap"),
    [
        (Block(noise(10), 10, gap=False), False),
        (Block(noise(10), 10, gap=True), True),
        (Block(noise(10), 11, gap=False), True),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_lost_samples_are_told(second: Block, gap: bool, late: bool) -> None:
    line = Line("pump", 0.02, 0.02)
    line.hear(Block(noise(10), 0, gap=False), RATE_HZ, 0.0)
    if late:
        line.begin("name", {}, 0.0)
    line.hear(second, RATE_HZ, 0.0)
    if not late:
        line.begin("name", {}, 0.0)
    clip = line.end()
    assert clip is not None
    assert clip.gap is gap
    # What was lost before the clip begins is no gap in it.
    line.hear(Block(noise(30), second.start + 10, gap=False), RATE_HZ, 0.0)
    line.begin("name", {}, 0.0)
    clip = line.end()
    assert clip is not None
    assert clip.gap is False


def test_another_rate_ends_the_clip() -> None:
    line = Line("pump", 0.01, 1.0)
    line.hear(Block(counted(20), 0, gap=False), RATE_HZ, 0.0)
    line.begin("name", {}, 0.0)
    clip = line.hear(Block(counted(20), 5, gap=True), 2 * RATE_HZ, 0.0)
    assert clip is not None
    assert clip.rate_hz == RATE_HZ
    assert clip.gap is False
    np.testing.assert_array_equal(clip.samples, counted(20, 10))
    line.begin("other", {}, 0.0)
    clip = line.end()
    assert clip is not None
    assert clip.rate_hz == 2 * RATE_HZ
    np.testing.assert_array_equal(clip.samples, counted(20))


def test_the_file_holds_24_bits_of_what_was_heard() -> None:
    samples = noise(5000)
    found, rate_hz, full_scale = sound_of(clip_of(samples))
    assert (rate_hz, full_scale) == (RATE_HZ, 1.0)
    np.testing.assert_allclose(found, samples, rtol=0, atol=2.0**-24)
    whole = (np.rint(samples * 32_768) / 32_768).astype(np.float32)
    found, _, _ = sound_of(clip_of(whole))
    np.testing.assert_array_equal(found, whole)


def test_sound_over_full_scale_and_no_sound_are_kept() -> None:
    loud = noise(5000, level=3.0)
    found, _, full_scale = sound_of(clip_of(loud))
    assert full_scale == 16.0
    np.testing.assert_allclose(found * full_scale, loud, rtol=0, atol=16 * 2.0**-24)
    broken = np.array([0.5, np.nan, np.inf, -np.inf, -0.5], np.float32)
    found, _, full_scale = sound_of(clip_of(broken))
    assert full_scale == 1.0
    np.testing.assert_array_equal(found, [0.5, 0, 0, 0, -0.5])


def test_what_stands_beside_the_sound() -> None:
    alarm = {"event_id": "5f0c1e9a-pump-80000", "bands": [{"lo_hz": 2000.0}]}
    clip = clip_of(noise(1500), before=1000, gap=True, clipped=True, alarm=alarm)
    assert json.loads(clip.encode()[".json"]) == {
        "v": 1,
        "clip": "5f0c1e9a-pump-80000",
        "source": "pump",
        "rate_hz": 1000,
        "seconds": 1.5,
        "before_s": 1.0,
        "gap": True,
        "clipped": True,
        "full_scale": 1.0,
        "alarm": alarm,
    }
    with pytest.raises(ValueError, match="JSON"):
        clip_of(noise(10), alarm={"score": float("nan")}).encode()


@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_no_sound_packs_so_badly_that_it_needs_more_room(samples: int) -> None:
    # All of 24 bits are random: nothing can be packed.
    rng = np.random.default_rng(1)
    files = clip_of(rng.uniform(-1, 1, samples).astype(np.float32)).encode()
    most = most_bytes(samples / RATE_HZ, RATE_HZ) - SIDECAR_BYTES
    assert len(files[".flac"]) <= most
    assert len(files[".json"]) <= SIDECAR_BYTES


def test_the_page_says_what_is_kept_and_what_bounds_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clips.md").read_text("utf-8")
    table = page[page.index("| Key | What it is |") :].split("\n\n")[0]
    said = json.loads(clip_of(noise(10)).encode()[".json"])
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(said)
    (hour, _), (day, _) = LIMITS
    for words in (
        f"{hour} an hour and {day} a day",
        f"{SPARE_BYTES >> 20} MiB of the disk stay free",
        f"at most {WAITING_CLIPS} clips",
        f"unplugged for {STALLED_S:g} s",
        f"the {ClipsConfig().before_s:g} s before",
        f"the {ClipsConfig().after_s:g} s after",
        f"{16_000 * np.dtype(np.float32).itemsize // 1000} kB a second at 16 kHz",
    ):
        assert words in " ".join(page.split()), words


WRITE_XOR_EXECUTE = """
import ctypes, sys
import numpy as np
from asd_agent.clip import Clip
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    sys.exit(77)
sound = np.zeros(1000, np.float32)
clip = Clip("5f0c1e9a-pump-1", "pump", 1000, sound, 0, False, False, {})
sys.exit(0 if clip.encode()[".flac"].startswith(b"fLaC") else 1)
"""


def test_sound_is_packed_without_memory_that_can_be_written_and_executed() -> None:
    agent = Path(__file__).parents[2] / "agent"
    found = subprocess.run(
        [sys.executable, "-c", WRITE_XOR_EXECUTE],
        check=False,
        env={"PYTHONPATH": str(agent)},
    )
    if found.returncode == 77:
        pytest.skip("this kernel cannot refuse such memory")
    assert found.returncode == 0


def test_the_memory_does_not_grow() -> None:
    line = Line("pump", 0.5, 0.1)
    line.hear(Block(noise(400), 0, gap=False), RATE_HZ, 0.0)
    ring = line._recent._samples
    for block in blocks(noise(20_000), start=400):
        line.hear(block, RATE_HZ, 0.0)
    assert line._recent._samples is ring
    assert len(ring) == 500
