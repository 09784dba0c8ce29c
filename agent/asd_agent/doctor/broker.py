"""Examines the broker: the way to it, login, rights, and a message there and back."""

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from cryptography import x509

from asd_agent.config import Config, MqttConfig
from asd_agent.doctor import network
from asd_agent.doctor.finding import Figure, Finding, fail, ok, skip, warn
from asd_agent.doctor.packets import Packet, reason_text
from asd_agent.doctor.rights import Rights, delivery, publishing, reading
from asd_agent.doctor.running import Running
from asd_agent.doctor.session import Ended, Session
from asd_agent.mqtt.link import NAMES, OTHER_PROTOCOL, Protocol
from asd_agent.mqtt.security import password
from asd_agent.mqtt.topics import Topics

AFTER_TLS = "login, reading, delivery, publishing"
"""Steps that are left out where one before them fails"""
FAIR_BYTES = 65_536
"""A broker must take packets of this size"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who goes to the broker."""

    config: MqttConfig
    device: str
    sources: tuple[str, ...]
    agent: Running
    """A second connection of its user may throw out the agent"""
    disturb: bool
    """Whether it may"""

    @classmethod
    def of(
        cls, config: Config, mqtt: MqttConfig, agent: Running, disturb: bool
    ) -> "Visitor":
        """Of a whole configuration."""
        names = tuple(source.name for source in config.sources)
        return cls(mqtt, config.device, names, agent, disturb)

    @property
    def topics(self) -> Topics:
        """Names of all that the device publishes and reads."""
        return Topics(self.config.root, self.device)

    @property
    def client_id(self) -> str:
        """Not that of the agent."""
        return f"asd-{self.device}-doctor"


def broker(
    visitor: Visitor, clock: Callable[[], float] = time.monotonic
) -> Iterator[Finding]:
    """Go step by step, each with what was found; the first that fails ends it.

    Raises
    ------
    ConfigError
        A password, certificate or key cannot be read.
    """
    yield from own_certificate(visitor.config, datetime.now(timezone.utc))
    secret = password(visitor.config)
    line = network.Line()
    yield from network.reach(visitor.config, line, clock)
    if line.connection is None:
        yield skip(AFTER_TLS, "not tried: there is no connection")
        return
    if visitor.agent is not Running.NO and not visitor.disturb:
        line.connection.close()
        yield skip(
            AFTER_TLS,
            f"not tried: the agent {visitor.agent.value}, and a second connection of "
            "its user may throw it out",
            "look at its log and its health topic; or stop it and come again; or say "
            "--disturb: the agent then connects again by itself",
        )
        return
    user, token = visitor.config.username, secrets.token_hex(8)
    known = Rights(visitor.topics, visitor.sources, user, token)
    session, finding = _logged_in(visitor, line.connection, secret, known, clock)
    yield finding
    if session is None:
        yield skip("reading, delivery, publishing", "not tried: not logged in")
        return
    try:
        yield from _rights(session, known, clock)
    except Ended as error:
        yield _thrown_out(visitor, error)
    finally:
        session.close()


def own_certificate(config: MqttConfig, now: datetime) -> Iterator[Finding]:
    """How long the certificate that this device shows is still good for."""
    if not config.tls or config.tls.cert is None:
        return
    try:
        found = x509.load_pem_x509_certificate(config.tls.cert.read_bytes())
    except (OSError, ValueError):
        return  # the connection cannot be made either, and says why
    yield network.until("own certificate", found, now)


def _rights(
    session: Session, rights: Rights, clock: Callable[[], float]
) -> Iterator[Finding]:
    yield from reading(session, rights)
    yield from delivery(session, rights, clock)
    yield from publishing(session, rights)


def _logged_in(
    visitor: Visitor,
    connection: socket.socket,
    secret: str | None,
    rights: Rights,
    clock: Callable[[], float],
) -> tuple[Session | None, Finding]:
    """Log in with MQTT 5, or with 3.1.1 where the broker does not speak it."""
    begun_s = clock()
    session = Session(connection, 5, clock)
    five = _try(visitor, session, secret)
    if isinstance(five, Packet) and five.reason == 0:
        properties = five.properties
        rights.unfinished = properties.get("ReceiveMaximum", rights.unfinished)
        if properties.get("MaximumQoS", 2) < 2:
            rights.unfinished = 0
        return session, _welcome(visitor, five, 5, clock() - begun_s)
    session.close()
    if isinstance(five, Packet) and not _is_older(five):
        return None, _refused(visitor, reason_text(five, 5))
    line = network.Line()
    for _ in network.reach(visitor.config, line, clock):
        pass  # it was told before
    if line.connection is not None:
        session = Session(line.connection, 4, clock)
        four = _try(visitor, session, secret)
        if isinstance(four, Packet) and four.reason == 0:
            return session, _welcome(visitor, four, 4, clock() - begun_s)
        session.close()
        if isinstance(four, Packet):
            return None, _refused(visitor, reason_text(four, 4))
    why = str(five) if isinstance(five, Ended) else reason_text(five, 5)
    return None, fail(
        "login",
        f"no answer to CONNECT: {why}",
        f"check that port {visitor.config.port} is one of an MQTT broker, that it "
        "asks for no client certificate (mqtt.tls.cert), and read the broker's log",
    )


def _is_older(answer: Packet) -> bool:
    """Whether a broker does not know MQTT 5; it may say so in the words of 3.1.1."""
    return answer.reason == 1 or reason_text(answer, 5) in OTHER_PROTOCOL


def _try(visitor: Visitor, session: Session, secret: str | None) -> Packet | Ended:
    try:
        return session.login(visitor.client_id, visitor.config.username, secret)
    except Ended as error:
        return error


def _welcome(
    visitor: Visitor, packet: Packet, protocol: Protocol, took_s: float
) -> Finding:
    user = visitor.config.username
    who = f"as {user}" if user is not None else "without a user name"
    text = f"accepted {who}, MQTT {NAMES[protocol]}, after {1000 * took_s:.0f} ms"
    figures: dict[str, Figure] = {"protocol": NAMES[protocol]}
    if protocol == 4:
        fix = "use a broker of MQTT 5, such as mosquitto 2"
        more = "; it cannot say that it refuses a message: mistakes in rights lose them"
        return warn("login", text + more, fix, figures=figures)
    for lacks, what in (
        (packet.properties.get("MaximumQoS", 2) < 1, "takes no messages of QoS 1"),
        (not packet.properties.get("RetainAvailable", 1), "retains no messages"),
        (
            packet.properties.get("MaximumPacketSize", FAIR_BYTES) < FAIR_BYTES,
            f"takes no packets of {FAIR_BYTES:,} bytes",
        ),
    ):
        if lacks:
            fix = "change that in the broker, or use another one"
            return fail("login", f"{text}; but the broker {what}", fix, figures=figures)
    return ok("login", text, figures=figures)


def _refused(visitor: Visitor, reason: str) -> Finding:
    config = visitor.config
    fix = (
        "check mqtt.username and the first line of mqtt.password_file; set them at "
        f"the broker anew with: provision-device.sh {visitor.device}"
    )
    if config.username is None:
        fix = "the broker wants to know who this is: set mqtt.username and "
        fix += "mqtt.password_file, or mqtt.tls.cert and mqtt.tls.key"
    return fail("login", f"the broker refuses us: {reason}", fix)


def _thrown_out(visitor: Visitor, error: Ended) -> Finding:
    fix = "read the broker's log"
    if visitor.disturb:
        fix = "the agent came back and took the place: stop it, and come again"
    return fail("connection", f"{error}", fix)
