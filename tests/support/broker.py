"""A real mosquitto for tests, its certificates, and a subscriber to look on."""

import getpass
import json
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

WAIT_S = 10.0
"""Seconds that a test waits for something that takes milliseconds"""


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(
    condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S
) -> None:
    """Poll until `condition` holds; fail the test naming `what` if it never does."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not within {timeout_s} s"
        time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority and a server certificate that it signed."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, host: str = "localhost") -> "Certificates":
        """Make both with the openssl command; the server's name is `host`."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        ca_key = folder / "ca.key"
        new = ("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2")
        curve = ("-pkeyopt", "ec_paramgen_curve:prime256v1")
        extensions = {
            "ca": ("basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign"),
            "server": (f"subjectAltName=DNS:{host}", "basicConstraints=CA:FALSE"),
        }
        ca = _extensions(extensions["ca"])
        server = _extensions(extensions["server"])
        signer = ("-CA", made.ca, "-CAkey", ca_key)
        _run(*new, *curve, *ca, "-subj", "/CN=test CA", *_out(ca_key, made.ca))
        named = ("-subj", f"/CN={host}")
        _run(*new, *curve, *server, *named, *signer, *_out(made.key, made.cert))
        return made


def _extensions(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for line in lines for word in ("-addext", line))


def _out(key: Path, cert: Path) -> tuple[str | Path, ...]:
    return "-keyout", key, "-out", cert


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Mosquitto:
    """A broker on the loopback interface; a context manager that can be restarted."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: Certificates | None = None,
        user: tuple[str, str] | None = None,
        lines: tuple[str, ...] = (),
        port: int | None = None,
    ) -> None:
        self.port = port if port is not None else free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._file = folder / "mosquitto.conf"
        settings = [f"user {getpass.getuser()}", f"listener {self.port} 127.0.0.1"]
        settings.append(f"allow_anonymous {'false' if user else 'true'}")
        if tls:
            settings += [f"certfile {tls.cert}", f"keyfile {tls.key}"]
        if user:
            passwords = folder / "passwords"
            _run("mosquitto_passwd", "-c", "-b", passwords, *user)
            settings.append(f"password_file {passwords}")
        self._file.write_text("\n".join([*settings, *lines, ""]))

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            ("mosquitto", "-c", self._file),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._listens, "mosquitto listens")

    def stop(self) -> None:
        """Stop it as systemd would."""
        if self._process:
            self._process.terminate()
            self._process.wait(WAIT_S)
            self._process = None

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto ended; is it installed?"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass(frozen=True, slots=True)
class Received:
    """One message as the subscriber got it."""

    topic: str
    body: bytes
    qos: int
    retain: bool

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


class Subscriber:
    """Collects every message of a broker without TLS."""

    def __init__(
        self, port: int, topic: str = "#", *, protocol: int = 5, qos: int = 1
    ) -> None:
        self.messages: list[Received] = []
        self._granted = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(protocol)
        )
        self._client.on_message = self._keep
        self._client.on_subscribe = self._subscribed
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos)
        self._client.connect("127.0.0.1", port)

    def of(self, topic: str) -> list[Received]:
        """Messages of one topic so far."""
        return [message for message in self.messages if message.topic == topic]

    def wait(self, topic: str, count: int = 1) -> list[Received]:
        """Messages of one topic, at least `count` of them."""
        wait_for(lambda: len(self.of(topic)) >= count, f"{count} of {topic}")
        return self.of(topic)

    def wait_body(self, topic: str, body: bytes) -> None:
        """Wait until the newest message of a topic is `body`."""
        wait_for(
            lambda: [m.body for m in self.of(topic)][-1:] == [body], f"{topic} {body!r}"
        )

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        wait_for(lambda: self._granted, "subscription")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _keep(self, _client: Any, _data: Any, message: Any) -> None:
        got = Received(message.topic, message.payload, message.qos, message.retain)
        self.messages.append(got)

    def _subscribed(self, *_: Any) -> None:
        self._granted = True
