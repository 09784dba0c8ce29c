"""Configuration, libraries, the port for Prometheus, and whether the agent runs."""

import os
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from asd_agent import alone
from asd_agent.capture import portaudio
from asd_agent.config import Config, MetricsConfig
from asd_agent.doctor import settings, software
from asd_agent.doctor.finding import Finding, Grade
from asd_agent.doctor.running import Running, agent_of
from asd_agent.errors import RuntimeMissing
from support.broker import free_port


def one(found: Iterable[Finding]) -> Finding:
    (finding,) = found
    return finding


def test_the_libraries_of_this_machine() -> None:
    found = list(software.libraries())
    assert [f.grade for f in found] == [Grade.OK, Grade.OK]
    assert "numpy " in found[0].text
    assert "onnxruntime " in found[1].text


def test_libraries_that_are_missing() -> None:
    found = list(
        software.libraries(lambda name: "1.0" if name.startswith("so") else None)
    )
    assert [f.exit_code for f in found] == [6, 6]
    assert "not installed: cryptography, numpy" in found[0].text
    assert "soxr" not in found[0].text
    assert "no network can run" in found[1].text
    assert found[1].fix == "pip install onnxruntime"


def test_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(software.sound_library()).text.startswith("PortAudio V19")

    def none() -> None:
        raise RuntimeMissing(
            "PortAudio is not installed: sudo apt install libportaudio2"
        )

    monkeypatch.setattr(portaudio, "library", none)
    assert one(software.sound_library()).exit_code == 6


def metrics(agent: Running = Running.NO, **keys: object) -> Finding | None:
    config = MetricsConfig.model_validate(keys)
    found = list(software.metrics(config, agent, software.bind_once))
    return found[0] if found else None


def test_a_free_port() -> None:
    found = metrics(port=free_port())
    assert found is not None
    assert found.grade is Grade.OK


def test_no_port_is_wanted() -> None:
    assert list(software.metrics(None, Running.NO, software.bind_once)) == []


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found, beside = metrics(port=port), metrics(Running.YES, port=port)
    assert found is not None
    assert (found.grade, found.exit_code) == (Grade.FAIL, 2)
    assert f"sport = {port}" in found.fix
    assert beside is not None
    assert beside.text.endswith("in use, as the agent runs")


def test_a_port_for_all_to_see() -> None:
    found = metrics(host="0.0.0.0", port=free_port())  # noqa: S104 - is warned of
    assert found is not None
    assert found.grade is Grade.WARN


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (13, "ports below 1024 are for root"),
        (99, "cannot be listened on: Cannot assign"),
    ],
)
def test_a_port_that_cannot_be_had(number: int, text: str) -> None:
    def bind(host: str, port: int) -> None:
        raise OSError(number, os.strerror(number))

    found = one(software.metrics(MetricsConfig(), Running.NO, bind))
    assert found.grade is Grade.FAIL
    assert text in found.text


def test_an_address_of_another_machine() -> None:
    found = metrics(host="192.0.2.1", port=free_port())
    assert found is not None
    assert found.grade is Grade.FAIL
    assert "metrics.host" in found.fix


def write(folder: Path, text: str) -> Path:
    path = folder / "asd.yaml"
    path.write_text(text)
    return path


GOOD = "device: press-07\nsources: [{name: pump, recording: /srv/a.wav}]\n"


def test_a_good_configuration(tmp_path: Path) -> None:
    config, found = settings.read(write(tmp_path, GOOD))
    assert config is not None
    assert found.grade is Grade.OK
    assert found.text.endswith("asd.yaml: device press-07, 1 source, no broker")
    assert list(settings.files(config)) == []


def test_a_wrong_configuration(tmp_path: Path) -> None:
    config, found = settings.read(write(tmp_path, GOOD + "a: 1\nb: 2\n"))
    assert config is None
    assert (found.grade, found.exit_code) == (Grade.FAIL, 2)
    assert len(found.text.splitlines()) == 2
    assert found.fix == "mend these lines"


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    config, found = settings.read(tmp_path / "none.yaml")
    assert config is None
    assert "none.yaml" in found.text
    assert found.fix == "check the path, and that this user may read the file"


def with_secrets(folder: Path) -> Config:
    password = folder / "password"
    password.write_text("sesame\n")
    secret = f"username: a, password_file: {password}"
    text = GOOD + f"mqtt: {{host: localhost, {secret}, tls: false}}\n"
    config, _ = settings.read(write(folder, text))
    assert config is not None
    return config


@pytest.mark.parametrize(
    ("mode", "grades"),
    [(0o600, [Grade.OK]), (0o640, [Grade.OK]), (0o644, [Grade.WARN, Grade.OK])],
)
def test_who_may_read_a_secret(tmp_path: Path, mode: int, grades: list[Grade]) -> None:
    config = with_secrets(tmp_path)
    (tmp_path / "password").chmod(mode)
    found = list(settings.files(config))
    assert [f.grade for f in found] == grades
    assert found[-1].text == "1 file named, all looked at"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    config = with_secrets(tmp_path)
    (tmp_path / "password").unlink()
    found = next(iter(settings.files(config)))
    assert found.grade is Grade.FAIL
    assert found.text.startswith("mqtt.password_file ")
    assert "chmod 640" in found.fix


@pytest.mark.parametrize(("uid", "text"), [(0, "root"), (1000, "uid 1000")])
def test_who_looks(monkeypatch: pytest.MonkeyPatch, uid: int, text: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert one(settings.user()).text.startswith(text)


def test_no_agent_runs(tmp_path: Path) -> None:
    assert agent_of(tmp_path) is Running.NO
    (tmp_path / alone.FILE).touch()
    assert agent_of(tmp_path) is Running.NO
    assert agent_of(tmp_path / "none") is Running.NO


def test_an_agent_runs(tmp_path: Path) -> None:
    held = alone.hold(tmp_path)
    assert held is not None
    assert agent_of(tmp_path) is Running.YES
    os.close(held)
    assert agent_of(tmp_path) is Running.NO
    again = alone.hold(tmp_path)  # looking does not keep an agent out
    assert again is not None
    os.close(again)


def test_nobody_may_look_whether_an_agent_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert agent_of(tmp_path) is Running.UNKNOWN
