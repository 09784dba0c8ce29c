"""The parts that a configuration names, and the folder that is written to."""

import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.bundle.state import StoreState
from asd_agent.bundle.trust import Trust
from asd_agent.capture.recording import Recording
from asd_agent.check import check
from asd_agent.config import AlarmConfig, BundleConfig, Config, SourceConfig
from asd_agent.errors import BundleError, ConfigError, SiteError
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.setup import (
    alarm_rule,
    check_state_dir,
    choose_source,
    open_bundle,
    open_source,
    site_path,
    store_of,
    trust_of,
)
from support.agents import agent
from support.bundles import GOLDEN, forge, key_pair, public, sign


def test_the_state_folder_is_made_and_left_clean(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    check_state_dir(folder)
    check_state_dir(folder)
    assert list(folder.iterdir()) == []


def test_what_a_crash_left_does_not_stop_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)  # as always in a container
    (tmp_path / ".probe-1").touch()
    check_state_dir(tmp_path)


def test_a_state_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (
        tmp_path / "file",
        tmp_path / "file" / "below",
        tmp_path / ("x" * 300),
    ):
        with pytest.raises(SiteError, match="set state_dir to one that it may write"):
            check_state_dir(path)


def test_the_source_that_is_meant(tmp_path: Path) -> None:
    made = agent(tmp_path)
    config = made.config()
    assert choose_source(config, None).name == "pump"
    assert choose_source(config, "pump").name == "pump"
    assert site_path(config, config.sources[0], "forged-1") == made.site
    with pytest.raises(
        ConfigError, match="--source fan: no such source; there are pump"
    ):
        choose_source(config, "fan")
    fan = config.sources[0].model_copy(update={"name": "fan"})
    two = config.model_copy(update={"sources": (*config.sources, fan)})
    assert choose_source(two, "fan") is fan
    with pytest.raises(ConfigError, match="--source with one of pump, fan"):
        choose_source(two, None)


def test_a_recording_is_opened_as_configured(tmp_path: Path) -> None:
    made = agent(tmp_path)
    fast = open_source(made.config().sources[0])
    assert isinstance(fast, Recording)
    assert not fast.live
    live = open_source(
        SourceConfig(name="a", recording=str(made.tape), pace="realtime")
    )
    assert live.live


def test_the_rule_is_the_one_that_was_said() -> None:
    config = AlarmConfig.model_validate({"raise": "2 of 4", "clear": "1 of 8"})
    assert alarm_rule(config) == AlarmRule(2, 4, 1, 8)


