"""What is not needed any more is removed, and nothing else."""

from pathlib import Path

import pytest

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.site import Site
from asd_agent.config import Config
from asd_agent.updating import tidy
from support.agents import RATE_HZ
from support.running import know
from support.sounds import noise, wav
from support.updates import Device


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path)
    config = made.configure(wav(tmp_path / "tape.wav", noise(RATE_HZ), RATE_HZ))
    for number in (1, 2, 3):
        folder = made.build(f"pump-{number}", number, embeds=False)
        know(config, folder)
        made.install(folder)
    return made


def sites(config: Config) -> set[str]:
    return {path.stem for path in (config.state_dir / "sites" / "pump").iterdir()}


def test_two_bundles_are_kept_with_what_was_learnt_with_them(device: Device) -> None:
    config = device.configure_again()
    base = Bundle.open(DEFAULT_BUNDLE).manifest.id
    site = Site.path(config.state_dir, "pump", "pump-1")
    Site.path(config.state_dir, "pump", base).write_bytes(site.read_bytes())
    tidy(config, device.store)
    assert device.store.bundles() == ["pump-2", "pump-3"]
    assert sites(config) == {"pump-2", "pump-3", base}


def test_a_bundle_that_was_rolled_back_goes(device: Device) -> None:
    config = device.configure_again()
    tidy(config, device.store)
    device.store.change(lambda s: s.rolled_back("error"))
    tidy(config, device.store)
    assert device.store.bundles() == ["pump-2"]
    assert "pump-2" in sites(config)


def test_what_cannot_be_removed_is_told_and_stays(
    device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = device.configure_again()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("asd_agent.bundle.disk.Disk.rename", fail)
    tidy(config, device.store)
    assert "old bundles are not removed" in caplog.text
    assert "pump-1" in sites(config)
