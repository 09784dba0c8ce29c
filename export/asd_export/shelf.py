"""Files of a bundle on the broker: each one retained message under its SHA-256.

They are there once for the whole fleet. What is there already is read back and hashed
before it is relied on, and not sent again.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import FileEntry
from asd_agent.mqtt.topics import Topics
from asd_export.errors import BrokerError
from asd_export.link import Link

HEADER_BYTES = 256
"""Room for topic and header of a message"""

Told = Callable[[int], None]
"""Called with the bytes that were sent so far"""


class Shelf:
    """What lies under ``<root>/bundles``; `hear` takes every message in."""

    def __init__(self, root: str) -> None:
        self.found: dict[str, int] = {}
        """Bytes of each whole file, by the SHA-256 that it was published under"""
        self.names: set[str] = set()
        """Everything that lies there, damaged or not"""
        self._topics = Topics(root, "none")
        self._start = self._topics.member("")

    def hear(self, topic: str, body: bytes) -> bool:
        """Take a message in; whether it was one of a file."""
        if not topic.startswith(self._start):
            return False
        name = topic.removeprefix(self._start)
        self.names.discard(name)
        self.found.pop(name, None)
        if body:
            self.names.add(name)
            if hashlib.sha256(body).hexdigest() == name:
                self.found[name] = len(body)
        return True

    def look(self, link: Link, members: Mapping[str, FileEntry]) -> None:
        """Read back what lies there of some files; it is in `found` if it is whole.

        Raises
        ------
        BrokerError
            The broker does not let us look.
        """
        topics = [self._topics.member(entry.sha256) for entry in members.values()]
        for topic in topics:
            self.hear(topic, b"")  # what lay there before may be gone
        if topics:
            link.subscribe(topics)
            link.settle()
            link.unsubscribe(topics)

    def put(
        self,
        link: Link,
        bundle: Bundle,
        names: Iterable[str],
        told: Told = lambda _: None,
    ) -> None:
        """Publish files, one at a time; each is on the broker before the next goes.

        Raises
        ------
        BrokerError
            The broker refuses one, or the connection is lost.
        BundleError
            A file changed meanwhile.
        """
        for name in names:
            entry = bundle.manifest.files[name]
            most = link.max_packet_bytes
            if most is not None and entry.bytes + HEADER_BYTES > most:
                raise BrokerError(
                    f"{name}: has {entry.bytes:,} bytes, {link.access.name} takes "
                    f"messages of at most {most:,}. Allow more there (mosquitto: "
                    "max_packet_size), or give --base-url"
                )
            link.publish(self._topics.member(entry.sha256), bundle.read(name))
            link.flush(told)
            self.found[entry.sha256] = entry.bytes

    def clear(self, link: Link, names: Iterable[str]) -> None:
        """Take files off the broker.

        Raises
        ------
        BrokerError
            The broker refuses, or the connection is lost.
        """
        for name in names:
            link.publish(self._topics.member(name), b"")
        link.flush()

    def read(self, link: Link) -> None:
        """Learn of everything that lies there; all of it is sent to us.

        Raises
        ------
        BrokerError
            The broker does not let us look.
        """
        link.subscribe([self._topics.member("+")])
        link.settle()
