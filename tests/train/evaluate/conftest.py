"""Clips of the tiny data set, heard once with the tiny run."""

from pathlib import Path

import pytest

from asd_train.data.dcase import Clip, read_folder
from asd_train.evaluate.cache import Store, heard_of
from asd_train.evaluate.ear import Ear
from asd_train.evaluate.hear import hear_all
from asd_train.run import Run


@pytest.fixture(scope="session")
def ear(run: Run) -> Ear:
    """The tiny run's network, and statistics."""
    return Ear.of_run(run, "cpu")


@pytest.fixture(scope="session")
def fans(sounds: Path) -> tuple[Clip, ...]:
    """All clips of the fans."""
    return tuple(
        clip
        for split in ("train", "test")
        for clip in read_folder(sounds, split, ("fan",))
    )


@pytest.fixture(scope="session")
def store(
    ear: Ear, fans: tuple[Clip, ...], tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """What the ear hears in them."""
    return heard_of(
        fans,
        lambda clips: hear_all(ear, clips),
        path=tmp_path_factory.mktemp("cache") / "fan.safetensors",
        sizes=[member.size for member in ear.members],
        groups=len(ear.members[0].groups),
    )
