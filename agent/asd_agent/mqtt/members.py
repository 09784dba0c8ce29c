"""The files of a bundle by MQTT: each one retained message under its SHA-256."""

import hashlib
import time
from collections.abc import Callable
from threading import Event

from asd_agent.bundle.manifest import FileEntry
from asd_agent.bundle.staged import Staged
from asd_agent.errors import BundleError
from asd_agent.mqtt.inbox import MAX_MEMBER_BYTES, Inbox
from asd_agent.mqtt.topics import Topics
from asd_agent.update.fetch import CHUNK_BYTES, Told

POLL_S = 0.2
"""Seconds between two looks at whether to stop"""
WAIT_S = 10.0
"""Seconds after which it is told that a file is waited for"""

Waiting = Callable[[str | None], None]
"""Called with the name of a file that the broker does not send; None: it came"""


def _untold(_name: str | None) -> None:
    return


class TopicFetcher:
    """Asks the broker for the files that are missing, one at a time.

    It waits as long as it takes: for a file that nobody has published yet, and for a
    broker that is away. Files that are whole are never asked for again.
    """

    def __init__(
        self,
        inbox: Inbox,
        topics: Topics,
        *,
        waiting: Waiting = _untold,
        wait_s: float = WAIT_S,
    ) -> None:
        self._inbox = inbox
        self._topics = topics
        self._waiting = waiting
        self._wait_s = wait_s

    def fetch(self, staged: Staged, stop: Event, progress: Told) -> None:
        """Bring every missing file; see `asd_agent.update.fetch.Fetcher`."""
        missing = staged.missing()
        for name, entry in missing.items():
            if entry.bytes > MAX_MEMBER_BYTES:
                raise BundleError(
                    f"{name}: has {entry.bytes} bytes, at most {MAX_MEMBER_BYTES} come "
                    "by MQTT. Push with --base-url, from a web server",
                    "too_large",
                )
        total = sum(entry.bytes for entry in staged.manifest.files.values())
        here = total - sum(entry.bytes for entry in missing.values())
        for name, entry in missing.items():
            progress(here, total)
            body = self._ask(name, entry, stop)
            _check(name, body, entry)
            _keep(name, body, staged)
            here += entry.bytes
        progress(here, total)

    def _ask(self, name: str, entry: FileEntry, stop: Event) -> bytes:
        topic = self._topics.member(entry.sha256)
        self._inbox.want(topic, entry.bytes)
        try:
            return self._await(name, topic, stop)
        finally:
            self._inbox.unwant(topic)

    def _await(self, name: str, topic: str, stop: Event) -> bytes:
        told_s = time.monotonic() + self._wait_s
        told = False
        while not stop.is_set():
            body = self._inbox.take(topic, POLL_S)
            if body is not None:
                if told:
                    self._waiting(None)
                return body
            if not told and time.monotonic() >= told_s:
                told = True
                self._waiting(name)
        raise BundleError(f"{name}: it was no longer waited for", "unavailable")


def _check(name: str, body: bytes, entry: FileEntry) -> None:
    if len(body) != entry.bytes or hashlib.sha256(body).hexdigest() != entry.sha256:
        raise BundleError(
            f"{name}: what the broker has under its SHA-256 is another file. "
            "Push the bundle again",
            "changed",
        )


def _keep(name: str, body: bytes, staged: Staged) -> None:
    resumed = staged.partial(name) > 0
    try:
        _write(name, body, staged)
    except BundleError as error:
        # The body is right, so what lay there before was not, and is gone now.
        if not resumed or error.reason != "changed":
            raise
        _write(name, body, staged)


def _write(name: str, body: bytes, staged: Staged) -> None:
    for at in range(staged.partial(name), len(body), CHUNK_BYTES):
        staged.append(name, body[at : at + CHUNK_BYTES])
    staged.finish(name)
