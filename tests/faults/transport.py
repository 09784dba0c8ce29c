"""Who is spoken to, and who is not: TLS, certificates and passwords.

``PYTHONPATH=tests python -m faults.transport`` prints a table. The real publisher meets
a real mosquitto, and the real downloader a real web server, with certificates that are
right or wrong in one thing. Each must be connected or not as the row says, the log must
say why, and nothing may show the password: no log record of any level, no error, no
payload, no output of ``asd-agent check``.
"""

import logging
import socket
import ssl
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from asd_agent.config import MqttConfig
from asd_agent.errors import AsdError
from asd_agent.mqtt.security import tls_context, why
from faults.transport_rows import ROWS, Row, Site
from support.publishers import publishing

PATIENCE_S = 15.0
"""Longest wait for a connection, or for why there is none"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to connect ended."""

    connected: bool
    said: str
    """What the log said at every level, and every error"""
    advice: str
    """What is to be mended, as the agent puts it"""

    def wrong(self, row: Row, secrets: tuple[str, ...]) -> str:
        """What is not as the row wants it; empty: nothing."""
        if self.connected is not row.connects:
            return "connected" if self.connected else f"not connected: {self.said}"
        if row.says not in self.said:
            return f"does not say {row.says!r}: {self.said}"
        told = self.said + (self.advice if row.port == "certificates" else "")
        if row.mend not in told:
            return f"does not tell {row.mend!r}: {self.said} {self.advice}"
        if "Traceback" in self.said:
            return f"an exception: {self.said}"
        shown = [secret for secret in secrets if secret in self.said]
        return f"shows {shown}" if shown else ""


class Ear(logging.Handler):
    """Hears every record, with its exception."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, and what it is made of."""
        self.lines.append(f"{record.getMessage()} {record.args!r}")
        if record.exc_info:
            self.lines.append("".join(traceback.format_exception(*record.exc_info)))


@contextmanager
def listening() -> Iterator[Ear]:
    """Hear what is logged at every level."""
    root, ear = logging.getLogger(), Ear()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield ear
    finally:
        root.removeHandler(ear)
        root.setLevel(level)


def attempt(row: Row, site: Site, folder: Path) -> Outcome:
    """Let a publisher connect as the row says."""
    config = MqttConfig.model_validate(row.keys(site, folder))
    with listening() as ear:
        connected = False
        try:
            with publishing(config) as publisher:
                end_s = time.monotonic() + PATIENCE_S
                while not connected and not _down(ear) and time.monotonic() < end_s:
                    time.sleep(0.01)
                    connected = publisher.connected
        except AsdError as error:  # before it begins
            ear.lines.append(f"{error} {error!r}")
    ear.lines.append(repr(config))
    return Outcome(connected, "\n".join(ear.lines), _advice(config))


def _down(ear: Ear) -> bool:
    return any("; trying again" in line for line in ear.lines)


def _advice(config: MqttConfig) -> str:
    """What the agent makes of the error that TLS gives."""
    with suppress(AsdError):
        context = tls_context(config)
        try:
            _shake_hands(config, context)
        except Exception as error:  # whatever it is, the agent must put it well
            return why(error)
    return ""


def _shake_hands(config: MqttConfig, context: ssl.SSLContext | None) -> None:
    with socket.create_connection((config.host, config.port), 5) as plain:
        if context is None:
            return
        with context.wrap_socket(plain, server_hostname=config.host) as secure:
            # TLS 1.3 tells who has no certificate only when something is read.
            secure.settimeout(0.2)
            with suppress(TimeoutError):
                secure.recv(1)


def payloads(site: Site) -> str:
    """Everything that the brokers keep, with its topics."""
    client = site.auditor()
    client.subscribe("#")
    time.sleep(0.3)
    client.close()
    return " ".join(f"{got.topic} {got.body!r}" for got in client.messages)


def main() -> int:
    """Print the table; 1 if a row is not as it should be."""
    from faults.transport_web import WEB_ROWS, fetch  # a server of another kind

    print("| case | connected | mend |\n|---|---|---|")
    right = 0
    with tempfile.TemporaryDirectory(prefix="asd-") as name, Site(Path(name)) as site:
        for i, row in enumerate(ROWS):
            folder = Path(name) / str(i)
            folder.mkdir()
            found = attempt(row, site, folder)
            wrong = found.wrong(row, site.secrets)
            right += not wrong
            _print(row.name, found.connected, wrong or found.advice)
        shown = [secret for secret in site.secrets if secret in payloads(site)]
        for web in WEB_ROWS:
            taken, text = fetch(web, Path(name))
            wrong = "" if (taken, web.says in text) == (web.taken, True) else text
            right += not wrong
            _print(f"download: {web.name}", taken, wrong or text)
    total = len(ROWS) + len(WEB_ROWS)
    print(f"\nas they should be: {right} of {total}; secrets in payloads: {len(shown)}")
    return 0 if right == total and not shown else 1


def _print(name: str, connected: bool, text: str) -> None:
    cells = [name, "yes" if connected else "no", text[:110].replace("\n", " ")]
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
