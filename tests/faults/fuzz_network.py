"""Targets: what a hostile broker or web server sends."""

import contextlib
import random
import socket
import threading
from pathlib import Path

from asd_agent.bundle.staged import Staged
from asd_agent.doctor.packets import reason_text
from asd_agent.doctor.session import Ended, Session
from asd_agent.errors import BundleError
from asd_agent.mqtt.answers import LinkDown
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.link import Link, Protocol
from asd_agent.mqtt.members import TopicFetcher
from asd_agent.mqtt.topics import Topics
from asd_agent.update.desired import MAX_DESIRED_BYTES, Desired, decode, encode
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.patience import Patience
from faults.fuzz_target import Make, Target
from faults.mutation import mutated
from support.bundles import GOLDEN
from support.crashes import Quick
from support.publishers import plain
from support.raw_broker import CONNACK, header, publish
from support.staging import MODEL, NEVER, files, manifest_of

TOPICS = Topics("factory", "press-07")
CONTENTS = files(2000)
ONCE = Patience(
    connect_s=5, silence_s=2, slow_s=5, tries=1, pause_s=0.001, most_pause_s=0.001
)
MEMBER = TOPICS.member("0" * 64)
MOST_PUMPS = 500


class Hostile:
    """Answers every connection with the same bytes, and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.recv(65_536)  # CONNECT, or the request
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass


def broker(folder: Path, protocol: Protocol) -> Target:
    """All that a broker may send, from its answer to CONNECT to the end."""
    server = Hostile()
    config = plain(server.port)
    wish = encode(Desired(manifest_of(CONTENTS), b"", None))

    def read(content: bytes) -> None:
        server.answer = content
        inbox = Inbox()
        inbox.want(TOPICS.bundle_desired, MAX_DESIRED_BYTES)
        inbox.want(MEMBER, 1000)
        with contextlib.suppress(LinkDown):
            link = Link(
                config,
                "asd-press-07",
                TOPICS.status,
                protocol,
                on_ack=lambda *_: None,
                inbox=inbox,
            )
            with contextlib.closing(link):
                link.read(inbox.wanted())
                link.publish(TOPICS.anomaly, b"{}")
                for _ in range(MOST_PUMPS):
                    link.pump(None, 1.0)
        body = inbox.take(TOPICS.bundle_desired, 0)
        if body is not None:
            decode(body)

    seeds = tuple(_stream(protocol, wish, last) for last in _ends(protocol))
    name = f"broker, MQTT {'5' if protocol == 5 else '3.1.1'}"
    return Target(name, seeds, read, _packets, (BundleError,))


def _stream(protocol: Protocol, wish: bytes, last: bytes) -> bytes:
    """What a good broker sends, in a row."""
    five = b"\x00" if protocol == 5 else b""
    second = publish(MEMBER, b"x" * 500, protocol, 2)
    return b"".join(
        (
            CONNACK[protocol],
            _packet(0x90, b"\x00\x01" + five + b"\x01"),  # SUBACK
            _packet(0x90, b"\x00\x02" + five + b"\x80"),
            publish(TOPICS.bundle_desired, wish, protocol),
            b"\x34" + second[1:],  # of QoS 2
            _packet(0x62, b"\x00\x02"),  # PUBREL
            _packet(0x40, b"\x00\x03"),  # PUBACK
            b"\xd0\x00",  # PINGRESP
            last,
        )
    )


def _ends(protocol: Protocol) -> tuple[bytes, ...]:
    if protocol == 4:
        return (b"", _packet(0xB0, b"\x00\x04"))
    reason = b"\x1f\x00\x06reason\x26\x00\x01a\x00\x01b"  # a text, and a user property
    return (
        b"",
        _packet(0xB0, b"\x00\x04\x00\x00"),  # UNSUBACK
        _packet(0xE0, b"\x8e" + bytes([len(reason)]) + reason),  # DISCONNECT
        _packet(0x40, b"\x00\x03\x87" + bytes([len(reason)]) + reason),
    )


def _packet(kind: int, body: bytes) -> bytes:
    return header(len(body), kind) + body


def _packets(rng: random.Random, content: bytes) -> bytes:
    """Bytes anywhere, or in what is short and full of rules: not in a manifest."""
    if rng.random() < 0.3:
        return mutated(rng, content)
    long = content.index(b'{"v":')
    end = content.index(b"}", long) + 1
    if rng.random() < 0.5:
        return mutated(rng, content[:long]) + content[long:]
    return content[:end] + mutated(rng, content[end:])


def doctor(folder: Path, protocol: Protocol) -> Target:
    """What a broker answers to ``asd-agent doctor``, which reads its own topic."""
    topic, body = "factory/press-07/doctor", b"hello"

    def read(content: bytes) -> None:
        here, there = socket.socketpair()
        with here, there:
            there.sendall(content)
            there.shutdown(socket.SHUT_WR)
            session = Session(here, protocol)
            with contextlib.suppress(Ended):
                session.login("asd-press-07-doctor", "press-07", "secret")
                session.subscribe(topic)
                session.publish(topic, body)
                session.begin(topic, body)
                session.wait(topic, body, 1.0)
            for packet in session.messages:
                reason_text(packet, protocol)

    seed = b"".join(
        (
            CONNACK[protocol],
            _packet(0x90, b"\x00\x01" + (b"\x00\x01" if protocol == 5 else b"\x01")),
            publish(topic, body, protocol),
            _packet(0x40, b"\x00\x02"),
            _packet(0x50, b"\x00\x03"),
            publish(topic, body, protocol, 2),
        )
    )
    name = f"doctor, MQTT {'5' if protocol == 5 else '3.1.1'}"
    return Target(name, (seed,), read)


def member(folder: Path) -> Target:
    """A file of a bundle by MQTT, under the hash of another."""

    def read(content: bytes) -> None:
        staged = _staged(folder)
        try:
            fetcher = TopicFetcher(_Delivering(content), TOPICS)
            fetcher.fetch(staged, NEVER, lambda *_: None)
        finally:
            missing = staged.missing()
            staged.drop()
        assert (content == CONTENTS[MODEL]) is (not missing)

    good = (CONTENTS[MODEL],)
    return Target("bundles/<sha256>", good, read, mutated, (BundleError,))


def _staged(folder: Path) -> Staged:
    """A bundle of which one file is missing."""
    staged = Staged(folder / "bundle", manifest_of(CONTENTS), None, Quick())
    staged.append(GOLDEN, CONTENTS[GOLDEN])
    staged.finish(GOLDEN)
    return staged


class _Delivering(Inbox):
    """An inbox in which a file comes as soon as it is asked for."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    def want(self, topic: str, most_bytes: int) -> None:
        """Ask for a topic; what is too long for it is not waited for."""
        super().want(topic, most_bytes)
        self.deliver(topic, self._content)

    def take(self, topic: str, timeout_s: float | None = None) -> bytes | None:
        """The file, or something else that is no file of ours."""
        return super().take(topic, 0) or b"?"


