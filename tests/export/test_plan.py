"""Who is meant, who is sent a bundle, and who is not and why."""

from dataclasses import replace

import pytest

from asd_agent.bundle.manifest import Manifest, parse
from asd_agent.errors import ConfigError
from asd_export.device import BundleName, Device, Wish
from asd_export.fleet import Fleet
from asd_export.plan import choose, plan
from support.bundles import forge
from support.messages import STATE, hear, told

WISH = b"the wish"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("plan") / "b"
    raw = forge(folder, id="pump-3", version=3, device_class="pi5")
    return parse((raw / "manifest.json").read_bytes())


def fleet() -> Fleet:
    found = Fleet("factory")
    for name, groups in (("a", ("x", "y")), ("b", ("x",)), ("c", ())):
        device = told()
        assert device.info
        info = device.info.model_copy(update={"groups": groups})
        found.devices[name] = replace(device, name=name, info=info)
    found.devices["ghost"] = Device("ghost")
    return found


@pytest.mark.parametrize(
    ("named", "groups", "everyone", "names"),
    [
        (["b", "new"], [], False, ("b", "new")),
        ([], ["x"], False, ("a", "b")),
        (["c"], ["y"], False, ("a", "c")),
        ([], [], True, ("a", "b", "c")),
        (["new"], ["x"], True, ("a", "b", "c", "new")),
    ],
)
def test_devices_are_chosen(
    named: list[str], groups: list[str], everyone: bool, names: tuple[str, ...]
) -> None:
    assert choose(fleet(), named, groups, everyone) == names


def test_a_group_that_nobody_is_in_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"in group z; .*: x, y\."):
        choose(fleet(), ["a"], ["z"], False)
    with pytest.raises(ConfigError, match=r"tell: none\."):
        choose(Fleet("factory"), [], ["z"], False)


def test_an_empty_plant_is_told() -> None:
    with pytest.raises(ConfigError, match=r"below factory/\. Check --root"):
        choose(Fleet("factory"), [], [], True)


def wished(body: bytes = WISH, name: str = "pump-3") -> Wish:
    return Wish(name, 3, frozenset(), body)


OTHER = {"bundle": {"id": "other", "version": 2}}
ROWS = {
    "sends to one that knows nothing of it": (
        replace(told(**OTHER), online=True),
        "send",
        "",
    ),
    "sends to one that is off": (
        replace(told(**OTHER), online=False),
        "send",
        "is off",
    ),
    "sends to one never seen, with doubts": (Device("x"), "send", "never seen"),
    "sends what may be too old, with doubts": (
        replace(told(running={"id": "new", "version": 7}, **OTHER), info=None),
        "send",
        "runs new, version 7",
    ),
    "asks again after what can be mended": (
        replace(told(state="rejected", reason="disk_full"), wish=wished(), online=True),
        "send",
        "rejected before (disk_full)",
    ),
    "asks anew when the wish is another": (
        replace(told(), wish=wished(b"signed by the old key")),
        "send",
        "",
    ),
    "leaves one alone that was asked": (
        replace(told(**OTHER), wish=wished()),
        "asked",
        "",
    ),
    "leaves one alone that is at it": (
        replace(told(), wish=wished()),
        "asked",
        "",
    ),
    "leaves one alone that runs it": (
        replace(
            told(),
            info=told().info.model_copy(  # type: ignore[union-attr]
                update={"bundle": BundleName(id="pump-3", version=3)}
            ),
            progress=None,
        ),
        "runs",
        "runs it already",
    ),
    "does not try again what failed for good": (
        replace(told(state="rolled_back", reason="not_finite"), wish=wished()),
        "failed",
        "rolled_back before (not_finite)",
    ),
    "tells of another class": (
        replace(
            told(**OTHER),
            info=told().info.model_copy(  # type: ignore[union-attr]
                update={"device_class": "any"}
            ),
        ),
        "unfit",
        "is of class any, the bundle is for pi5",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_plan(row: tuple[Device, str, str], manifest: Manifest) -> None:
    device, action, why = row
    (found,) = plan([device], manifest, WISH)
    assert (found.name, found.action) == (device.name, action)
    assert why in found.why


def test_a_bundle_for_any_fits_every_class(manifest: Manifest) -> None:
    of_any = manifest.model_copy(update={"device_class": "any"})
    (found,) = plan([told(**OTHER)], of_any, WISH)
    assert found.action == "send"


def test_a_device_that_tells_no_class_decides_by_itself(manifest: Manifest) -> None:
    silent = Fleet("factory")
    hear(silent, "bundle/state", STATE | OTHER)
    (found,) = plan([silent["press-07"]], manifest, WISH)
    assert found.action == "send"
