"""Each alarm has its clip, and no clip ever stops the listening."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent.bundle.disk import Disk
from asd_agent.capture.chunk import Block, Samples
from asd_agent.clip_store import ClipStore
from asd_agent.clips import CLOSE_S, LIMITS, STALLED_S, WAITING_CLIPS, Clips
from asd_agent.config import ClipsConfig
from asd_agent.mqtt import payloads
from support.broker import wait_for
from support.crashes import Quick
from support.decisions import ALARM, ORIGIN
from support.loop_disk import LoopDisk
from support.sounds import blocks, noise

RATE_HZ = 16_000
SHORT = {"before_s": 0.2, "after_s": 0.1}


def event(number: int, source: str = "pump") -> str:
    return f"5f0c1e9a-{source}-{number}"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Player:
    """One source: plays sound to clips, block by block."""

    def __init__(self, clips: Clips, source: str = "pump", seed: int = 0) -> None:
        self.clips = clips
        self.source = source
        self.past = 0
        self.heard: list[Samples] = []
        self._seed = seed

    def play(self, seconds: float, size: int = 3200) -> None:
        samples = noise(round(seconds * RATE_HZ), seed=self._seed + self.past)
        samples = (np.rint(samples * 32_768) / 32_768).astype(np.float32)
        for block in blocks(samples, size, self.past):
            self.clips.hear(self.source, block, RATE_HZ)
        self.past += len(samples)
        self.heard.append(samples)

    def alarm(self, number: int | None = None) -> str | None:
        name = event(self.past if number is None else number, self.source)
        return self.clips.alarm(self.source, name, {"event_id": name})

    def clip(self) -> str | None:
        """Let an alarm and what is heard after it pass."""
        name = self.alarm()
        self.play(0.2)
        return name

    def between(self, first: int, past: int) -> Samples:
        return np.concatenate(self.heard)[max(0, first) : past]


@contextmanager
def running(
    folder: Path,
    disk: Disk | None = None,
    clock: Callable[[], float] = time.monotonic,
    config: Mapping[str, float] = {},
) -> Iterator[Clips]:
    lengths = ClipsConfig.model_validate(SHORT | dict(config))
    clips = Clips(folder, lengths, disk or Quick(), clock=clock, spare_bytes=0)
    clips.start()
    try:
        yield clips
    finally:
        clips.close()
        if clips._thread.is_alive():  # no file is written behind a test's back
            clips._thread.join(10)


def read(folder: Path, name: str) -> tuple[Samples, dict[str, Any]]:
    samples, rate_hz = soundfile.read(folder / f"{name}.flac", dtype="float32")
    said = json.loads((folder / f"{name}.json").read_text())
    assert rate_hz == said["rate_hz"]
    return samples, said


def written(clips: Clips, count: int) -> None:
    wait_for(lambda: clips.written + clips.dropped >= count, "clips are written")


def test_a_clip_is_what_was_heard_around_the_alarm(tmp_path: Path) -> None:
    with running(tmp_path / "clips") as clips:
        player = Player(clips)
        player.play(0.75, size=777)
        alarm = player.past
        name = player.alarm()
        assert name == event(alarm)
        player.play(0.3, size=501)
        written(clips, 1)
        assert (clips.written, clips.dropped) == (1, 0)
        found, said = read(tmp_path / "clips", event(alarm))
        assert clips.bytes == sum(
            path.stat().st_size for path in (tmp_path / "clips").iterdir()
        )
    np.testing.assert_array_equal(found, player.between(alarm - 3200, alarm + 1600))
    assert (said["before_s"], said["seconds"], said["gap"]) == (0.2, 0.3, False)
    assert said["source"] == "pump"
    assert said["alarm"] == {"event_id": name}


def test_an_alarm_soon_after_the_start_has_what_there_was(tmp_path: Path) -> None:
    with running(tmp_path) as clips:
        player = Player(clips)
        player.play(0.05)
        name = player.clip()
        assert name
        written(clips, 1)
        found, said = read(tmp_path, name)
    np.testing.assert_array_equal(found, player.between(0, 800 + 1600))
    assert said["before_s"] == 0.05


def test_what_was_published_of_the_alarm_stands_beside_it(tmp_path: Path) -> None:
    payload = payloads.anomaly(ALARM, ORIGIN)
    with running(tmp_path) as clips:
        Player(clips, ORIGIN.source).play(0.3)
        # The identifier of an alarm can be the name of a clip.
        name = clips.alarm(ORIGIN.source, payload["event_id"], payload)
        assert name == payload["event_id"]
        payload["score"] = None  # what comes later changes nothing
    _, said = read(tmp_path, payload["event_id"])
    assert said["clip"] == payload["event_id"]
    # That the clip was not known yet when this was said is of no use here.
    assert said["alarm"] | {"clip": None} == payloads.anomaly(ALARM, ORIGIN)
    assert said["alarm"]["bands"]


def test_sources_are_kept_apart(tmp_path: Path) -> None:
    with running(tmp_path, config={"before_s": 0.5, "after_s": 0.5}) as clips:
        names = [f"pump-{number}" for number in range(4)]
        players = [Player(clips, name, seed) for seed, name in enumerate(names)]

        def live(player: Player) -> None:
            player.play(0.6, size=160)
            assert player.alarm()
            player.play(0.6, size=160)

        threads = [threading.Thread(target=live, args=(p,)) for p in players]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        written(clips, 4)
        assert (clips.written, clips.dropped) == (4, 0)
        for player in players:
            found, said = read(tmp_path, event(9600, player.source))
            assert said["source"] == player.source
            np.testing.assert_array_equal(found, player.between(1600, 17_600))


def test_an_alarm_that_flickers_has_one_clip_at_a_time(tmp_path: Path) -> None:
    with running(tmp_path) as clips:
        player = Player(clips)
        player.play(0.3)
        assert player.alarm(1) == event(1)
        assert player.alarm(2) is None
        player.play(0.05)
        assert player.alarm(3) is None
        player.play(0.1)
        assert player.alarm(4) == event(4)
    assert sorted(p.stem for p in tmp_path.glob("*.flac")) == [event(1), event(4)]
    assert (clips.written, clips.dropped) == (2, 2)


def test_an_alarm_that_flickers_for_days_does_not_wear_out_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClipStore, "write", lambda *_: None)
    clock = Clock()
    per_hour: list[int] = []
    few = {"before_s": 0.001, "after_s": 0.001}
    with running(tmp_path, clock=clock, config=few) as clips:
        player = Player(clips)
        player.play(0.01)
        for hour in range(48):
            begun = 0
            for _ in range(120):
                if player.alarm():
                    begun += 1
                    player.play(0.002)
                    while clips._waiting:
                        time.sleep(0.001)
                clock.now_s += 30
            per_hour.append(begun)
            assert begun <= LIMITS[0][0], hour
    assert per_hour[:5] == [60, 60, 60, 60, 0]
    assert sum(per_hour) == 2 * LIMITS[1][0]
    assert clips.written == sum(per_hour)
    assert clips.dropped == 48 * 120 - sum(per_hour)


@pytest.mark.parametrize(
    "config", [{"max_bytes": 0}, {"before_s": 0, "after_s": 0}], ids=str
)
def test_clips_can_be_off(tmp_path: Path, config: dict[str, float]) -> None:
    with running(tmp_path / "clips", config=config) as clips:
        player = Player(clips)
        player.play(0.5)
        assert player.alarm() is None
        player.play(0.5)
        assert not clips._thread.is_alive()
    assert (clips.written, clips.dropped, clips.bytes) == (0, 0, 0)
    assert not (tmp_path / "clips").exists()


def test_too_little_room_is_told_beforehand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "clips", config={"max_bytes": 50_000}) as clips:
        player = Player(clips)
        player.play(0.5)
        assert player.alarm() is None
        assert player.alarm() is None
        assert clips.dropped == 2
    (said,) = caplog.records
    assert "pump: no clip of this alarm is kept: it may need 51968 bytes" in (
        said.getMessage()
    )
    assert "Allow more, or shorter clips" in said.getMessage()
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", "5f0c1e9a-pump-1/x", "5f0c1e9a-pump-1\n"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with running(tmp_path / "clips") as clips:
        player = Player(clips)
        player.play(0.5)
        assert clips.alarm("pump", name, {}) is None
        player.play(0.5)
    assert list(tmp_path.iterdir()) == []
    assert clips.dropped == 1


def test_an_alarm_of_a_source_that_was_never_heard(tmp_path: Path) -> None:
    with running(tmp_path) as clips:
        assert clips.alarm("pump", event(1), {}) is None
        assert clips.dropped == 1


def test_a_clip_ends_when_the_sound_does(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock=clock, config={"after_s": 60}) as clips:
        player = Player(clips)
        player.play(0.3)
        assert player.alarm(1)
        player.play(0.1)
        clock.now_s += STALLED_S - 0.1
        player.play(0.1)
        clock.now_s += STALLED_S - 0.1
        time.sleep(1.5)  # longer than the writer waits to look
        assert clips.written == 0
        clock.now_s += 0.2
        written(clips, 1)
        found, said = read(tmp_path, event(1))
        np.testing.assert_array_equal(found, player.between(1600, 8000))
        assert said["seconds"] == 0.4
        player.play(0.3)
        assert player.alarm(2)


def test_the_end_of_the_agent_writes_what_is_under_way(tmp_path: Path) -> None:
    with running(tmp_path, config={"after_s": 60}) as clips:
        players = [Player(clips, f"pump-{number}") for number in range(16)]
        for player in players:
            player.play(0.3)
            assert player.alarm(1)
            player.play(0.2)
        clips.close()
        assert (clips.written, clips.dropped) == (16, 0)
        assert players[0].alarm(2) is None
        clips.close()
    for player in players:
        found, _ = read(tmp_path, event(1, player.source))
        np.testing.assert_array_equal(found, player.between(1600, 8000))


class Slow(Quick):
    """A medium that does not answer until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.free = threading.Event()

    def sync(self, fd: int) -> None:
        self.reached.set()
        assert self.free.wait(60)