def web(folder: Path) -> Target:
    """What a web server answers."""
    server = Hostile()
    content = CONTENTS[MODEL]

    def read(answer: bytes) -> None:
        server.answer = answer
        staged = _staged(folder)
        url = f"http://127.0.0.1:{server.port}/pump-3"
        try:
            HttpsFetcher(url, patience=ONCE).fetch(staged, NEVER, lambda *_: None)
        finally:
            staged.drop()

    size = len(content)
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n"
        "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
    )
    pieces = (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        f"{size:x}\r\n"
    )
    seeds = (
        head.encode() + content,
        pieces.encode() + content + b"\r\n0\r\n\r\n",
    )
    return Target("web server", seeds, read, _answers, (BundleError,))


def _answers(rng: random.Random, content: bytes) -> bytes:
    """Mostly the header: the rest is hashed."""
    if rng.random() < 0.2:
        return mutated(rng, content)
    end = content.index(b"\r\n\r\n") + 8
    return mutated(rng, content[:end], HTTP_WORDS) + content[end:]


HTTP_WORDS = (
    *(b"\r\n", b"\r\n\r\n", b": ", b" ", b"HTTP/1.0 ", b"100 Continue\r\n", b"206"),
    *(
        b"Content-Encoding: gzip\r\n",
        b"Content-Length: -1\r\n",
        b"\x00",
        b"\xff",
        b"\n",
    ),
    *(b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Content-Range: bytes 0-1/2\r\n", b"302", b"Location: /\r\n", b"a" * 70_000),
    *(b"f" * 40, b"-5\r\n", b"x: y\r\n" * 200),
)
NETWORK: dict[str, Make] = {
    "broker, MQTT 5": lambda folder: broker(folder, 5),
    "broker, MQTT 3.1.1": lambda folder: broker(folder, 4),
    "doctor, MQTT 5": lambda folder: doctor(folder, 5),
    "doctor, MQTT 3.1.1": lambda folder: doctor(folder, 4),
    "bundles/<sha256>": member,
    "web server": web,
}
