"""Who gets in, as whom, and what of it outlasts the broker's death."""

import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from faults.access import STRANGERS, wrong_stranger, wrong_takeover
from support.agents import agent
from support.broker import Certificates, wait_for
from support.close_client import NOT_AUTHORIZED
from support.deployed import AUDITOR, Deployed, provision

A, B, C = "press-07", "press-08", "press-09"
DESIRED = f"factory/{A}/bundle/desired"
MEMBER = "factory/bundles/" + "0" * 64
pytestmark = pytest.mark.broker


@pytest.mark.parametrize("protocol", [5, 4], ids=["v5", "v3.1.1"])
@pytest.mark.parametrize(("user", "password"), STRANGERS)
def test_a_stranger_is_refused(
    broker: Deployed, user: str | None, password: str | None, protocol: int
) -> None:
    assert not wrong_stranger(broker, protocol, user, password)


def test_a_broker_with_a_certificate_of_another_authority_is_not_told_a_password(
    broker: Deployed, tmp_path: Path
) -> None:
    other = Certificates.make(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(broker, ssl.create_default_context(cafile=other.ca))
    # The right one under another name.
    context = ssl.create_default_context(cafile=broker.ca)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        _handshake(broker, context, name="127.0.0.1")
    _handshake(broker, context)


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_of_tls_are_refused(
    broker: Deployed, version: ssl.TLSVersion, taken: bool
) -> None:
    context = ssl.create_default_context(cafile=broker.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")  # this side would do it
    context.minimum_version = context.maximum_version = version
    if taken:
        _handshake(broker, context)
        return
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        _handshake(broker, context)


def test_a_connection_without_tls_gets_no_answer(broker: Deployed) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), 5) as line:
        line.sendall(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x03abc")
        try:
            answer = line.recv(100)
        except ConnectionResetError:
            answer = b""
    # A TLS alert at most: 21 is its kind, and no CONNACK begins so.
    assert answer == b"" or answer[0] == 21


@pytest.mark.parametrize("protocol", [5, 4], ids=["v5", "v3.1.1"])
@pytest.mark.parametrize("client_id", [A, f"asd-{A}", AUDITOR])
def test_another_client_id_takes_nothing_over(
    broker: Deployed, client_id: str, protocol: int
) -> None:
    assert not wrong_takeover(broker, protocol, client_id)


@pytest.mark.parametrize("protocol", [5, 4], ids=["v5", "v3.1.1"])
def test_a_session_is_not_inherited(broker: Deployed, protocol: int) -> None:
    with broker.client(A, protocol, clean=False) as before:
        before.subscribe(DESIRED)
    with broker.client(AUDITOR) as auditor:
        auditor.publish(DESIRED, b"for A alone")
    with broker.client(B, protocol, client_id=A, clean=False) as thief:
        assert not thief.resumed
        thief.subscribe(f"factory/{B}/request/sync")
        with broker.client(AUDITOR) as auditor:
            auditor.publish(f"factory/{B}/request/sync", b"last")
        thief.wait(f"factory/{B}/request/sync", b"last")
        assert thief.bodies(DESIRED) == []
    with broker.client(A, protocol, clean=False) as after:
        assert after.resumed
        after.wait(DESIRED, b"for A alone")
    for user in (A, B):  # the sessions end
        broker.client(user, protocol).close()


def test_a_user_has_one_connection(broker: Deployed) -> None:
    with broker.client(A) as first, broker.client(A, client_id="second"):
        first.wait_for(lambda: bool(first.drops), "the end of the first")


@pytest.mark.parametrize("protocol", [5, 4], ids=["v5", "v3.1.1"])
def test_a_last_will_needs_the_right_to_write(broker: Deployed, protocol: int) -> None:
    own = f"factory/{A}/status"
    with broker.client(AUDITOR) as auditor:
        auditor.subscribe("factory/#")
        for topic in (f"factory/{B}/status", DESIRED, MEMBER, own):
            broker.client(A, protocol, will=topic).break_off()
        auditor.wait(own, b"will")
        wills = [got.topic for got in auditor.messages if got.body == b"will"]
        assert wills == [own]


def test_a_certificate_stands_for_a_password(own: Deployed, tmp_path: Path) -> None:
    place = own.folder / "devices" / C
    other = Certificates.make(tmp_path / "other")
    (tmp_path / "false").mkdir()
    for file, name in ((other.cert, "mqtt.pem"), (other.key, "mqtt.key")):
        (tmp_path / "false" / name).write_bytes(file.read_bytes())
    with (
        own.client(C, certificate=place) as device,
        own.client(AUDITOR) as auditor,
    ):
        auditor.subscribe("factory/#")
        assert device.publish(f"factory/{C}/health", b"well") == 0
        auditor.wait(f"factory/{C}/health", b"well")
        assert device.publish(f"factory/{A}/health", b"false") == NOT_AUTHORIZED
    _refused(own, tmp_path / "false")
    # A password does not do there, nor the name of a user without one.
    with pytest.raises((ssl.SSLError, OSError)):
        _handshake(own, ssl.create_default_context(cafile=own.ca), own.certificate_port)
    stranger = own.prepare(C, password="")
    stranger.connect()
    assert stranger.reason == NOT_AUTHORIZED
    stranger.close()


def test_a_removed_device_gets_in_no_more(own: Deployed, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("mqtt.pem", "mqtt.key"):
        file = own.folder / "devices" / C / name
        (kept / name).write_bytes(file.read_bytes())
    password = own.password(A)
    with own.client(A) as online:
        for name in (A, C):
            done = provision("device", "--folder", own.folder, "--remove", name)
            assert done.returncode == 0, done.stderr
        own.send(signal.SIGHUP)
        online.wait_for(lambda: bool(online.drops), "the end of the connection")
    client = own.prepare(A, password=password)
    client.connect()
    assert client.reason == NOT_AUTHORIZED
    client.close()
    # The list of revoked certificates is read at the start.
    own.send(signal.SIGTERM)
    own.start()
    _refused(own, kept)


@pytest.mark.parametrize("options", [(), ("--certificate",)], ids=["word", "paper"])
def test_the_agent_connects_with_what_it_was_given(
    own: Deployed, tmp_path: Path, options: tuple[str, ...]
) -> None:
    name = "press-10"
    place = own.device(name, *options)
    own.send(signal.SIGHUP)
    made = agent(tmp_path / "agent")
    made.configure(learn={"minutes": 0.1}, recording=str(made.normal), loop=True)
    given = yaml.safe_load((place / "asd.yaml").read_text())
    values = yaml.safe_load(made.file.read_text()) | given
    made.file.write_text(yaml.safe_dump(values))
    with own.client("dashboard") as dashboard:
        dashboard.subscribe(f"factory/{name}/#")
        command = (sys.executable, "-m", "asd_agent", "--config", made.file)
        with (tmp_path / "log").open("wb") as log:
            running = subprocess.Popen(command, stderr=log)
        try:
            dashboard.wait(f"factory/{name}/status", b"online")
            dashboard.wait_for(
                lambda: bool(dashboard.bodies(f"factory/{name}/info")), "info"
            )
        finally:
            running.terminate()
            running.wait(10)
        dashboard.wait(f"factory/{name}/status", b"offline")
    log_text = (tmp_path / "log").read_text()
    assert not options or "password" not in log_text
    assert options or own.password(name) not in log_text


def _handshake(
    broker: Deployed,
    context: ssl.SSLContext,
    port: int | None = None,
    name: str = "localhost",
) -> None:
    """Speak TLS, and wait a moment for what the other side says of our certificate."""
    address = ("127.0.0.1", port or broker.port)
    with (
        socket.create_connection(address, 5) as line,
        context.wrap_socket(line, server_hostname=name) as secure,
    ):
        if port:
            secure.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x00")
            if secure.recv(100) == b"":
                raise ConnectionResetError


def _refused(broker: Deployed, certificate: Path) -> None:
    """A certificate that the broker does not take."""
    client = broker.prepare(C, certificate=certificate)
    try:
        client.connect()
    except OSError:
        return
    client.wait_for(lambda: bool(client.drops), "the end of the connection")
    assert client.reason is None
    client.close()


def test_the_broker_says_who_came(own: Deployed) -> None:
    own.client(A).close()
    wait_for(lambda: f"u'{A}'" in own.log(), "a line about the client")
    assert own.password(A) not in own.log()