class Keys:
    """A key of the factory, a file with it, and bundles that it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.private, self.file = key_pair(folder)
        self.source = SourceConfig(name="pump", recording="/none.wav")

    def bundle(
        self, name: str, key: Ed25519PrivateKey | None = None, **changes: Any
    ) -> Path:
        path = forge(self.folder / "made" / name, id=name, **changes)
        return sign(path, key or self.private)

    def config(self, **bundle: Any) -> Config:
        keys: dict[str, Any] = {"trusted_keys": (self.file,)}
        return Config(
            device="press-07",
            state_dir=self.folder / "state",
            bundle=BundleConfig(**(keys | bundle)),
            sources=(self.source,),
        )

    def install(self, version: int) -> None:
        """Put a bundle into the store as the agent does, and let it stay."""
        name = f"pump-{version}"
        path = self.bundle(name, version=version)
        store = store_of(self.config())
        raw = (path / "manifest.json").read_bytes()
        staged = store.stage(raw, (path / "manifest.sig").read_bytes())
        assert staged.adopt(path) == [GOLDEN]
        store.install(staged)
        store.change(lambda state: state.switched(name, version).committed())


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def test_the_trust_that_a_configuration_states(keys: Keys) -> None:
    assert trust_of(keys.config(device_class="pi4")) == Trust(
        keys=(public(keys.private),), device_class="pi4"
    )
    assert trust_of(keys.config(trusted_keys=(), allow_unsigned=True)) == Trust(
        allow_unsigned=True
    )
    keys.file.write_text("hello")
    with pytest.raises(ConfigError, match=r"factory\.pub: holds no public key"):
        trust_of(keys.config())


def test_a_bundle_that_is_named_is_verified(keys: Keys, tmp_path: Path) -> None:
    path = keys.bundle("pump-1")
    opened = open_bundle(keys.config(path=path))
    assert opened.path == path
    assert opened.signed_by == public(keys.private)
    (path / "manifest.sig").unlink()
    with pytest.raises(BundleError) as caught:
        open_bundle(keys.config(path=path))
    assert str(path) in str(caught.value)
    assert "bundle.trusted_keys" in str(caught.value)
    assert "bundle.allow_unsigned: true" in str(caught.value)
    assert open_bundle(keys.config(path=path, allow_unsigned=True)).signed_by is None
    other, _ = key_pair(tmp_path, "theirs")
    with pytest.raises(BundleError, match="by no trusted key"):
        open_bundle(keys.config(path=keys.bundle("pump-2", other)))


def test_without_a_name_the_packaged_bundle_runs(keys: Keys) -> None:
    assert open_bundle(keys.config()).path == DEFAULT_BUNDLE
    assert not (keys.folder / "state").exists()


def test_without_a_name_the_installed_bundle_runs(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    keys.install(1)
    keys.install(2)
    opened = open_bundle(keys.config())
    assert (opened.manifest.id, opened.manifest.version) == ("pump-2", 2)
    assert opened.signed_by == public(keys.private)
    assert caplog.records == []


def test_what_is_named_goes_before_what_is_installed(keys: Keys) -> None:
    keys.install(1)
    path = keys.bundle("named")
    assert open_bundle(keys.config(path=path)).manifest.id == "named"


def test_what_cannot_be_used_is_passed_over_and_told(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    keys.install(1)
    keys.install(2)
    store = store_of(keys.config())
    (store.path("pump-2") / GOLDEN).write_bytes(b"?")
    with caplog.at_level(logging.WARNING):
        assert open_bundle(keys.config()).manifest.id == "pump-1"
    assert "bundle pump-2 is passed over" in caplog.text
    assert GOLDEN in caplog.text
    caplog.clear()
    (store.path("pump-1") / "manifest.sig").unlink()
    assert open_bundle(keys.config()).path == DEFAULT_BUNDLE
    assert "bundle pump-1 is passed over" in caplog.text
    assert "not signed" in caplog.text
    assert store.read().current == "pump-2"  # to look changes nothing


def test_an_installed_bundle_of_a_key_that_was_dropped(
    keys: Keys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys.install(1)
    _, new = key_pair(tmp_path, "new")
    both = keys.config(trusted_keys=(keys.file, new))
    assert open_bundle(both).manifest.id == "pump-1"
    assert open_bundle(keys.config(trusted_keys=(new,))).path == DEFAULT_BUNDLE
    assert "by no trusted key (trusted: new (" in caplog.text
    forged = keys.config(trusted_keys=(), allow_unsigned=True)
    assert open_bundle(forged).manifest.id == "pump-1"


def test_a_store_as_large_as_the_configuration_says(keys: Keys) -> None:
    store = store_of(keys.config(max_bytes=1_000_000))
    assert store.folder == keys.folder / "state" / "bundles"
    assert store.read() == StoreState()
    raw = (keys.bundle("pump-1") / "manifest.json").read_text()
    size = (keys.folder / "made" / "pump-1" / GOLDEN).stat().st_size
    raw = raw.replace(f'"bytes":{size}', '"bytes":1000001')
    with pytest.raises(BundleError, match="at most 1000000 are allowed"):
        store.stage(raw.encode(), None)


def test_the_check_says_who_vouches_for_the_bundle(keys: Keys) -> None:
    keys.source = SourceConfig(name="pump", recording=str(agent(keys.folder).tape))
    path = keys.bundle("named")
    signed = next(check(keys.config(path=path)))
    key = public(keys.private)
    assert signed == f"bundle named version 1: whole, signed by {key}, {path}"
    (path / "manifest.sig").unlink()
    unsigned = next(check(keys.config(path=path, allow_unsigned=True)))
    assert unsigned == f"bundle named version 1: whole, unsigned, allowed, {path}"
    assert "whole, comes with the software, " in next(check(keys.config()))
