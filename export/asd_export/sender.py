"""Sends a bundle: its files once for all devices, then the wish to each of them."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from asd_agent.bundle.manifest import FileEntry
from asd_agent.mqtt.topics import Topics
from asd_export.broker import Access
from asd_export.fleet import Fleet
from asd_export.link import Link
from asd_export.release import Release
from asd_export.shelf import Shelf

Bar = Callable[[str, int], contextlib.AbstractContextManager[Callable[[int], None]]]
"""Makes a bar of a title and a number of bytes, to be called with the bytes done"""


@dataclass(frozen=True, slots=True)
class Cargo:
    """What is sent."""

    release: Release
    base_url: str | None = None
    """Where devices fetch the files; None: from the broker"""

    @property
    def id(self) -> str:
        """Identifier of the bundle."""
        return self.release.manifest.id

    @property
    def wish(self) -> bytes:
        """Message that asks a device to run it."""
        return self.release.wish(self.base_url)


class Sender:
    """Publishes, by a connection of its own that is open no longer than needed.

    A broker may allow one connection a user, so nobody else may be connected then.
    """

    def __init__(self, access: Access, fleet: Fleet) -> None:
        self.fleet = fleet
        self.shelf = Shelf(access.config.root)
        self._access = access

    @contextlib.contextmanager
    def connected(self) -> Iterator[Link]:
        """A connection for long messages.

        Raises
        ------
        BrokerError
            The broker cannot be reached, or refuses us.
        """
        link = Link(self._access, self._hear, sends=True)
        try:
            yield link
        finally:
            link.close()

    def survey(self, link: Link, named: Iterable[str], *, everyone: bool) -> None:
        """Learn of devices: of those that are named, or of all their groups.

        Raises
        ------
        BrokerError
            The broker does not let us look.
        """
        portions = self.fleet.infos(named)
        if everyone:
            link.subscribe([self.fleet.everyone])
            link.settle()
            portions = self.fleet.infos(self.fleet.devices)
        for portion in portions:
            link.subscribe(portion)
        link.settle()

    def look(self, link: Link, names: Iterable[str]) -> None:
        """Learn what devices run and shall run.

        Raises
        ------
        BrokerError
            The broker does not let us look.
        """
        for portion in self.fleet.topics(names, wishes=True):
            link.subscribe(portion)
        link.settle()

    def look_for_files(self, link: Link, cargo: Cargo) -> None:
        """Learn which files the broker holds, whole.

        Raises
        ------
        BrokerError
            The broker does not let us look.
        """
        if not cargo.base_url:
            self.shelf.look(link, cargo.release.members)

    def lacking(self, cargo: Cargo) -> dict[str, FileEntry]:
        """Files that were not found, by name."""
        members = {} if cargo.base_url else cargo.release.members
        found = self.shelf.found
        return {n: entry for n, entry in members.items() if entry.sha256 not in found}

    def send(self, link: Link, cargo: Cargo, names: Iterable[str], bar: Bar) -> None:
        """Send the files that the broker lacks, then the wish.

        Raises
        ------
        BrokerError
            The broker refuses a message, or the connection is lost.
        """
        lacking = self.lacking(cargo)
        if lacking:
            total = sum(entry.bytes for entry in lacking.values())
            before = link.sent_bytes
            with bar(f"{len(lacking)} files to the broker", total) as told:
                self.shelf.put(
                    link,
                    cargo.release.bundle,
                    lacking,
                    lambda sent: told(sent - before),
                )
        self.wish(link, dict.fromkeys(names, cargo.wish))

    def wish(self, link: Link, wishes: Mapping[str, bytes]) -> None:
        """Publish what devices shall run; empty: nothing in particular.

        Raises
        ------
        BrokerError
            The broker refuses a message, or the connection is lost.
        """
        root = self.fleet.root
        for name, body in wishes.items():
            link.publish(Topics(root, name).bundle_desired, body)
        link.flush()

    def _hear(self, topic: str, body: bytes) -> None:
        if not self.shelf.hear(topic, body):
            self.fleet.hear(topic, body)
