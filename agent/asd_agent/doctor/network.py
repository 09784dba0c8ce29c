"""Examines the way to a broker below MQTT: name, TCP, TLS and its certificate."""

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

from cryptography import x509

from asd_agent.config import MqttConfig
from asd_agent.doctor.finding import Figure, Finding, fail, ok, skip, warn
from asd_agent.doctor.words import ms_text, number
from asd_agent.mqtt.security import tls_context

STEP_S = 5.0
"""Seconds that each step may take"""
SOON_DAYS = 30
"""A certificate that ends sooner is told of"""
_EXPIRED, _NOT_YET, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's numbers of why a certificate is refused"""
_TIME = "the clock of this machine may be wrong, too: see clock"

Address = tuple[socket.AddressFamily, tuple[str, int]]


@dataclass
class Line:
    """What came of the steps."""

    connection: socket.socket | None = None
    """Open, with TLS if that is wanted; None: a step has failed"""


def reach(
    config: MqttConfig, line: Line, clock: Callable[[], float] = time.monotonic
) -> Iterator[Finding]:
    """Go to the broker step by step; `line` has the connection if all went well.

    Raises
    ------
    ConfigError
        A certificate or key of the configuration cannot be read.
    """
    addresses, finding = _resolve(config, clock)
    yield finding
    if not addresses:
        yield skip("TCP, TLS", "not tried: the name has no address")
        return
    connection, finding = _connect(config, addresses, clock)
    yield finding
    if connection is None:
        yield skip("TLS", "not tried: nobody answers")
        return
    try:
        context = tls_context(config)
    except BaseException:
        connection.close()
        raise
    if context is None:
        line.connection = connection
        yield _plain(config)
        return
    yield from _encrypt(config, connection, context, line, clock)


def _resolve(
    config: MqttConfig, clock: Callable[[], float]
) -> tuple[list[Address], Finding]:
    found: list[Address] = []
    errors: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(
                config.host, config.port, type=socket.SOCK_STREAM
            ):
                found.append((family, (str(address[0]), config.port)))
        except (OSError, UnicodeError) as error:
            errors.append(error)

    begun_s = clock()
    # In a thread: the resolver has no time limit of its own that is as short.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(STEP_S)
    took = ms_text(clock() - begun_s)
    there = list(dict.fromkeys(found)) if not thread.is_alive() else []
    if there:
        names = [address[0] for _, address in there]
        if names == [config.host]:
            return there, ok("DNS", f"{config.host} is an address")
        return there, ok("DNS", f"{config.host} is {', '.join(names)}, after {took}")
    why = f"no answer within {STEP_S:g} s" if thread.is_alive() else ""
    if errors:
        why = getattr(errors[0], "strerror", None) or str(errors[0])
    return [], fail(
        "DNS",
        f"{config.host} has no address: {why or 'none was found'}",
        f"check mqtt.host and the name server: getent hosts {config.host}; or write "
        "the broker's address in /etc/hosts, under the name of its certificate",
    )


