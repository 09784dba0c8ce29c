"""Brokers that are right or wrong in one thing, and whether they are spoken to."""

import os
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from support.authority import FUTURE, PAST, Authority, Pair
from support.broker import Certificates, Mosquitto, free_port
from support.close_client import Client

HOST = "localhost"
USER = "press-07"
PASSWORD = "correct horse battery"  # noqa: S105 - of a broker that lives for a test
UNICODE = "pässwörd \u2028 \x85 with blanks "
WRONG = "hunter2"
OTHER = "press-08"
"""A user whose password is `UNICODE`"""


class Site:
    """Brokers of every kind, as a context manager."""

    secrets = (PASSWORD, UNICODE, WRONG)

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "right")
        self.stranger = Authority(folder / "wrong", "somebody else")
        sign = self.authority.sign
        pairs = {
            "good": sign("good", HOST, "127.0.0.1"),
            "expired": sign("expired", HOST, period=PAST),
            "early": sign("early", HOST, period=FUTURE),
            "elsewhere": sign("elsewhere", "broker.example"),
            "nameless": sign("nameless"),
            "unknown": sign("unknown", common="somebody"),
            "name only": sign("name", HOST),
            "self-signed": sign("self", HOST, itself=True),
            "strange": self.stranger.sign("strange", HOST),
        }
        self.ports = {name: free_port() for name in pairs}
        self.ports |= {"plain": free_port(), "certificates": free_port()}
        self.ports |= {"nobody": free_port()}
        self.clients = {
            "right": sign("client", common=USER),
            "strange": self.stranger.sign("client", common=USER),
            "expired": sign("late", common=USER, period=PAST),
        }
        self._old = OldServer(pairs["good"])
        self.ports["old"] = self._old.port
        self._broker = self._brokers(folder, pairs)

    def auditor(self) -> Client:
        """A client that may read all that was published."""
        port, ca = self.ports["good"], self.authority.ca
        client = Client(port, ca, USER, PASSWORD, client_id="auditor")
        client.connect()
        return client

    def _brokers(self, folder: Path, pairs: dict[str, Pair]) -> Mosquitto:
        lines = []
        for name, pair in pairs.items():
            if name != "good":
                lines += _listener(self.ports[name], pair)
        lines += [
            f"listener {self.ports['plain']} 127.0.0.1",
            *_listener(self.ports["certificates"], pairs["good"]),
            f"cafile {self.authority.ca}",
            "require_certificate true",
            "use_identity_as_username true",
        ]
        good = pairs["good"]
        broker = Mosquitto(
            folder,
            tls=Certificates(self.authority.ca, good.cert, good.key),
            user=(USER, PASSWORD),
            lines=tuple(lines),
            port=self.ports["good"],
        )
        command = ("mosquitto_passwd", "-b", folder / "passwords", OTHER, UNICODE)
        subprocess.run(command, check=True, capture_output=True)
        return broker

    def __enter__(self) -> "Site":
        self._broker.start()
        self._old.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._broker.stop()
        self._old.stop()


def _listener(port: int, pair: Pair) -> list[str]:
    address = f"listener {port} 127.0.0.1"
    return [address, f"certfile {pair.cert}", f"keyfile {pair.key}"]


class OldServer:
    """A server that speaks no TLS but 1.0 and 1.1."""

    def __init__(self, pair: Pair) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.cert, pair.key)
        self._context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._context.minimum_version = ssl.TLSVersion.TLSv1
            self._context.maximum_version = ssl.TLSVersion.TLSv1_1
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Take clients from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            with line, suppress(OSError):
                line.settimeout(5)
                self._context.wrap_socket(line, server_side=True).close()


Write = Callable[[Path], object]
"""Makes a password file"""


def _of(content: str | bytes) -> Write:
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda path: path.write_bytes(raw)


