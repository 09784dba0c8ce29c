"""Tells whoever watches this process how it is doing: systemd, or a container.

systemd names a socket in ``NOTIFY_SOCKET`` (sd_notify(3)), a container a file in
``ASD_HEARTBEAT`` (`asd_agent.heartbeat`). Where neither is named nothing is told, and
whatever fails in telling, the agent goes on.
"""

import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from asd_agent.heartbeat import Heartbeat

log = logging.getLogger(__name__)

SEND_S = 1.0
"""Most seconds that a message waits for a busy systemd"""
STATUS_CHARACTERS = 200
"""Most that is told in words"""
UNWATCHED = "0"
"""What ``WATCHDOG_USEC`` is where no watchdog was asked for"""


class Notifier:
    """Says that the agent is ready, that it lives, and that it ends.

    Parameters
    ----------
    environment
        Where systemd and the container left their names; None: that of this process.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = os.environ if environment is None else environment
        self._address = _address(found.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(found)
        path = found.get("ASD_HEARTBEAT")
        self._heartbeat = Heartbeat(Path(path)) if path else None
        self._failed = False

    @property
    def watchdog_s(self) -> float | None:
        """Seconds without `alive` after which this process is ended; None: never."""
        return self._watchdog_s

    def ready(self, status: str = "") -> None:
        """Say that the start is over: from now on the watchdog counts."""
        self._send("READY=1", *_status(status))
        self._beat()

    def status(self, text: str) -> None:
        """Say in a line how it is going: ``systemctl status`` shows it."""
        self._send(*_status(text))

    def alive(self) -> None:
        """Say that the work goes on; only what saw it go on may call this."""
        self._send("WATCHDOG=1")
        self._beat()

    def stopping(self, status: str = "") -> None:
        """Say that the end was asked for and is near."""
        self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        message = "\n".join(lines).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_S)
                sender.sendto(message, self._address)
        except OSError as error:
            self._tell("systemd", error)

    def _beat(self) -> None:
        if self._heartbeat is None:
            return
        try:
            self._heartbeat.beat()
        except OSError as error:
            self._tell("the container", error)

    def _tell(self, whom: str, error: OSError) -> None:
        """Log a failure once: it may come back every few seconds."""
        if not self._failed:
            self._failed = True
            log.warning("%s cannot be told how the agent is doing: %s", whom, error)


def _address(text: str) -> str | None:
    """Address of a socket: a path, or an abstract name that is written with ``@``."""
    if text.startswith("/"):
        return text
    if text.startswith("@") and len(text) > 1:
        return "\0" + text[1:]
    return None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    text = environment.get("WATCHDOG_USEC", UNWATCHED)
    # It is for the process that systemd started, and not for its children.
    ours = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
    if ours and text.isascii() and text.isdigit() and int(text):
        return int(text) / 1e6
    return Heartbeat.LIMIT_S if environment.get("ASD_HEARTBEAT") else None


def _status(text: str) -> list[str]:
    """The assignment for a text; a line break would begin another one."""
    line = " ".join(text.split())[:STATUS_CHARACTERS]
    return [f"STATUS={line}"] if line else []
