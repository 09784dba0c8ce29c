"""Device nodes, devices and recordings."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from asd_agent.capture.device import Device
from asd_agent.config import SourceConfig
from asd_agent.doctor import microphone
from asd_agent.doctor.finding import Finding, Grade
from asd_agent.doctor.running import Running
from asd_agent.doctor.tape import tape
from asd_agent.errors import SoundError
from support.sounds import noise, wav

USB = Device(1, "USB Mic", "usb:1:2", "usb:1:2", "ALSA", 2, 48_000, False, 1)
SOURCE = SourceConfig(name="gearbox", microphone="usb:1:2")


def one(found: Iterable[Finding]) -> Finding:
    (finding,) = found
    return finding


def refuse(number: int) -> Callable[[Path], None]:
    def open_node(node: Path) -> None:
        raise OSError(number, os.strerror(number))

    return open_node


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two capture devices, one for playing, and who holds the second."""
    folder = tmp_path / "dev/snd"
    folder.mkdir(parents=True)
    for name in ("pcmC0D0c", "pcmC1D0c", "pcmC1D0p", "controlC1"):
        (folder / name).touch()
        (folder / name).chmod(0o660)
    status = tmp_path / "proc/asound/card1/pcm0c/sub0/status"
    status.parent.mkdir(parents=True)
    status.write_text("state: RUNNING\nowner_pid   : 711\n")
    (tmp_path / "proc/711").mkdir(parents=True)
    (tmp_path / "proc/711/comm").write_text("arecord\n")
    return tmp_path


def test_nodes_that_can_be_opened(root: Path) -> None:
    found = one(microphone.nodes(root))
    assert found.grade is Grade.OK
    assert found.text == "2 capture devices may be opened"


def test_a_node_that_is_in_use(root: Path) -> None:
    def open_node(node: Path) -> None:
        if node.name == "pcmC1D0c":
            raise OSError(errno.EBUSY, "Device or resource busy")

    found = one(microphone.nodes(root, open_node))
    assert found.text == (
        "2 capture devices may be opened; in use: pcmC1D0c by arecord (711)"
    )


def test_nodes_of_a_group_that_one_is_not_in(root: Path) -> None:
    found = list(microphone.nodes(root, refuse(errno.EACCES)))
    assert [(f.grade, f.exit_code) for f in found] == [(Grade.FAIL, 3)] * 2
    assert found[0].text.startswith(
        "/dev/snd/pcmC0D0c cannot be opened: Permission denied (group "
    )
    assert found[0].text.endswith("rw-rw----)")
    assert "usermod -aG audio" in found[0].fix


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_nodes_in_a_container(root: Path, number: int) -> None:
    (root / ".dockerenv").touch()
    found = next(iter(microphone.nodes(root, refuse(number))))
    assert "--device /dev/snd --group-add audio" in found.fix


def test_nodes_that_a_service_may_not_open(root: Path) -> None:
    found = next(iter(microphone.nodes(root, refuse(errno.EPERM))))
    assert "DeviceAllow" in found.fix


def test_a_node_without_a_device(root: Path) -> None:
    found = next(iter(microphone.nodes(root, refuse(errno.ENODEV))))
    assert found.grade is Grade.WARN


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives up its rights for a moment")
def test_a_node_is_really_opened() -> None:
    with tempfile.TemporaryDirectory() as name:  # which another user can reach
        folder = Path(name) / "dev/snd"
        folder.mkdir(parents=True)
        Path(name).chmod(0o755)
        (folder / "pcmC0D0c").touch(0o600)
        os.seteuid(65_534)
        try:
            found = one(microphone.nodes(Path(name)))
        finally:
            os.seteuid(0)
        assert one(microphone.nodes(Path(name))).grade is Grade.OK
    assert "pcmC0D0c cannot be opened: Permission denied" in found.text


@pytest.mark.parametrize("contained", [False, True])
def test_no_node_at_all(tmp_path: Path, contained: bool) -> None:
    if contained:
        (tmp_path / ".dockerenv").touch()
    found = one(microphone.nodes(tmp_path))
    assert found.grade is Grade.OK
    assert ("in this container (docker)" in found.text) is contained


def find(wanted: str) -> Device:
    return USB


def missing(wanted: str) -> Device:
    raise SoundError(f"microphone {wanted!r} is not there; found: 'a'; check the cable")


def test_a_device_that_is_there(tmp_path: Path) -> None:
    device, found = microphone.device(SOURCE, find, tmp_path)
    assert device is USB
    assert found.text == "USB Mic, ALSA, 2 channels, 48,000 Hz"


def test_a_device_that_is_not_there(tmp_path: Path, root: Path) -> None:
    device, found = microphone.device(SOURCE, missing, root)
    assert device is None
    assert (found.grade, found.exit_code) == (Grade.FAIL, 3)
    assert found.fix == "check the cable"


def test_a_device_that_a_container_does_not_show(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    found = microphone.device(SOURCE, missing, tmp_path)[1]
    assert "--device /dev/snd" in found.fix


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    source = SOURCE.model_copy(update={"channel": 2})
    device, found = microphone.device(source, find, tmp_path)
    assert device is None
    assert found.text.endswith("channel 2 of the configuration is not there")
    assert found.fix == "set channel to 0 to 1"


@pytest.mark.parametrize(
    ("agent", "left"),
    [(Running.NO, False), (Running.YES, True), (Running.UNKNOWN, True)],
)
def test_a_device_that_the_agent_has(root: Path, agent: Running, left: bool) -> None:
    found = microphone.in_use(USB, agent, root)
    assert (found is not None) is left
    if found is not None:
        assert found.grade is Grade.SKIP
        assert "in use by arecord (711)" in found.text


def test_a_device_that_nobody_has(tmp_path: Path) -> None:
    assert microphone.in_use(USB, Running.YES, tmp_path) is None


def taped(folder: Path) -> list[Finding]:
    return list(tape(SourceConfig(name="pump", recording=str(folder))))


def test_recordings_that_can_be_read(tmp_path: Path) -> None:
    for name in "ab":
        wav(tmp_path / f"{name}.wav", noise(4000), 16_000)
    found = one(taped(tmp_path))
    assert (found.grade, found.text) == (Grade.OK, "2 recordings")


def test_recordings_that_cannot(tmp_path: Path) -> None:
    wav(tmp_path / "a.wav", noise(4000), 16_000)
    for number in range(7):
        (tmp_path / f"b{number}.wav").write_bytes(b"")
    found = taped(tmp_path)
    assert [f.grade for f in found] == [Grade.FAIL] * 6
    assert "the file is empty" in found[0].text
    assert found[-1].text == "7 files of 8 cannot be read"


def test_no_recording(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no recording found"):
        taped(tmp_path)