def test_a_medium_that_hangs_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Slow()
    with running(tmp_path, disk) as clips:
        player = Player(clips)
        player.play(0.3)
        assert player.clip()
        assert disk.reached.wait(10)
        begun_s = time.monotonic()
        for _ in range(WAITING_CLIPS + 3):
            assert player.clip()
        assert time.monotonic() - begun_s < 5
        assert (clips.written, clips.dropped) == (0, 3)
        clips.close()
        assert time.monotonic() - begun_s < 5 + CLOSE_S
        disk.free.set()
    assert (clips.written, clips.dropped) == (1 + WAITING_CLIPS, 3)
    said = [record.getMessage() for record in caplog.records]
    assert [text for text in said if "too slow for so many clips" in text]
    assert "clips: the disk does not answer, left behind" in said


class Broken(Quick):
    """A medium that does something else than it should."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    def open(self, path: Path, flags: int) -> int:
        if self.error is not None:
            raise self.error
        return super().open(path, flags)


@pytest.mark.parametrize("error", [OSError("worn out"), ZeroDivisionError()], ids=repr)
def test_after_a_failure_the_next_clip_is_written(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Broken(error)
    with running(tmp_path, disk) as clips:
        player = Player(clips)
        player.play(0.3)
        assert player.clip()
        written(clips, 1)
        disk.error = None
        assert player.clip()
        written(clips, 2)
        assert (clips.written, clips.dropped) == (1, 1)
    assert "no clip of this alarm is kept" in caplog.text


def test_a_sidecar_that_cannot_be_written_costs_its_clip_alone(tmp_path: Path) -> None:
    with running(tmp_path) as clips:
        player = Player(clips)
        player.play(0.3)
        assert clips.alarm("pump", event(1), {"at": datetime.now(timezone.utc)})
        player.play(0.2)
        assert player.clip()
    assert (clips.written, clips.dropped) == (1, 1)
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_raised_to_the_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path) as clips:
        player = Player(clips)
        player.play(0.3)
        for _ in range(3):
            clips.hear("pump", Block("no samples", 0, gap=False), RATE_HZ)  # type: ignore[arg-type]
        assert clips.alarm("pump", event(1), None) is None  # type: ignore[arg-type]
        player.play(0.3)
        assert player.clip()
        written(clips, 2)
        assert clips.written == 1
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 2


def test_what_a_crash_left_is_removed_at_the_start(tmp_path: Path) -> None:
    for ending in (".json", ".flac.partial"):
        (tmp_path / f"{event(1)}{ending}").write_text("x")
    (tmp_path / f"{event(2)}.flac").write_text("x")
    (tmp_path / "mine.partial").write_text("x")
    with running(tmp_path) as clips:
        wait_for(lambda: clips.bytes == 1, "the folder is looked at")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{event(2)}.flac",
        "mine.partial",
    ]


@pytest.mark.root
def test_listening_goes_on_with_a_disk_that_is_full_or_read_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def clip_is(kept: bool) -> None:
        before = clips.written, clips.dropped
        assert player.clip()
        written(clips, sum(before) + 1)
        after = clips.written, clips.dropped
        assert after == (before[0] + kept, before[1] + (not kept))

    with LoopDisk(tmp_path, 4_194_304, journal=False) as disk:
        root = disk.root
        folder = root / "clips"
        with running(folder, Disk(), config={"before_s": 10}) as clips:
            player = Player(clips)
            player.play(10)
            for _ in range(25):
                clip_is(kept=True)
            names = [path.stem for path in folder.glob("*.flac")]
            assert 5 <= len(names) < 25
            for path in folder.iterdir():
                path.unlink()
            filler = disk.fill()
            clip_is(kept=False)
            clip_is(kept=False)
            assert list(folder.iterdir()) == []
            filler.unlink()
            clip_is(kept=True)
            disk.remount("ro")
            clip_is(kept=False)
            disk.remount("rw")
            clip_is(kept=True)
            assert clips.written == 27
    told = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == 1  # the others within a minute of it
    assert "no clip of this alarm is kept" in told[0].getMessage()
