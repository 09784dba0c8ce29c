"""Kept sound is what was learnt: as much of it, as loud, and as broken."""

import errno
import fcntl
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Block, Samples
from asd_agent.capture.resample import Resampler
from asd_agent.errors import SoundError
from asd_agent.kept import INDEX, KeptSound, file_name, hold, lock, tidy
from asd_agent.learning import learn_kept
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.alarm import AlarmRule
from support.bundles import SMALL, forge
from support.kept import END, Event, again, hear, kept, same, segments, sound_of
from support.sounds import NOW, blocks, learnt, noise, opened

RATE_HZ, SPAN, SHIFT = SMALL.rate_hz, SMALL.unit_samples, SMALL.shift_samples
UNITS = 6
WINDOW = SPAN + (UNITS - 1) * SHIFT
RULE = AlarmRule(2, 3, 0, 4)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    return opened(forge(tmp_path_factory.mktemp("kept") / "bundle", embeds=True))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    """Members without a network: quick."""
    return opened(forge(tmp_path_factory.mktemp("plain") / "bundle"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Site.path(tmp_path, "pump", "forged-1")


def pcm(samples: Samples, bits: int = 16) -> Samples:
    """Samples as a device of so many bits gives them."""
    scale = np.float32(1 << (bits - 1))
    found: Samples = (np.rint(samples * scale) / scale).astype(np.float32)
    return found


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 11_025])
def test_the_same_bundle_learns_the_same_site_to_the_last_bit(
    members: list[Member], path: Path, rate_hz: int
) -> None:
    sound = Resampler(rate_hz, RATE_HZ).push(noise(100_000, seed=1), last=True)
    site, found = kept(members, path, sound), again(members, path)
    assert same(site, found)
    assert found.info.seconds == site.info.seconds == site.info.kept_s
    assert Site.load(path, members).info.sound == sound_of(path).name
    assert soundfile.info(sound_of(path) / "0000.flac").subtype == "PCM_24"
    tape = noise(20_000, seed=2)
    first, second = (p_values(members, s, tape) for s in (site, found))
    assert len(first) > 50
    assert first == second


def test_24_bits_are_as_good_as_all(members: list[Member], path: Path) -> None:
    sound = Resampler(11_025, RATE_HZ).push(noise(300_000, seed=1), last=True)
    one = learnt(members, sound).members["member-0"]
    other = kept(members, path, sound).members["member-0"]
    assert one.bank.shape == other.bank.shape
    assert not np.array_equal(one.bank, other.bank)
    cosine = np.sum(one.bank * other.bank, axis=1) / (
        np.linalg.norm(one.bank, axis=1) * np.linalg.norm(other.bank, axis=1)
    )
    assert cosine.min() > 0.999999
    np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=5e-4)


def test_what_has_16_bits_is_learnt_as_it_is(members: list[Member], path: Path) -> None:
    sound = pcm(noise(40_000))
    assert same(kept(members, path, sound), learnt(members, sound))


def p_values(members: list[Member], site: Site, tape: Samples) -> list[float]:
    pipeline = Pipeline(members, site, RULE, 1.0)
    found = [d.p_value for block in blocks(tape) for d in pipeline.step(block)]
    assert None not in found
    return found  # type: ignore[return-value]  # none is None


def played(parts: list[tuple[str, int, int]]) -> Iterator[Event]:
    """Blocks of a source that loses samples, falls silent, clips and ends."""
    start = 0
    for seed, (what, length, size) in enumerate(parts):
        if what == "end":
            start = 0
            yield END
            continue
        loud = {"silent": 0.0, "faint": 1e-6, "loud": 3.0}.get(what, 0.1)
        sound = noise(length, seed, loud or 0.1) * np.float32(bool(loud))
        start += 1000 * (what == "gap")
        for i, at in enumerate(range(0, length, size)):
            samples = sound[at : at + size]
            gap = what == "gap" and i == 0
            yield Block(samples, start, gap, clipped=what == "clipped")
            start += len(samples)


