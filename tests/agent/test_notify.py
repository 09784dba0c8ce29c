"""What systemd is told, read from a real socket, and what is never done."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_agent.heartbeat import Heartbeat
from asd_agent.notify import Notifier


class Systemd:
    """The end of the socket where systemd would listen."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.settimeout(5)

    def heard(self) -> list[str]:
        """Lines of the next message."""
        return self.socket.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        address = f"@asd-test-{os.getpid()}"
    made = Systemd(address)
    yield made
    made.socket.close()


def test_a_life_is_told_from_start_to_end(systemd: Systemd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
    notifier.ready("3 sources")
    assert systemd.heard() == ["READY=1", "STATUS=3 sources"]
    notifier.alive()
    assert systemd.heard() == ["WATCHDOG=1"]
    notifier.status("learning, 4 of 15 min")
    assert systemd.heard() == ["STATUS=learning, 4 of 15 min"]
    notifier.stopping()
    assert systemd.heard() == ["STOPPING=1"]


def test_a_status_is_one_line_of_limited_length(systemd: Systemd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
    notifier.status("broken\nMAINPID=1\udcff " + "x" * 10_000)
    (line,) = systemd.heard()
    assert line.startswith("STATUS=broken MAINPID=1")
    assert len(line) <= 220


def test_words_are_told_from_a_child_as_well(systemd: Systemd) -> None:
    # The name of the socket stays in the environment, for the agent that begins anew.
    environment = {"NOTIFY_SOCKET": systemd.address}
    Notifier(environment).ready()
    assert environment == {"NOTIFY_SOCKET": systemd.address}
    Notifier(environment).ready()
    assert systemd.heard() == systemd.heard() == ["READY=1"]


def act(notifier: Notifier) -> None:
    notifier.ready("x")
    notifier.status("x")
    notifier.alive()
    notifier.stopping()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "@"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"NOTIFY_SOCKET": "relative"},
    ],
)
def test_without_a_socket_nothing_is_done(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    act(Notifier(environment))
    assert not caplog.records


@pytest.mark.parametrize("address", ["/nowhere/notify", "/" + "long" * 50, "@none"])
def test_a_socket_that_is_not_there_is_told_once(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        act(Notifier({"NOTIFY_SOCKET": address}))
    assert len(caplog.records) == 1
    assert "systemd cannot be told" in caplog.text


def test_a_systemd_that_does_not_listen_is_not_waited_for(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_agent.notify.SEND_S", 0.001)
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
    for _ in range(1000):  # more than the kernel keeps
        notifier.alive()
    assert systemd.heard() == ["WATCHDOG=1"]


OWN = str(os.getpid())


@pytest.mark.parametrize(
    ("environment", "limit_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": OWN}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"ASD_HEARTBEAT": "/run/asd/heartbeat"}, Heartbeat.LIMIT_S),
    ],
)
def test_the_limit_is_that_of_whoever_watches(
    environment: dict[str, str], limit_s: float | None
) -> None:
    assert Notifier(environment).watchdog_s == limit_s


def test_a_container_finds_the_beat_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    notifier = Notifier({"ASD_HEARTBEAT": str(path)})
    notifier.status("starts")
    assert not path.exists()
    notifier.ready()
    first = Heartbeat(path).read()
    notifier.alive()
    second = Heartbeat(path).read()
    assert first
    assert second
    assert first.pid == second.pid == os.getpid()
    assert first.at_s <= second.at_s


def test_a_file_that_cannot_be_written_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"ASD_HEARTBEAT": str(tmp_path / "nowhere" / "heartbeat")})
    act(notifier)
    act(notifier)
    assert len(caplog.records) == 1
