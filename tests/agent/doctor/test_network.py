"""The way to a broker: name, TCP and TLS, each with what is wrong with it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509

from asd_agent.config import MqttConfig, TlsConfig
from asd_agent.doctor import network
from asd_agent.doctor.finding import Finding, Grade
from asd_agent.errors import ConfigError
from support.broker import free_port
from support.certificates import Authority, Signed, authority, signed


@contextmanager
def server(shown: Signed | None) -> Iterator[int]:
    """Take connections, with TLS or without, and say nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.cert, shown.key)

    def run() -> None:
        held = []
        while True:
            try:
                connection, _ = listener.accept()
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                held.append(connection)
            except ssl.SSLError:
                continue
            except OSError:
                for one in held:
                    one.close()
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def reach(
    port: int, ca: Path | None, host: str = "localhost", **keys: object
) -> dict[str, Finding]:
    tls = TlsConfig(ca=ca) if ca else False
    config = MqttConfig.model_validate(
        {"host": host, "port": port, "tls": tls, "insecure": True} | keys
    )
    line = network.Line()
    found = {f.subject: f for f in network.reach(config, line)}
    if line.connection is not None:
        line.connection.close()
    assert (line.connection is not None) == all(
        f.grade in (Grade.OK, Grade.WARN) for f in found.values()
    )
    return found


def test_a_good_way(ca: Authority, tmp_path: Path) -> None:
    with server(signed(ca, tmp_path)) as port:
        found = reach(port, ca.file)
    assert [f.grade for f in found.values()] == [Grade.OK] * 4
    assert found["DNS"].text.startswith("localhost is 127.0.0.1, after ")
    assert f"127.0.0.1 port {port} answers after " in found["TCP"].text
    assert "TLSv1.3, certificate and name localhost verified" in found["TLS"].text
    assert found["certificate"].figures == {"days": 89}


def test_a_certificate_that_ends_soon(ca: Authority, tmp_path: Path) -> None:
    with server(signed(ca, tmp_path, to_days=10.5)) as port:
        found = reach(port, ca.file)["certificate"]
    assert found.grade is Grade.WARN
    assert found.text.endswith(", 10 days")
    assert "renew" in found.fix


def test_an_expired_certificate(ca: Authority, tmp_path: Path) -> None:
    with server(signed(ca, tmp_path, from_days=-30, to_days=-2.5)) as port:
        found = reach(port, ca.file)["TLS"]
    assert (found.grade, found.exit_code) == (Grade.FAIL, 2)
    assert found.text == "a certificate of the broker has expired 3 days ago"
    assert found.fix.startswith("renew it at the broker; the clock of this machine")


def test_a_certificate_of_tomorrow(ca: Authority, tmp_path: Path) -> None:
    with server(signed(ca, tmp_path, from_days=1)) as port:
        found = reach(port, ca.file)["TLS"]
    assert found.text == "a certificate of the broker is not valid yet"
    assert "clock" in found.fix


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_of_another_host(
    ca: Authority, tmp_path: Path, host: str
) -> None:
    with server(signed(ca, tmp_path, "broker.plant")) as port:
        found = reach(port, ca.file, host)["TLS"]
    assert found.text == (
        f"the broker's certificate is not for {host} but for broker.plant"
    )
    assert "set mqtt.host to a name of the certificate" in found.fix


def test_a_certificate_of_another_authority(ca: Authority, tmp_path: Path) -> None:
    other = authority(tmp_path / "other", "somebody else")
    with server(signed(other, tmp_path)) as port:
        found = reach(port, ca.file)["TLS"]
    assert f"is not signed by mqtt.tls.ca {ca.file}" in found.text
    assert "it says it is of CN=somebody else" in found.text
    assert "mqtt.tls.ca" in found.fix


def test_the_authorities_of_the_system_do_not_know_it(
    ca: Authority, tmp_path: Path
) -> None:
    with server(signed(ca, tmp_path)) as port:
        found = reach(port, None, tls={})["TLS"]
    assert "is not signed by the authorities of the system" in found.text


def test_a_port_without_tls(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEP_S", 1.5)
    with server(None) as port:
        found = reach(port, ca.file)["TLS"]
    assert found.text == "the broker says nothing within 1.5 s"
    assert "8883 is usual" in found.fix


def test_a_port_that_speaks_something_else(ca: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.plant ready\r\n" * 9)
                connection.recv(9999)

        thread = threading.Thread(target=talk)
        thread.start()
        found = reach(listener.getsockname()[1], ca.file)["TLS"]
        thread.join(10)
    assert found.text == "no encryption could be agreed: wrong version number"
    assert "is one with TLS" in found.fix


def test_nobody_listens(ca: Authority) -> None:
    port = free_port()
    found = reach(port, ca.file)
    assert list(found) == ["DNS", "TCP", "TLS"]
    assert found["TCP"].text == (
        f"localhost port {port}: refused; the machine is there and nobody listens"
    )
    assert "start the broker" in found["TCP"].fix
    assert found["TLS"].grade is Grade.SKIP


def test_a_machine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEP_S", 1.5)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # as many as the kernel lets wait; the next has no answer
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        found = reach(port, None)["TCP"]
        for one in waiting:
            one.close()
    assert found.text == f"localhost port {port}: no answer within 1.5 s"
    assert "firewall" in found.fix


def test_no_such_host() -> None:
    found = reach(1883, None, "broker.invalid")
    assert found["DNS"].grade is Grade.FAIL
    assert found["DNS"].text.startswith("broker.invalid has no address: ")
    assert "getent hosts broker.invalid" in found["DNS"].fix
    assert found["TCP, TLS"].grade is Grade.SKIP


def test_a_name_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        release.wait(10)
        return []

    monkeypatch.setattr(network, "STEP_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    found = reach(1883, None, "broker.plant")["DNS"]
    release.set()
    assert found.text == "broker.plant has no address: no answer within 0.1 s"


def test_a_second_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(None) as port:
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        known = [(*kinds, (address, port)) for address in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
        found = reach(port, None)["TCP"]
    assert found.text.startswith(f"127.0.0.1 port {port} answers after ")
    assert found.text.endswith("; 1 before it did not answer")


def test_without_tls_the_password_can_be_read() -> None:
    with server(None) as port:
        near = reach(port, None, insecure=False)["TLS"]
        far = reach(port, None)["TLS"]
    assert (near.grade, far.grade) == (Grade.OK, Grade.WARN)
    assert "whoever shares the network can read the password" in far.text


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    with server(None) as port, pytest.raises(ConfigError, match=r"mqtt\.tls\.ca"):
        reach(port, broken)


@pytest.mark.parametrize(
    ("days", "grade"), [(40.5, Grade.OK), (3.5, Grade.WARN), (-2.5, Grade.FAIL)]
)
def test_how_long_a_certificate_is_good(
    ca: Authority, tmp_path: Path, days: float, grade: Grade
) -> None:
    made = signed(ca, tmp_path, from_days=-99, to_days=days)
    certificate = x509.load_pem_x509_certificate(made.cert.read_bytes())
    now = datetime.now(timezone.utc)
    assert network.until("certificate", certificate, now).grade is grade
    later = now + timedelta(days=50)
    assert network.until("certificate", certificate, later).grade is Grade.FAIL
