"""At a start some whole bundle runs: the current one, or else the next that can."""

import io
from pathlib import Path
from threading import Event

import pytest

from asd_agent import opening as module
from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.member import Member
from asd_agent.bundle.state import BASE
from asd_agent.config import Config
from asd_agent.errors import BundleError, SiteError
from asd_agent.opening import Opened, Opening, given_up, open_first
from asd_agent.setup import members_of
from asd_agent.teach import teach
from asd_agent.update.book import Book
from support.agents import RATE_HZ
from support.bundles import GOLDEN
from support.crashes import Quick
from support.sounds import noise, wav
from support.updates import Device


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device with pump-1 committed before pump-2."""
    made = Device(tmp_path, Quick())
    for number in (1, 2):
        made.install(made.build(f"pump-{number}", number, embeds=False))
    return made


def config_of(device: Device, **bundle: object) -> Config:
    tape = device.folder / "tape.wav"
    if not tape.exists():
        wav(tape, noise(2 * RATE_HZ), RATE_HZ)
    return device.configure(tape, **bundle)


def unwanted() -> None:
    raise AssertionError("nothing hangs")


def first(device: Device, **bundle: object) -> Opened:
    return open_first(
        config_of(device, **bundle), device.store, Book(device.store), unwanted
    )


def damage(device: Device, name: str) -> None:
    path = device.store.path(name) / GOLDEN
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_the_current_bundle_is_opened_for_every_source(device: Device) -> None:
    opened = first(device)
    assert (opened.key, opened.manifest.id) == ("pump-2", "pump-2")
    assert len(opened.ears) == 1
    assert opened.library == "numpy"


def test_a_damaged_bundle_makes_room_for_the_one_before(device: Device) -> None:
    damage(device, "pump-2")
    assert first(device).key == "pump-1"
    state = device.store.read()
    assert state.current == "pump-1"
    # The medium is to blame: it may be installed again.
    assert state.rejected == {}
    assert state.news is not None
    assert state.news.state == "rolled_back"


def test_where_all_are_damaged_the_software_brings_its_own(device: Device) -> None:
    damage(device, "pump-1")
    damage(device, "pump-2")
    opened = first(device)
    assert opened.key == BASE
    assert opened.manifest == Bundle.open(DEFAULT_BUNDLE).manifest


def test_a_key_that_is_trusted_no_more_takes_its_bundles_with_it(
    device: Device, tmp_path: Path
) -> None:
    other = Device(tmp_path / "other", Quick())
    assert first(device, trusted_keys=[str(other.key)]).key == BASE


def test_the_bundle_of_the_configuration_stays(device: Device) -> None:
    path = device.folder / "built" / "pump-1"
    assert first(device, path=str(path)).manifest.id == "pump-1"
    assert device.store.read().current == "pump-2"


def test_the_bundle_of_the_configuration_has_no_substitute(device: Device) -> None:
    path = device.build("pump-3", 3, embeds=False)
    (path / GOLDEN).unlink()
    with pytest.raises(BundleError, match="is missing"):
        first(device, path=str(path))


def test_a_bundle_on_trial_that_computes_other_numbers_is_rolled_back(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.store.change(lambda s: s.rolled_back("error"))
    device.store.change(lambda s: s.forgiven("pump-2").switched("pump-2", 2))

    def differs(config: Config, bundle: Bundle) -> list[Member]:
        if bundle.manifest.id == "pump-2":
            raise BundleError("other numbers", "differs")
        return members_of(config, bundle)

    monkeypatch.setattr(module, "members_of", differs)
    assert first(device).key == "pump-1"
    assert device.store.read().rejected == {"pump-2": "differs"}


def test_the_fourth_start_of_a_trial_goes_back(device: Device) -> None:
    device.store.change(lambda s: s.rolled_back("error"))
    device.store.change(lambda s: s.forgiven("pump-2").switched("pump-2", 2))
    keys = [first(device).key for _ in range(5)]
    assert keys == ["pump-2", "pump-2", "pump-2", "pump-1", "pump-1"]
    assert device.store.read().rejected == {"pump-2": "starts"}


def test_another_model_file_of_the_same_bundle_is_learnt_again(device: Device) -> None:
    normal = device.folder / "normal.wav"
    wav(normal, noise(40 * 16_000), 16_000)
    packaged = {"path": str(DEFAULT_BUNDLE), "allow_unsigned": True}
    onnx = config_of(device, **packaged, runtime="onnx")
    teach(onnx, onnx.sources[0], [str(normal)], None, io.StringIO())
    tflite = config_of(device, **packaged, runtime="tflite")
    opened = open_first(tflite, device.store, Book(device.store), unwanted)
    assert opened.library.startswith("ai_edge_litert")
    engine = opened.ears[0].engine
    assert engine.site is not None
    (network, *_) = engine.members
    assert engine.site.info.models[network.spec.name] == network.model_sha256


def learnt_elsewhere(device: Device) -> Path:
    """Let the source have learnt with a bundle that is gone, without its sound."""
    path = device.folder / "state" / "sites" / "pump" / "pump-2.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    return path


def test_what_was_learnt_is_for_a_person_to_mend(device: Device) -> None:
    learnt_elsewhere(device)
    with pytest.raises(SiteError, match="is damaged"):
        first(device)
    assert device.store.read().current == "pump-2"


def test_on_trial_what_cannot_be_used_makes_room(device: Device) -> None:
    device.store.change(lambda s: s.rolled_back("error"))
    device.store.change(lambda s: s.forgiven("pump-2").switched("pump-2", 2))
    learnt_elsewhere(device)
    with pytest.raises(SiteError, match="pump-1"):
        first(device)
    assert device.store.read().current == "pump-1"
    assert device.store.read().rejected == {}


class Slow(Opening):
    """Does not come to an end."""

    def _open(self) -> Opened:
        self._began_s = -1e9
        Event().wait(5)
        raise AssertionError("nobody waits for it")


def test_models_that_hang_begin_the_process_anew(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a bundle that was committed: there is one before it."""

    class Restarted(BaseException):
        """As execv: nothing after it is reached."""

    def restart() -> None:
        raise Restarted

    monkeypatch.setattr(module, "Opening", Slow)
    with pytest.raises(Restarted):
        open_first(config_of(device), device.store, Book(device.store), restart)
    state = device.store.read()
    assert (state.current, state.rejected) == ("pump-1", {"pump-2": "hung"})


@pytest.mark.parametrize(
    ("error", "reason", "remembered"),
    [
        (BundleError("", "not_finite"), "not_finite", True),
        (BundleError("", "changed"), "changed", False),
        (SiteError(""), "broken", False),
        (ZeroDivisionError(), "error", True),
    ],
)
def test_only_what_lies_in_a_bundle_is_remembered(
    device: Device, error: Exception, reason: str, remembered: bool
) -> None:
    found, change = given_up("pump-2", error)
    state = change(device.store.read())
    assert (found, state.current) == (reason, "pump-1")
    assert ("pump-2" in state.rejected) == remembered
    # Where another runs by now, nothing happens.
    assert change(state) == state
