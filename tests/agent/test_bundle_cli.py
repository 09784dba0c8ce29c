"""``asd-agent bundle``: what it shows, what it does, and what it refuses."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.site import Site
from asd_agent.cli import main
from support.agents import RATE_HZ
from support.bundles import GOLDEN, MODEL, network, reforge, sign
from support.sounds import learnt, noise, opened, wav
from support.updates import Device

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command; give its exit code, output and errors."""

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = main(["bundle", *map(str, words)])
        except SystemExit as ended:
            code = int(str(ended.code))
        output, errors = capsys.readouterr()
        assert "Traceback" not in errors
        return code, output, errors

    return run


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device that runs pump-1."""
    made = Device(tmp_path)
    tape = wav(tmp_path / "tape.wav", noise(3 * RATE_HZ, 21), RATE_HZ)
    made.configure(tape, pace="realtime", loop=True)
    made.install(made.build("pump-1", 1, embeds=False))
    return made


def cells(output: str) -> list[list[str]]:
    return [re.split(r"  +", line) for line in output.splitlines()]


def test_the_bundles_of_a_device_are_listed(device: Device, say: Say) -> None:
    device.install(device.build("pump-2", 2, embeds=False))
    device.install(device.build("pump-3", 3, embeds=False))
    device.store.change(lambda s: s.rolled_back("too_slow"))
    device.install_only(device.build("pump-4", 4, embeds=False))
    device.store.change(lambda s: s.started())
    device.store.change(lambda s: s.refused("pump-9", "hung"))
    code, output, errors = say("list", "--config", device.file)
    assert (code, errors) == (0, "")
    head, base, *rows = cells(output)
    assert head == ["bundle", "version", "signature", "state", "bytes", "installed"]
    default = Bundle.open(DEFAULT_BUNDLE).manifest
    assert base[:3] == [default.id, str(default.version), "part of the software"]
    signature = f"signed by {device.trust.keys[0]}"
    assert [row[:4] for row in rows[:4]] == [
        ["pump-1", "1", signature, rows[0][3]],
        ["pump-2", "2", signature, "previous"],
        ["pump-3", "3", signature, "rejected: too_slow"],
        ["pump-4", "4", signature, "current, on trial, 1 of 3 starts"],
    ]
    assert rows[4][0] == "pump-9"
    assert rows[4][-1] == "rejected: hung"
    size = (device.store.path("pump-4") / GOLDEN).stat().st_size
    assert rows[3][4] == f"{size:,}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", rows[3][5])


def test_without_any_the_list_has_the_bundle_of_the_software(
    tmp_path: Path, say: Say
) -> None:
    made = Device(tmp_path)
    made.configure(wav(tmp_path / "tape.wav", noise(RATE_HZ), RATE_HZ))
    code, output, _ = say("list", "--config", made.file)
    assert code == 0
    assert [row[3] for row in cells(output)] == ["state", "current"]


def test_a_damaged_bundle_is_in_the_list(device: Device, say: Say) -> None:
    (device.store.path("pump-1") / GOLDEN).write_bytes(b"?")
    code, output, _ = say("list", "--config", device.file)
    assert code == 0
    assert "current, not usable: changed" in output


def test_a_bundle_that_the_configuration_names_is_the_current_one(
    device: Device, say: Say
) -> None:
    folder = device.build("pump-2", 2, embeds=False)
    device.configure(device.folder / "tape.wav", path=str(folder))
    _, output, _ = say("list", "--config", device.file)
    _, first, *others = cells(output)
    assert (first[0], first[3]) == ("pump-2", "current, bundle.path")
    assert [row[0] for row in others] == ["pump-1"]
    assert "current" not in others[0]
    folder = device.build("pump-3", 3, embeds=False)
    code, _, errors = say("install", folder, "--config", device.file)
    assert code == 4
    assert "Remove bundle.path" in errors


def test_the_bundle_that_runs_is_verified(device: Device, say: Say) -> None:
    code, output, errors = say("verify", "--config", device.file)
    assert (code, errors) == (0, "")
    first, second, *table = output.splitlines()
    assert first == f"pump-1 version 1: signed by {device.trust.keys[0]}"
    assert second.endswith(" bytes: whole")
    assert " ".join(table[0].split()) == "model runs with compared differs by allowed"
    assert all(line.endswith("  ok") for line in table[1:])
    assert {"features", "vector", "score"} <= {
        word for line in table for word in line.split()
    }


def test_a_folder_is_verified_with_a_key_alone(device: Device, say: Say) -> None:
    folder = device.build("pump-2", 2)
    code, output, errors = say("verify", folder, "--trusted-key", device.key)
    assert (code, errors) == (0, "")
    assert MODEL.file in output
    assert "onnxruntime" in output


def test_an_unsigned_folder_is_verified_where_that_is_allowed(
    device: Device, say: Say
) -> None:
    folder = device.build("pump-2", 2, embeds=False)
    (folder / "manifest.sig").unlink()
    code, output, _ = say("verify", folder, "--allow-unsigned")
    assert code == 0
    assert output.startswith("pump-2 version 2: unsigned, allowed")
    code, _, errors = say("verify", folder, "--config", device.file)
    assert code == 4
    assert "the bundle is not signed" in errors


def test_a_bundle_for_another_class_is_refused_unless_it_is_named(
    device: Device, say: Say
) -> None:
    folder = device.build("pump-2", 2, embeds=False, device_class="pi4")
    words = ["verify", folder, "--trusted-key", device.key]
    assert say(*words)[0] == 4
    assert say(*words, "--device-class", "pi4")[0] == 0


def test_a_bundle_that_computes_other_numbers_is_shown_and_refused(
    device: Device, say: Say
) -> None:
    folder = device.build("pump-2", 2)
    shape = opened(folder)[0].spec.features.unit_shape
    reforge(folder, MODEL.file, network(shape, seed=5))
    sign(folder, device.private)
    code, output, errors = say("verify", folder, "--config", device.file)
    assert code == 4
    assert "DIFFERS" in output
    assert "would score differently here" in errors
    code, _, errors = say("install", folder, "--config", device.file)
    assert code == 4
    assert device.store.read().rejected == {"pump-2": "differs"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["verify"],
        ["verify", "somewhere"],
        ["verify", "--config", "x", "--allow-unsigned"],
        ["verify", "--allow-unsigned"],
        ["install", "somewhere"],
        ["install", "--config", "x"],
        ["list"],
        ["rollback"],
        ["dance"],
    ],
)
def test_a_wrong_command_line_is_2(say: Say, words: list[str]) -> None:
    code, output, errors = say(*words)
    assert (code, output) == (2, "")
    assert errors.startswith("asd-agent bundle")


@pytest.mark.parametrize("verb", [["verify"], ["install"]])
def test_what_is_no_bundle_is_4(device: Device, say: Say, verb: list[str]) -> None:
    for folder in (device.folder / "nowhere", device.folder, device.file):
        code, output, errors = say(*verb, folder, "--config", device.file)
        assert (code, output) == (4, "")
        assert str(folder) in errors


def test_a_bundle_is_installed_and_on_trial(device: Device, say: Say) -> None:
    folder = device.build("pump-2", 2, embeds=False)
    code, output, errors = say("install", folder, "--config", device.file)
    assert code == 0
    assert output.startswith("pump-2 version 2 is installed and on trial")
    assert "after 3 healthy windows" in output
    assert errors == ""
    state = device.store.read()
    assert (state.current, state.previous) == ("pump-2", "pump-1")
    assert state.trial is not None
    # Once more is no error, and does nothing.
    code, output, _ = say("install", folder, "--config", device.file)
    assert (code, output) == (0, "pump-2 version 2 runs already\n")
    assert device.store.read() == state


def test_a_bundle_that_is_not_newer_is_installed_only_where_that_is_said(
    device: Device, say: Say
) -> None:
    folder = device.build("pump-1b", 1, embeds=False)
    code, _, errors = say("install", folder, "--config", device.file)
    assert code == 4
    assert "must be newer" in errors
    words = ["install", folder, "--config", device.file, "--allow-downgrade"]
    assert say(*words)[0] == 0
    assert device.store.read().current == "pump-1b"


def test_a_bundle_that_was_rejected_is_taken_again_where_that_is_said(
    device: Device, say: Say
) -> None:
    device.install(device.build("pump-2", 2, embeds=False))
    assert say("rollback", "--config", device.file)[0] == 0
    folder = device.folder / "built" / "pump-2"
    code, _, errors = say("install", folder, "--config", device.file)
    assert code == 4
    assert "rejected by this device before (by_hand)" in errors
    assert say("install", folder, "--config", device.file, "--again")[0] == 0
    assert device.store.read().current == "pump-2"


def test_what_was_learnt_without_its_sound_is_learnt_anew_where_that_is_said(
    device: Device, say: Say
) -> None:
    site = learnt(opened(device.store.path("pump-1")), noise(5 * RATE_HZ, 21))
    site.save(Site.path(device.folder / "state", "pump", "pump-1"))
    folder = device.build("pump-2", 2, embeds=False)
    code, _, errors = say("install", folder, "--config", device.file)
    assert code == 4
    assert "--learn-anew" in errors
    assert device.store.read().current == "pump-1"
    words = ["install", folder, "--config", device.file, "--learn-anew"]
    assert say(*words)[0] == 0
    assert device.store.read().current == "pump-2"


def test_one_goes_back_by_hand(device: Device, say: Say) -> None:
    device.install(device.build("pump-2", 2, embeds=False))
    code, output, errors = say("rollback", "--config", device.file)
    assert (code, errors) == (0, "")
    assert output == (
        "pump-2 is rolled back and will not be tried again. From now on runs pump-1\n"
    )
    state = device.store.read()
    assert (state.current, state.rejected) == ("pump-1", {"pump-2": "by_hand"})
    assert "software" in say("rollback", "--config", device.file)[1]
    code, _, errors = say("rollback", "--config", device.file)
    assert code == 4
    assert "there is none to roll back" in errors


def test_a_state_folder_that_nobody_may_write_is_5(device: Device, say: Say) -> None:
    folder = device.build("pump-2", 2, embeds=False)
    text = device.file.read_text()
    # Permissions would not stop root: below a plain file nobody can write.
    below = device.folder / "tape.wav" / "state"
    device.file.write_text(text.replace(str(device.folder / "state"), str(below)))
    code, _, errors = say("install", folder, "--config", device.file)
    assert code == 5
    assert "state_dir" in errors


def test_a_running_agent_switches_and_goes_back_by_itself(
    device: Device, say: Say
) -> None:
    folder = device.build("pump-2", 2, embeds=False, members=2)
    for path in (device.store.path("pump-1"), folder):
        site = learnt(opened(path), noise(5 * RATE_HZ, 21))
        site.save(Site.path(device.folder / "state", "pump", path.name))
    words = [sys.executable, "-m", "asd_agent", "--config", str(device.file)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as agent:
        assert agent.stderr

        def until(text: str) -> None:
            assert any(text in line for line in agent.stderr or ())

        try:
            until("INFO ready")
            assert say("install", folder, "--config", device.file)[0] == 0
            until("pump: bundle pump-2 version 2 decides")
            until("bundle pump-2 is committed")
            assert say("rollback", "--config", device.file)[0] == 0
            until("pump: bundle pump-1 version 1 decides")
        finally:
            agent.terminate()
        assert agent.wait(10) == 0