PART = st.tuples(
    st.sampled_from(["ok", "silent", "faint", "loud", "clipped", "gap", "end"]),
    st.integers(1, 2 * WINDOW),
    st.integers(1, 900),
)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(PART, min_size=1, max_size=12))
def test_as_many_segments_units_and_flags_come_back(
    members: list[Member],
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("played")
    parts = [(what, length, max(size, length // 40)) for what, length, size in parts]
    learner, keeper = hear(members, folder, played(parts))
    wanted = segments(learner)
    if keeper.finish() is None:
        assert not wanted
        assert not list(folder.iterdir())
        return
    keeper.close()
    (sound,) = folder.iterdir()
    found = segments(learn_kept(members, KeptSound.open(sound)))
    assert [len(segment) for segment in found] == [len(s) for s in wanted]
    files = sorted(path.name for path in sound.iterdir())
    assert files == [*map(file_name, range(len(wanted))), INDEX]
    for a, b in zip(wanted, found, strict=True):
        assert [h.verdict for h in a] == [h.verdict for h in b]
        for one, other in zip(a, b, strict=True):
            assert one.level_dbfs == other.level_dbfs
            assert one.levels.tobytes() == other.levels.tobytes()
            assert one.vectors[0].tobytes() == other.vectors[0].tobytes()


def test_silence_costs_nothing(members: list[Member], tmp_path: Path) -> None:
    """A microphone that is deaf for a day must not use up what may be kept."""
    sound = [noise(2 * WINDOW, 1), noise(50 * WINDOW, 2, 1e-6), noise(2 * WINDOW, 3)]
    _, keeper = hear(members, tmp_path, blocks(np.concatenate(sound)))
    found = keeper.finish()
    assert found is not None
    assert found.seconds < 5 * WINDOW / RATE_HZ
    keeper.close()


def test_louder_than_full_scale_is_kept_as_it_is(
    members: list[Member], path: Path
) -> None:
    """A float recording may hold integers of 16 bits, or a filter's overshoot."""
    sound = np.rint(noise(12_000) * 32_768).astype(np.float32)
    sound[6000:] /= 32_768
    sound[:4] = 1.0, -1.0, 1.5, 999_999.0
    kept(members, path, sound)
    found = list(KeptSound.open(sound_of(path)).blocks(0, RATE_HZ))
    heard = np.concatenate([block.samples for block in found])
    step = np.maximum(16, np.abs(sound[: len(heard)])) * 2.0**-22
    assert (np.abs(heard - sound[: len(heard)]) <= step).all()
    assert np.array_equal(heard[1000:5000], sound[1000:5000])
    assert [block.start for block in found] == [
        0,
        *np.cumsum([len(block.samples) for block in found])[:-1],
    ]


@pytest.mark.parametrize("rate_hz", [RATE_HZ // 2, 3000])
def test_a_front_end_of_a_lower_rate_can_hear_it(
    members: list[Member], path: Path, rate_hz: int
) -> None:
    sound = noise(20_000)
    kept(members, path, sound)
    found = np.concatenate(
        [b.samples for b in KeptSound.open(sound_of(path)).blocks(0, rate_hz)]
    )
    units = SMALL.units_in(len(sound))
    expected = Resampler(RATE_HZ, rate_hz).push(
        sound[: SPAN + (units - 1) * SHIFT], last=True
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(most=st.integers(1, 250_000), gaps=st.booleans())
def test_no_more_is_kept_than_may_be(
    members: list[Member],
    tmp_path_factory: pytest.TempPathFactory,
    most: int,
    gaps: bool,
) -> None:
    folder = tmp_path_factory.mktemp("bound")
    parts = [("gap" if gaps else "ok", 2 * WINDOW, 400)] * 20
    _, keeper = hear(members, folder, played(parts), most)
    found = keeper.finish()
    keeper.close()
    size = sum(path.stat().st_size for path in folder.rglob("*.*"))
    assert size <= most
    if found is not None:
        assert KeptSound.open(folder / found.name).index.seconds == found.seconds
        assert size > most / 2 - 40_000, "not used up"
    else:
        assert most < 60_000
        assert not list(folder.iterdir())


def test_what_is_kept_of_more_is_its_beginning(
    members: list[Member], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = kept(members, path, pcm(noise(80_000)), most=60_000)
    assert 0 < site.info.kept_s < site.info.seconds
    assert caplog.text.count("all that learn.keep_bytes, or an index") == 1
    samples = round(site.info.kept_s * RATE_HZ)
    assert same(again(members, path), learnt(members, pcm(noise(80_000))[:samples]))


def test_the_index_of_what_is_kept_can_be_read(
    members: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_agent.keeper.MAX_INDEX_BYTES", 1000)
    parts = [("gap", 2 * WINDOW, 400)] * 20
    _, keeper = hear(members, tmp_path, played(parts), 10_000_000)
    found = keeper.finish()
    keeper.close()
    assert found is not None
    folder = tmp_path / found.name
    assert (folder / INDEX).stat().st_size <= 1000
    assert 1 < len(KeptSound.open(folder).index.segments) < 20


@pytest.mark.parametrize("begin", ["", '{"samples":9,"ended":true,"marks":['])
def test_of_a_damaged_index_little_is_told(tmp_path: Path, begin: str) -> None:
    # Each error takes memory: of a short file it could be all that there is.
    text = '{"segments":[' + begin + "{}," * 80_000 + "{}]}"
    (tmp_path / INDEX).write_text(text + (begin and "]}"))
    with pytest.raises(SoundError, match="is damaged") as caught:
        KeptSound.open(tmp_path)
    assert isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.__cause__.error_count() < 10


def test_none_is_kept_if_none_may_be(members: list[Member], path: Path) -> None:
    site = kept(members, path, noise(20_000), most=0)
    assert (site.info.sound, site.info.kept_s) == ("", 0.0)
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def small_files() -> Iterator[None]:
    """A system on which no file can grow beyond 30 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_does_not_stop_the_learning(
    members: list[Member], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = kept(members, path, noise(20_000, seed=5))
    assert site.info.sound == ""
    assert "the sound cannot be kept" in caplog.text
    assert caplog.text.count("cannot be kept") == 1
    assert list(path.parent.iterdir()) == [path]
    assert same(site, Site.load(path, members))


class Fails(Disk):
    """Fails at one primitive, and from there on if asked."""

    def __init__(self, at: int, error: BaseException, for_ever: bool = False) -> None:
        self.count = 0
        self.synced: set[int] = set()
        self._at, self._error, self._for_ever = at, error, for_ever

    def _step(self) -> None:
        self.count += 1
        if self.count == self._at or (self._for_ever and self.count > self._at):
            raise self._error

    def open(self, path: Path, flags: int) -> int:
        self._step()
        return super().open(path, flags)

    def write(self, fd: int, raw: bytes) -> None:
        self._step()
        super().write(fd, raw)

    def sync(self, fd: int) -> None:
        self._step()
        super().sync(fd)
        self.synced.add(os.fstat(fd).st_ino)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def make_folder(self, path: Path) -> None:
        self._step()
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        self._step()
        super().remove_folder(path)


OLD, NEW = pcm(noise(5000, seed=8)), pcm(noise(6000, seed=9))


def steps_of(members: list[Member], path: Path) -> int:
    """Steps that learning anew takes on a medium that never fails."""
    kept(members, path, OLD)
    disk = Fails(0, OSError())
    kept(members, path, NEW, disk=disk)
    return disk.count


def test_a_medium_that_fails_once_costs_the_sound_at_most(
    plain: list[Member], tmp_path: Path
) -> None:
    count = steps_of(plain, Site.path(tmp_path, "pump", "forged-1"))
    assert count > 10
    without = 0
    for at in range(1, count + 1):
        path = Site.path(tmp_path / str(at), "pump", "forged-1")
        kept(plain, path, OLD)
        disk = Fails(at, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        kept(plain, path, NEW, disk=disk)
        site = Site.load(path, plain)
        assert same(site, learnt(plain, NEW)), at
        if site.info.sound:
            assert same(again(plain, path), site), at
        without += not site.info.sound
    assert 3 < without < count


class Cut(BaseException):
    """The power fails."""


def test_a_power_cut_leaves_a_site_whose_sound_is_whole(
    plain: list[Member], tmp_path: Path
) -> None:
    """What was not flushed before the cut is lost: the worst that a medium does."""
    count = steps_of(plain, Site.path(tmp_path, "pump", "forged-1"))
    seen = set()
    for at in range(1, count + 1):
        path = Site.path(tmp_path / str(at), "pump", "forged-1")
        first = Fails(0, OSError())
        kept(plain, path, OLD, disk=first)
        disk = Fails(at, Cut(), for_ever=True)
        with pytest.raises(Cut):
            kept(plain, path, NEW, disk=disk)
        for file in path.parent.rglob("*.*"):
            if file.is_file() and file.stat().st_ino not in disk.synced | first.synced:
                file.write_bytes(b"")
        site = Site.load(path, plain)
        sound = KeptSound.open(path.parent / site.info.sound)
        assert same(learn_kept(plain, sound).site("x", NOW), site), at
        seen.add(site.info.seconds)
        # What is left over goes with the next learning.
        kept(plain, path, NEW)
        assert [p.name for p in path.parent.iterdir() if p != path] == [
            Site.load(path, plain).info.sound
        ], at
    assert len(seen) == 2


def test_old_sound_goes_once_no_site_names_it(plain: list[Member], path: Path) -> None:
    kept(plain, path, OLD)
    first = sound_of(path)
    other = path.with_name("other-1.safetensors")
    Site.load(path, plain).save(other)
    kept(plain, path, NEW)
    assert first.exists(), "the other site names it"
    other.unlink()
    tidy(path.parent, Disk())
    assert not first.exists()
    assert sound_of(path).name == Site.load(path, plain).info.sound


def test_sound_in_use_stays(plain: list[Member], path: Path) -> None:
    kept(plain, path, OLD)
    sound = sound_of(path)
    path.unlink()
    with hold(sound), hold(sound):
        tidy(path.parent, Disk())
        assert sound.exists()
    tidy(path.parent, Disk())
    assert not sound.exists()
    with pytest.raises(SoundError, match="cannot be read"), hold(sound):
        pass


def test_another_learning_of_the_source_stays(plain: list[Member], path: Path) -> None:
    _, keeper = hear(plain, path.parent, blocks(OLD))
    (part,) = path.parent.iterdir()
    assert part.name.endswith(".part")
    with pytest.raises(BlockingIOError):
        lock(part, fcntl.LOCK_SH)
    kept(plain, path, NEW)
    assert part.exists()
    found = keeper.finish()
    assert found is not None
    kept(plain, path, NEW)
    assert (path.parent / found.name).exists(), "its site is not written yet"
    keeper.close()
    tidy(path.parent, Disk())
    assert not (path.parent / found.name).exists()


def test_nothing_is_removed_while_a_site_cannot_be_read(
    plain: list[Member], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(plain, path, OLD)
    sound = sound_of(path)
    path.write_bytes(b"damaged")
    tidy(path.parent, Disk())
    assert sound.exists()
    assert "old sound is not removed" in caplog.text


def test_what_is_not_sound_is_never_removed(plain: list[Member], path: Path) -> None:
    kept(plain, path, OLD)
    mine = [path.parent / name for name in ("sound", "sound-", "notes", "sound-a.b")]
    for folder in mine:
        folder.mkdir()
    tidy(path.parent, Disk())
    assert all(folder.exists() for folder in mine)
    tidy(path.parent / "missing", Disk())


def test_only_the_agent_may_listen_to_it(plain: list[Member], path: Path) -> None:
    """People may have talked beside the machine."""
    kept(plain, path, OLD)
    assert sound_of(path).stat().st_mode & 0o777 == 0o700


def test_two_recordings_that_are_short_are_two_segments(
    plain: list[Member], path: Path
) -> None:
    short = [noise(WINDOW - 1, seed) for seed in (1, 2)]
    events: list[Event] = []
    for sound in short:
        events += [*blocks(sound), END]
    learner, keeper = hear(plain, path.parent, events)
    assert keeper.finish() is not None
    keeper.close()
    index = KeptSound.open(sound_of(path)).index
    assert [segment.ended for segment in index.segments] == [True, True]
    assert len(segments(learner)) == 2


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.pop("segments"),
        lambda index: index.update(v=2),
        lambda index: index.update(rate_hz=0),
        lambda index: index.update(more=1),
        lambda index: index.update(segments=[]),
        lambda index: index["segments"][0].update(samples=0),
        lambda index: index["segments"][0].update(marks=[]),
        lambda index: index["segments"][0].update(marks=[[1, 0, False]]),
        lambda index: index["segments"][0].update(marks=[[0, 0, False]] * 2),
        lambda index: index["segments"][0].update(marks=[[0, 21, False]]),
        lambda index: index["segments"][0].update(marks=[[0, -1, False]]),
        lambda index: index["segments"][0].update(
            marks=[[0, 0, False], [10**9, 0, True]]
        ),
    ],
)
def test_an_index_that_cannot_be(
    plain: list[Member], path: Path, change: Change
) -> None:
    kept(plain, path, OLD)
    file = sound_of(path) / INDEX
    index = json.loads(file.read_text())
    change(index)
    file.write_text(json.dumps(index))
    with pytest.raises(SoundError, match=r"sound\.json: is damaged"):
        KeptSound.open(sound_of(path))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff" * 9])
def test_an_index_that_is_none(plain: list[Member], path: Path, raw: bytes) -> None:
    kept(plain, path, OLD)
    (sound_of(path) / INDEX).write_bytes(raw)
    with pytest.raises(SoundError, match="is damaged"):
        KeptSound.open(sound_of(path))
    (sound_of(path) / INDEX).unlink()
    with pytest.raises(SoundError, match="cannot be read"):
        KeptSound.open(sound_of(path))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:6000])


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    file.write_bytes(raw)


def swap(samples: int, rate_hz: int) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        soundfile.write(file, noise(samples), rate_hz, subtype="PCM_24")

    return change


LENGTH = SPAN + (SMALL.units_in(len(OLD)) - 1) * SHIFT


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        truncate,
        flip,
        swap(LENGTH - 1, RATE_HZ),
        swap(LENGTH + 1, RATE_HZ),
        swap(LENGTH, RATE_HZ + 1),
        lambda file: file.write_bytes(b""),
    ],
)
def test_a_file_that_is_not_what_was_kept(
    plain: list[Member], path: Path, change: Callable[[Path], None]
) -> None:
    kept(plain, path, OLD)
    change(sound_of(path) / file_name(0))
    with pytest.raises(SoundError, match=r"0000\.flac"):
        list(KeptSound.open(sound_of(path)).blocks(0, RATE_HZ))


def test_marks_are_where_something_changes(plain: list[Member], path: Path) -> None:
    sound = noise(40_000, level=0.1)
    sound[5000], sound[5500], sound[20_000] = 1.2, -1.9, 3.9
    kept(plain, path, sound)
    (segment,) = KeptSound.open(sound_of(path)).index.segments
    marks = [(0, 0), (4800, 1), (5600, 0), (20_000, 2), (20_400, 0)]
    assert [(mark.at, mark.exponent) for mark in segment.marks] == marks
