"""After an update every source is learnt again from its sound, or the old one stays."""

import errno
import io
import json
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from asd_agent import relearn as module
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import Site, anew, is_learnt, read_info
from asd_agent.check import check
from asd_agent.config import Config
from asd_agent.errors import BundleError, SiteError
from asd_agent.features.spec import SecomSpec
from asd_agent.kept import INDEX, KeptSound
from asd_agent.learning import learn_kept
from asd_agent.learnt import forget_sites, plan_update
from asd_agent.relearn import ensure_sites, learn_again, relearn
from asd_agent.replay import replay
from asd_agent.service import Service
from asd_agent.teach import teach
from support.agents import RATE_HZ, WINDOW, Agent, agent
from support.bundles import SMALL, forge
from support.kept import again, differences, same, sound_of
from support.sounds import noise, wav

SECOND = "forged-2"


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A bundle that hears with a network, where the first has none."""
    return forge(tmp_path / "second", id=SECOND, version=2, embeds=True)


def learn(made: Agent, source: str | None = None) -> Config:
    """Learn the sources as `made` is configured now."""
    config = made.config()
    for one in config.sources:
        if source in (None, one.name):
            teach(config, one, [str(made.normal)], None, io.StringIO())
    return config


def two_sources(made: Agent, **bundle: Any) -> None:
    """Give it a second source, and its bundle other keys."""
    values = yaml.safe_load(made.file.read_text())
    values["sources"].append(dict(values["sources"][0], name="fan"))
    values["bundle"] |= bundle
    made.file.write_text(yaml.safe_dump(values))


def limited(made: Agent, **bundle: Any) -> Config:
    values = yaml.safe_load(made.file.read_text())
    values["bundle"] |= bundle
    made.file.write_text(yaml.safe_dump(values))
    return made.config()


def new_site(made: Agent, source: str = "pump") -> Path:
    return Site.path(made.folder / "state", source, SECOND)


def refusal(reason: str, config: Config, folder: Path, **options: Any) -> str:
    with pytest.raises(BundleError) as caught:
        relearn(config, folder, **options)
    assert caught.value.reason == reason, caught.value
    return str(caught.value)


def test_what_was_kept_is_learnt_as_if_it_were_heard_anew(
    made: Agent, second: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = learn(made)
    before = made.site.read_bytes()
    (found,) = relearn(config, second)
    assert (found.source, found.anew) == ("pump", False)
    assert (
        found.windows
        == Site.load(made.site, open_members(Bundle.open(made.folder / "bundle")))
        .members["member-0"]
        .independent
    )
    assert found.seconds == pytest.approx(30, abs=0.2)
    assert made.site.read_bytes() == before
    members = open_members(Bundle.open(second))
    site = Site.load(new_site(made), members)
    assert site.info.bundle == SECOND
    first = read_info(made.site)
    assert (site.info.sound, site.info.kept_s) == (first.sound, first.kept_s)
    assert site.info.learnt == first.learnt
    assert "pump: bundle forged-2 learns it again from 30 s of kept sound" in (
        caplog.text
    )
    # The same as `asd-agent learn` makes of the recording with this bundle.
    limited(made, path=str(second))
    learn(made)
    assert same(Site.load(new_site(made), members), site)


def test_a_running_agent_keeps_what_it_learns(made: Agent, second: Path) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    Service(made.config()).run()
    members = open_members(Bundle.open(made.folder / "bundle"))
    site = Site.load(made.site, members)
    assert site.info.kept_s == site.info.seconds == pytest.approx(12, abs=0.2)
    assert same(again(members, made.site), site)
    # With another bundle it learns again before it listens, and judges at once.
    limited(made, path=str(second))
    Service(made.config()).run()
    found = Site.load(new_site(made), open_members(Bundle.open(second)))
    assert found.info.sound == site.info.sound
    assert sound_of(made.site).name == site.info.sound


def test_a_source_that_learnt_nothing_needs_nothing(made: Agent, second: Path) -> None:
    two_sources(made)
    config = made.config()
    assert relearn(config, second) == []
    assert ensure_sites(config, second, Bundle.open(second).manifest) == []
    assert not (made.folder / "state").exists()
    learn(made, "fan")
    assert [found.source for found in relearn(config, second)] == ["fan"]
    assert not made.site.parent.exists()


def test_what_is_learnt_already_is_not_learnt_again(made: Agent, second: Path) -> None:
    config = learn(made)
    assert relearn(config, made.folder / "bundle") == []
    learn_again(second, "auto", made.site, new_site(made))
    assert relearn(config, second) == []
    # Sound that was heard later counts.
    teach(config, config.sources[0], [str(made.tape)], None, io.StringIO())
    _age(new_site(made))
    (found,) = relearn(config, second)
    assert found.seconds == pytest.approx(6, abs=0.2)


def _age(path: Path) -> None:
    """Let a site have been learnt a year before."""
    members = open_members(Bundle.open(path.parents[3] / "second"))
    site = Site.load(path, members)
    replace(site, info=replace(site.info, learnt="2025-01-01T00:00:00+00:00")).save(
        path
    )


def test_without_sound_the_old_bundle_stays(made: Agent, second: Path) -> None:
    made.configure(learn={"keep_bytes": 0})
    config = learn(made)
    before = made.site.read_bytes()
    said = refusal("nothing_kept", config, second)
    assert "source pump: its sound was not kept" in said
    assert "The old bundle stays" in said
    assert "asd-agent learn" in said
    assert "--learn-anew" in said
    assert made.site.read_bytes() == before
    assert list(made.site.parent.iterdir()) == [made.site]


def test_without_sound_a_person_can_have_it_learnt_anew(
    made: Agent, second: Path
) -> None:
    two_sources(made)
    config = learn(made, "fan")
    made.configure(learn={"keep_bytes": 0})
    learn(made)
    found = relearn(config, second, without_sound="learn_anew")
    assert [(one.source, one.anew) for one in found] == [("fan", False), ("pump", True)]
    assert not is_learnt(new_site(made))
    assert is_learnt(made.site)
    assert anew(new_site(made)).exists()
    assert ensure_sites(config, second, Bundle.open(second).manifest) == []


def test_damaged_sound_is_no_sound(made: Agent, second: Path) -> None:
    config = learn(made)
    sound = sound_of(made.site)
    flac = sound / "0000.flac"
    flac.write_bytes(flac.read_bytes()[:30_000])
    assert "0000.flac" in refusal("nothing_kept", config, second)
    (sound / INDEX).unlink()
    assert INDEX in refusal("nothing_kept", config, second)
    made.site.write_bytes(b"damaged")
    assert "is damaged" in refusal("nothing_kept", config, second)
    assert not new_site(made).exists()


def test_where_one_source_fails_none_is_learnt(made: Agent, second: Path) -> None:
    two_sources(made)
    config = learn(made)
    fan = Site.path(made.folder / "state", "fan", "forged-1")
    flac = sound_of(fan) / "0000.flac"
    flac.write_bytes(flac.read_bytes()[:30_000])
    assert refusal("nothing_kept", config, second).startswith("source fan: ")
    assert not new_site(made).exists()
    assert not new_site(made, "fan").exists()
    assert made.site.exists()


def hears_at(tmp_path: Path, rate_hz: int) -> Path:
    features = SecomSpec(**SMALL.model_dump() | {"rate_hz": rate_hz})
    return forge(tmp_path / str(rate_hz), features, id=SECOND, version=2)


def test_a_bundle_may_hear_at_a_lower_rate_than_was_kept(
    made: Agent, tmp_path: Path
) -> None:
    config = learn(made)
    said = refusal("nothing_kept", config, hears_at(tmp_path, 8000))
    assert "its sound was kept at 4000 Hz, and this bundle hears at 8000 Hz" in said
    lower = hears_at(tmp_path, 3000)
    (found,) = relearn(config, lower)
    assert found.seconds == pytest.approx(30, abs=0.2)
    site = Site.load(new_site(made), open_members(Bundle.open(lower)))
    limited(made, path=str(lower))
    learn(made)
    wanted = Site.load(new_site(made), open_members(Bundle.open(lower)))
    # A filter more at the upper edge, and units that the first bundle cut off.
    for what, one, other in differences(site, wanted):
        assert len(one) == pytest.approx(len(other), abs=2), what


def test_too_little_sound_is_no_sound(made: Agent, second: Path) -> None:
    made.configure(learn={"keep_bytes": 22_000})
    config = made.config()
    files = [
        str(wav(made.folder / f"{seed}.wav", noise(WINDOW, seed), RATE_HZ))
        for seed in (1, 2)
    ]
    teach(config, config.sources[0], files, None, io.StringIO())
    assert 0 < read_info(made.site).kept_s < read_info(made.site).seconds
    said = refusal("nothing_kept", config, second)
    assert "usable sound are too little" in said


def test_a_child_that_takes_too_long_is_ended(made: Agent, second: Path) -> None:
    learn(made)
    config = limited(made, test_timeout_s=0.05)
    assert refusal("hung", config, second).startswith("source pump: ")
    assert not new_site(made).exists()


def test_a_child_can_be_stopped(made: Agent, second: Path) -> None:
    config = learn(made)
    stop = threading.Event()
    stop.set()
    refusal("stopped", config, second, stop=stop)
    assert not new_site(made).exists()


def test_a_bundle_that_this_device_cannot_run_is_refused(
    made: Agent, second: Path
) -> None:
    learn(made)
    refusal("no_runtime", limited(made, runtime="tflite"), second)


def test_a_network_that_overflows_is_refused(made: Agent, second: Path) -> None:
    class Overflows:
        def embed(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            self.calls = getattr(self, "calls", 0) + 1
            bad = np.nan if self.calls > 30 else 1.0
            return np.full(16, bad, np.float32)

    learn(made)
    members = [
        replace(member, embedder=Overflows())  # type: ignore[arg-type]  # all that is used
        for member in open_members(Bundle.open(second))
    ]
    with pytest.raises(BundleError, match="not finite for 437 of 467 units") as caught:
        learn_kept(members, KeptSound.open(sound_of(made.site)))
    assert caught.value.reason == "not_finite"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EROFS, "unavailable"),
    ],
)
def test_a_full_disk_is_not_the_fault_of_the_bundle(
    made: Agent,
    second: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    reason: str,
) -> None:
    learn(made)

    def full(self: Disk, fd: int, raw: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Disk, "write", full)
    with pytest.raises(BundleError) as caught:
        learn_again(second, "auto", made.site, new_site(made))
    assert caught.value.reason == reason
    assert not new_site(made).exists()


def ensure(made: Agent, folder: Path, **options: Any) -> list[str]:
    bundle = Bundle.open(folder)
    found = ensure_sites(made.config(), folder, bundle.manifest, **options)
    return [one.source for one in found]


def test_a_start_with_another_bundle_learns_again_first(
    made: Agent, second: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    learn(made)
    assert ensure(made, made.folder / "bundle") == []
    assert ensure(made, second) == ["pump"]
    assert "pump: learnt again, " in caplog.text
    assert ensure(made, second) == []
    assert Site.load(new_site(made), open_members(Bundle.open(second)))


def test_a_check_tells_of_it_and_a_replay_does_it(made: Agent, second: Path) -> None:
    learn(made)
    config = limited(made, path=str(second))
    said = (
        "source pump: learnt with another bundle; the agent learns it again from 30 s"
    )
    assert list(check(config))[-1].startswith(said)
    assert not new_site(made).exists()
    tape, screen = [str(made.tape)], io.StringIO()
    records = replay(config, config.sources[0], tape, per_file=True, screen=screen)
    (record,) = records
    assert isinstance(record, dict)
    assert record["p_value"] is not None
    assert list(check(config))[-1].startswith("source pump: learnt 0.5 min on 20")


def test_a_start_with_another_bundle_and_no_sound_says_so(
    made: Agent, second: Path
) -> None:
    made.configure(learn={"keep_bytes": 0})
    learn(made)
    with pytest.raises(SiteError, match="was not kept"):
        ensure(made, second)
    # Whoever does not ask first is told as well, and nothing is taken as normal.
    assert is_learnt(new_site(made))
    with pytest.raises(SiteError, match=r"with another bundle \(forged-1\)"):
        Site.load(new_site(made), open_members(Bundle.open(second)))


def test_a_start_with_a_bundle_of_the_same_name_but_not_the_same_learns_again(
    made: Agent, tmp_path: Path
) -> None:
    learn(made)
    other = forge(tmp_path / "other", embeds=True)
    assert ensure(made, other) == ["pump"]
    assert ensure(made, other) == []
    Site.load(made.site, open_members(Bundle.open(other)))


def test_a_start_with_another_of_its_model_files_learns_again(
    made: Agent, second: Path
) -> None:
    learn(made)
    members = open_members(Bundle.open(second))
    learn_again(second, "auto", made.site, new_site(made))
    assert ensure(made, second, members=members) == []
    runs = [replace(member, model_sha256="0" * 64) for member in members]
    assert ensure(made, second, members=runs) == ["pump"]


def test_a_start_with_a_damaged_site_is_an_error(made: Agent) -> None:
    learn(made)
    made.site.write_bytes(b"damaged")
    with pytest.raises(SiteError, match="is damaged"):
        ensure(made, made.folder / "bundle")


def test_a_start_removes_what_an_interrupted_learning_left(made: Agent) -> None:
    learn(made)
    left = made.site.parent / "sound-20260102T030405Z-1.part"
    left.mkdir()
    (left / "0000.flac").write_bytes(b"half")
    ensure(made, made.folder / "bundle")
    assert not left.exists()
    assert sound_of(made.site).exists()


def test_sites_of_bundles_that_are_gone_are_forgotten(
    made: Agent, second: Path, tmp_path: Path
) -> None:
    config = learn(made)
    learn_again(second, "auto", made.site, new_site(made))
    forget_sites(config, {SECOND, "forged-1"})
    assert made.site.exists()
    forget_sites(config, {SECOND})
    assert not made.site.exists()
    assert new_site(made).exists()
    # The last that was learnt holds the sound that a later bundle needs.
    forget_sites(config, {"forged-3"})
    assert new_site(made).exists()
    assert sound_of(new_site(made)).exists()
    third = forge(tmp_path / "third", id="forged-3", version=3)
    plan = plan_update(config, Bundle.open(third).manifest)
    assert [task.old for task in plan.tasks] == [new_site(made)]


def test_a_name_of_sound_cannot_lead_elsewhere(made: Agent, second: Path) -> None:
    config = learn(made)
    members = open_members(Bundle.open(made.folder / "bundle"))
    site = Site.load(made.site, members)
    away = made.folder / "away"
    sound_of(made.site).rename(away)
    for name in ("../../../away", str(away), "sound-1/../x"):
        replace(site, info=replace(site.info, sound=name)).save(made.site)
        assert "was not kept" in refusal("nothing_kept", config, second)


def test_the_answer_of_the_child_is_what_it_is(made: Agent, second: Path) -> None:
    learn(made)
    found = learn_again(second, "auto", made.site, new_site(made))
    assert found.source == "pump"
    assert json.dumps(found.took_s)
    assert found.took_s > 0


def test_the_module_can_be_asked_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        module._main()
    assert caught.value.code == 2
    assert "--bundle" in capsys.readouterr().err


def test_a_wav_of_another_rate_is_kept_at_that_of_the_front_end(made: Agent) -> None:
    path = wav(made.folder / "fast.wav", noise(20 * RATE_HZ), 3 * RATE_HZ)
    config = made.config()
    teach(config, config.sources[0], [str(path)], None, io.StringIO())
    assert KeptSound.open(sound_of(made.site)).index.rate_hz == RATE_HZ
