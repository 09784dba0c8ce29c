"""The `learn` command keeps the sound beside the site, and says so."""

import io
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import Site, anew
from asd_agent.errors import SiteError, SoundError
from asd_agent.kept import KeptSound
from asd_agent.learnt import ask_anew
from asd_agent.teach import teach
from support.agents import RATE_HZ, WINDOW, Agent, agent
from support.kept import again, same, sound_of
from support.sounds import noise, wav


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


def learn(made: Agent, *paths: Path, minutes: float | None = None) -> str:
    config = made.config()
    named = [str(path) for path in paths] or None
    return teach(config, config.sources[0], named, minutes, io.StringIO())


def check_kept(made: Agent, segments: int) -> None:
    members = open_members(Bundle.open(made.folder / "bundle"))
    site = Site.load(made.site, members)
    assert same(again(members, made.site), site)
    assert len(KeptSound.open(sound_of(made.site)).index.segments) == segments


def test_recordings_are_kept_each_on_its_own(made: Agent) -> None:
    folder = made.folder / "more"
    for seed, length in enumerate((3 * RATE_HZ, WINDOW, RATE_HZ)):
        wav(folder / f"{seed}.wav", noise(length, seed), 2 * RATE_HZ)
    said = learn(made, folder, made.normal)
    assert said.splitlines()[-2] == "kept: 32 s of sound; a later bundle learns from it"
    check_kept(made, 4)


def test_the_source_is_kept_as_it_was_heard(made: Agent) -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    sound = np.concatenate([noise(4 * RATE_HZ, 1), silence, noise(9 * RATE_HZ, 2)])
    wav(made.tape, sound, RATE_HZ)
    said = learn(made, minutes=0.2)
    assert "kept: 12 s of sound" in said
    check_kept(made, 2)


def test_it_says_what_was_not_kept(made: Agent) -> None:
    made.configure(learn={"keep_bytes": 100_000})
    assert "of 30 s of sound, as far as learn.keep_bytes allows" in learn(
        made, made.normal
    )
    made.configure(learn={"keep_bytes": 0})
    assert "kept: no sound; a later bundle cannot" in learn(made, made.normal)
    assert list(made.site.parent.iterdir()) == [made.site]


def test_what_fails_keeps_nothing(made: Agent) -> None:
    short = wav(made.folder / "z" / "short.wav", noise(100), RATE_HZ)
    with pytest.raises(SoundError, match="is shorter than one unit"):
        learn(made, made.normal, short)
    little = wav(made.folder / "z" / "little.wav", noise(WINDOW), RATE_HZ)
    with pytest.raises(SiteError, match="are too little"):
        learn(made, little)
    assert not list(made.site.parent.iterdir())


def test_what_fails_leaves_what_was_there(made: Agent) -> None:
    learn(made, made.normal)
    before = made.site.read_bytes()
    little = wav(made.folder / "z" / "little.wav", noise(WINDOW), RATE_HZ)
    with pytest.raises(SiteError, match="are too little"):
        learn(made, little)
    assert made.site.read_bytes() == before
    check_kept(made, 1)


def test_learning_settles_that_it_was_asked_for(made: Agent) -> None:
    ask_anew(made.site)
    assert anew(made.site).exists()
    learn(made, made.normal)
    assert not anew(made.site).exists()