def _right(path: Path) -> None:
    path.write_text(PASSWORD)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _linked(path: Path) -> None:
    """Write it as a container has it."""
    (path.parent / "real").write_text(PASSWORD)
    path.symlink_to("real")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to connect."""

    name: str
    connects: bool
    says: str = "connected to"
    """Part of what the log, or the error, says"""
    mend: str = ""
    """Part of what is to be mended"""
    port: str = "good"
    host: str = HOST
    ca: str | None = "right"
    client: str | None = None
    write: Write | None = _right
    user: str | None = USER
    tls: bool = True

    def keys(self, site: Site, folder: Path) -> dict[str, Any]:
        """Its part of the configuration."""
        cas = {"right": site.authority.ca, "wrong": site.stranger.ca}
        tls: dict[str, Path] = {"ca": cas[self.ca]} if self.ca else {}
        if self.client:
            pair = site.clients[self.client]
            tls |= {"cert": pair.cert, "key": pair.key}
        keys: dict[str, Any] = {"host": self.host, "port": site.ports[self.port]}
        if self.user is not None:
            keys["username"] = self.user
        if self.write is not None:
            self.write(folder / "password")
            keys["password_file"] = folder / "password"
        return keys | {"tls": tls if self.tls else False, "interval_s": 0.1}


TRUST = "mqtt.tls.ca must be"
NAME = "mqtt.host must be a name"
FILE = "Its first line must be the password"
TRYING = "trying again"
_certificate = partial(Row, port="certificates", user=None, write=None)
ROWS = (
    Row("right authority", True),
    Row("right authority, by address", True, host="127.0.0.1"),
    Row("authority of somebody else", False, TRYING, TRUST, ca="wrong"),
    Row("authorities of the system", False, TRYING, TRUST, ca=None),
    Row("broker of somebody else", False, TRYING, TRUST, port="strange"),
    Row("signed by itself", False, TRYING, TRUST, port="self-signed"),
    Row("expired", False, TRYING, "Renew it", port="expired"),
    Row("not yet valid", False, TRYING, "clock is set", port="early"),
    Row("another host's name", False, TRYING, NAME, port="elsewhere"),
    Row("the name in the old place alone", True, port="nameless"),
    Row("no name at all", False, TRYING, NAME, port="unknown"),
    Row(
        "by address, and no list of names",
        *(False, TRYING, NAME),
        port="nameless",
        host="127.0.0.1",
    ),
    Row(
        "by address, certificate has only the name",
        *(False, TRYING, NAME),
        port="name only",
        host="127.0.0.1",
    ),
    Row("TLS 1.1 at most", False, TRYING, "TLS 1.2 or later", port="old"),
    Row("no TLS at the port", False, TRYING, "mqtt.port is one", port="plain"),
    Row("no TLS here", False, TRYING, port="good", tls=False, host="127.0.0.1"),
    Row("no TLS on either side", True, port="plain", tls=False, host="127.0.0.1"),
    Row("nobody listens", False, TRYING, "See mqtt.port", port="nobody"),
    Row("no such name", False, TRYING, "See mqtt.host", host="broker.invalid"),
    _certificate("right client certificate", True, client="right"),
    _certificate("no client certificate", False, "", "mqtt.tls.cert"),
    _certificate(
        "client certificate of somebody else",
        *(False, "", "mqtt.tls.cert"),
        client="strange",
    ),
    _certificate("expired client certificate", False, "", "Renew", client="expired"),
    Row("no user", False, "Not authorized", user=None, write=None),
    Row("no password", False, "Not authorized", write=None),
    Row("wrong password", False, "Not authorized", write=_of(WRONG)),
    Row("another's password", False, "Not authorized", write=_of(UNICODE)),
    Row("password with blanks and unicode", True, user=OTHER, write=_of(UNICODE)),
    Row("further lines", True, write=_of(f"{PASSWORD}\nsecond\n")),
    Row("written on Windows", True, write=_of(f"\ufeff{PASSWORD}\r\n")),
    Row("a link, as in a container", True, write=_linked),
    Row("empty file", False, "is empty", FILE, write=_of("")),
    Row("empty first line", False, "is empty", FILE, write=_of(f"\n{PASSWORD}")),
    Row("10 MB", False, "has more than", FILE, write=_of(b"x" * 10_000_000)),
    Row("not UTF-8", False, "not text in UTF-8", FILE, write=_of(b"\xff" + b"hunter2")),
    Row("a pipe", False, "not a plain file", FILE, write=os.mkfifo),
    Row("a device", False, "not a plain file", FILE, write=_endless),
    Row("a folder", False, "not a plain file", FILE, write=Path.mkdir),
    Row("no such file", False, "No such file", FILE, write=lambda path: None),
)
"""Each with what is said of it"""