def _connect(
    config: MqttConfig, addresses: list[Address], clock: Callable[[], float]
) -> tuple[socket.socket | None, Finding]:
    failures: list[OSError] = []
    for family, address in addresses:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(STEP_S)
        begun_s = clock()
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            failures.append(error)
            continue
        took = ms_text(clock() - begun_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        more = f"; {len(failures)} before it did not answer" if failures else ""
        text = f"{address[0]} port {address[1]} answers after {took}{more}"
        return connection, ok("TCP", text)
    return None, _unreachable(config, failures[0])


def _unreachable(config: MqttConfig, error: OSError) -> Finding:
    where = f"{config.host} port {config.port}"
    if isinstance(error, ConnectionRefusedError):
        return fail(
            "TCP",
            f"{where}: refused; the machine is there and nobody listens",
            "start the broker, or check mqtt.port: 8883 is usual with TLS, 1883 "
            "without; mosquitto listens to other machines only with a listener line",
        )
    if isinstance(error, TimeoutError):
        return fail(
            "TCP",
            f"{where}: no answer within {STEP_S:g} s",
            "a firewall drops it, or the machine is off: "
            f"try ping {config.host}, and let this port through",
        )
    fix = "check the cable or the Wi-Fi: ip addr; ip route"
    if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        fix = "check mqtt.host and mqtt.port"
    return fail("TCP", f"{where}: {error.strerror or error}", fix)


def _plain(config: MqttConfig) -> Finding:
    if config.insecure:
        return warn(
            "TLS",
            "none (tls: false): whoever shares the network can read the password and "
            "speak for this device",
            "give the broker a certificate (deploy/mosquitto/provision-broker.sh) and "
            "remove tls: false and insecure: true",
        )
    return ok("TLS", "none, the broker is on this machine")


def _encrypt(
    config: MqttConfig,
    connection: socket.socket,
    context: ssl.SSLContext,
    line: Line,
    clock: Callable[[], float],
) -> Iterator[Finding]:
    begun_s = clock()
    try:
        secure = context.wrap_socket(connection, server_hostname=config.host)
    except OSError as error:
        connection.close()
        yield _not_encrypted(config, error)
        return
    line.connection = secure
    yield ok(
        "TLS",
        f"{secure.version()}, certificate and name {config.host} verified, after "
        f"{ms_text(clock() - begun_s)}",
        figures={"version": secure.version()},
    )
    raw = secure.getpeercert(binary_form=True)
    if raw:
        certificate = x509.load_der_x509_certificate(raw)
        yield until("certificate", certificate, datetime.now(timezone.utc))


def _not_encrypted(config: MqttConfig, error: OSError) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_trusted(config, error)
    if isinstance(error, TimeoutError):
        return fail(
            "TLS",
            f"the broker says nothing within {STEP_S:g} s",
            f"port {config.port} may be one without TLS: 8883 is usual with it",
        )
    text = getattr(error, "reason", None) or error.strerror or str(error)
    return fail(
        "TLS",
        f"no encryption could be agreed: {text.replace('_', ' ').lower()}",
        f"check that port {config.port} is one with TLS (8883 is usual), that the "
        "broker knows TLS 1.2 or later, and that it takes tls.cert if it asks for one",
    )


def _not_trusted(config: MqttConfig, error: ssl.SSLCertVerificationError) -> Finding:
    shown = _unverified(config)
    now = datetime.now(timezone.utc)
    figures: dict[str, Figure] = {"verify_code": error.verify_code}
    if error.verify_code == _EXPIRED:
        days = f" {_ago(shown, now)}" if shown else ""
        text = f"a certificate of the broker has expired{days}"
        return fail("TLS", text, f"renew it at the broker; {_TIME}", figures=figures)
    if error.verify_code == _NOT_YET:
        text = "a certificate of the broker is not valid yet"
        return fail(
            "TLS", text, f"set the clock of this machine; {_TIME}", figures=figures
        )
    if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        names = ", ".join(_names(shown)) if shown else ""
        text = f"the broker's certificate is not for {config.host}"
        text += f" but for {names}" if names else ""
        fix = (
            "set mqtt.host to a name of the certificate, or make one for "
            f"{config.host}: provision-broker.sh {config.host}"
        )
        return fail("TLS", text, fix, figures=figures)
    tls = config.tls
    ca = f"mqtt.tls.ca {tls.ca}" if tls and tls.ca else "the authorities of the system"
    issuer = f"; it says it is of {shown.issuer.rfc4514_string()}" if shown else ""
    return fail(
        "TLS",
        f"the broker's certificate is not signed by {ca} ({error.verify_message})"
        f"{issuer}",
        "copy ca.pem from the broker (tls/ca.pem of provision-broker.sh) by a way "
        "that you trust, and name it in mqtt.tls.ca",
        figures=figures,
    )


def _unverified(config: MqttConfig) -> x509.Certificate | None:
    """What a broker shows that is not trusted; nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, ValueError):
        address = (config.host, config.port)
        with (
            socket.create_connection(address, STEP_S) as plain,
            context.wrap_socket(plain, server_hostname=config.host) as secure,
        ):
            raw = secure.getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(raw) if raw else None
    return None


def until(subject: str, certificate: x509.Certificate, now: datetime) -> Finding:
    """How long a certificate is still good for."""
    days = _days(certificate, now)
    end = certificate.not_valid_after_utc
    if days < 0:
        text = f"has expired on {end:%Y-%m-%d}, {_ago(certificate, now)}"
        return fail(subject, text, f"renew it; {_TIME}", figures={"days": days})
    text = f"valid until {end:%Y-%m-%d}, {number(days, 'day')}"
    if days < SOON_DAYS:
        return warn(subject, text, "renew it before that day", figures={"days": days})
    return ok(subject, text, figures={"days": days})


def _days(certificate: x509.Certificate, now: datetime) -> int:
    return (certificate.not_valid_after_utc - now).days


def _ago(certificate: x509.Certificate, now: datetime) -> str:
    return f"{number(-_days(certificate, now), 'day')} ago"


def _names(certificate: x509.Certificate) -> list[str]:
    with suppress(x509.ExtensionNotFound):
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
        return [str(name.value) for name in found]
    return []
