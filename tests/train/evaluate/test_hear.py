"""Hearing in batches and from the cache is hearing as the device does."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SoundError
from asd_agent.hearing import Heard
from asd_train.data.dcase import Clip
from asd_train.evaluate.cache import Store, file_of, heard_of, pack, unpack
from asd_train.evaluate.ear import Ear
from asd_train.evaluate.hear import hear_all, hear_clip


def same(one: Heard, other: Heard, atol: float = 0) -> None:
    for name in ("end_sample", "verdict", "gap", "level_dbfs"):
        assert getattr(one, name) == getattr(other, name)
    assert len(one.vectors) == len(other.vectors)
    for a, b in zip(one.vectors, other.vectors, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)
    np.testing.assert_array_equal(one.levels, other.levels)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_batch_has_the_vectors_of_the_device(
    ear: Ear, fans: tuple[Clip, ...], jobs: int
) -> None:
    batched = list(hear_all(ear, fans[:5], jobs))
    for clip, heard in zip(fans, batched, strict=False):
        alone = hear_clip(ear.members, clip)
        assert len(alone) == len(heard) > 3
        for one, other in zip(heard, alone, strict=True):
            same(one, other, atol=1e-5)
        assert np.abs(heard[0].vectors[0]).max() > 0


def test_silence_stays_silent(ear: Ear, fans: tuple[Clip, ...], tmp_path: Path) -> None:
    sound, rate_hz = soundfile.read(fans[0].path, dtype="float32")
    sound[len(sound) // 3 :] = 0
    path = tmp_path / "half.wav"
    soundfile.write(path, sound, rate_hz)
    clip = replace(fans[0], path=path)
    (heard,) = hear_all(ear, [clip])
    verdicts = [unit.verdict is Verdict.NO_SIGNAL for unit in heard]
    assert any(verdicts)
    assert not all(verdicts)
    for one, other in zip(heard, hear_clip(ear.members, clip), strict=True):
        same(one, other, atol=1e-5)
    sizes = [member.size for member in ear.members]
    groups = len(ear.members[0].groups)
    for one, other in zip(unpack(pack(heard, sizes, groups)), heard, strict=True):
        same(one, other)


def test_a_short_clip_is_refused(
    ear: Ear, fans: tuple[Clip, ...], tmp_path: Path
) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.full(100, 0.1), 16_000)
    with pytest.raises(SoundError, match="shorter than one unit"):
        list(hear_all(ear, [replace(fans[0], path=path)]))


def test_the_cache_spares_the_network(
    ear: Ear, fans: tuple[Clip, ...], tmp_path: Path
) -> None:
    path = file_of(tmp_path, ear.sha256, "fan 1/2")
    copied = replace(fans[0], path=tmp_path / "a.wav")
    shutil.copy(fans[0].path, copied.path)
    asked: list[Clip] = []

    def hear(clips: Iterable[Clip]) -> Iterator[list[Heard]]:
        found = list(clips)
        asked.extend(found)
        return hear_all(ear, found)

    def store() -> Store:
        return heard_of(
            [copied, *fans[1:3]],
            hear,
            path=path,
            sizes=[member.size for member in ear.members],
            groups=len(ear.members[0].groups),
        )

    first = store()
    assert len(asked) == 3
    second = store()
    assert len(asked) == 3
    for one, other in zip(first.of(copied), second.of(copied), strict=True):
        same(one, other)
    shutil.copy(fans[3].path, copied.path)
    third = store()
    assert asked[3:] == [copied]
    assert not np.array_equal(third.of(copied)[0].levels, first.of(fans[1])[0].levels)
    path.write_bytes(b"damaged")
    store()
    assert len(asked) == 7
