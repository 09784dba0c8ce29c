"""Many devices without sound in one process: each updates with the agent's own code.

A device is what `asd_agent.remote.Remote` makes of a configuration: its own connection
by TLS, its own store, and every check on the way. Left out are the self-test and the
trial, which take no bytes, and waiting for the medium, which no two devices share.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from asd_agent import __version__, updating
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.config import Config
from asd_agent.config_file import load
from asd_agent.mqtt import payloads
from asd_agent.mqtt.limited import LimitedClient
from asd_agent.mqtt.publisher import Publisher
from asd_agent.remote import Remote
from asd_agent.setup import store_of, trust_of
from asd_agent.update.desired import Desired
from asd_agent.update.report import Report

BASE = ("default-3", 1)
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device lies."""

    name: str
    folder: Path
    given: Path
    """Its part of the configuration, as ``provision-device.sh`` wrote it"""
    key: Path
    """Public key that it trusts"""


class Counter:
    """Bytes that came to all devices of this process, beneath TLS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        receive: Callable[..., bytes] = LimitedClient._sock_recv

        def counted(client: LimitedClient, size: int) -> bytes:
            got = receive(client, size)
            with self._lock:
                self._bytes += len(got)
            return got

        LimitedClient._sock_recv = counted  # type: ignore[assignment,method-assign]

    def bytes(self) -> int:
        """So many so far."""
        with self._lock:
            return self._bytes


class Device(Remote):
    """A device that trusts a bundle as soon as it has it whole."""

    def __init__(self, config: Config) -> None:
        assert config.mqtt is not None
        self._bundle = BASE
        self._named = config
        self._shelf = store_of(config)
        self.publisher = Publisher(config.mqtt, config.device, self._info())
        self.whole_s: dict[str, float] = {}
        """When it had a bundle whole, monotonic seconds, by identifier"""
        super().__init__(
            config,
            config.mqtt,
            self._shelf,
            self.publisher,
            running=lambda: self._bundle,
            progress=lambda: (0, 1),
        )

    def start(self) -> None:
        """Connect and listen."""
        self.publisher.start()
        super().start()

    def close(self) -> None:
        """End it."""
        super().close()
        self.publisher.close()

    def _install(self, desired: Desired, stop: threading.Event) -> None:
        super()._install(desired, stop)
        state = self._shelf.change(lambda state: state.committed())
        # Once more from the medium: every hash, and the signature.
        found = Bundle.open(self._shelf.path(state.current), trust_of(self._named))
        self._bundle = found.manifest.id, found.manifest.version
        self.whole_s[found.manifest.id] = time.monotonic()
        updating.tidy(self._named, self._shelf)
        self.publisher.info(self._info())
        self.tell(Report(*self._bundle, "committed", "commit"))

    def _info(self) -> payloads.Payload:
        return payloads.info(
            self._named.device,
            "0" * 32,
            version=__version__,
            started=datetime.now(timezone.utc),
            bundle_id=self._bundle[0],
            bundle_version=self._bundle[1],
            runtime="none",
            device_class="any",
            groups=(),
            sources=(),
        )


def serve(places: Sequence[Place], orders: Connection) -> None:
    """Be some devices until told to end; answers what is asked by `orders`."""
    Disk.sync = lambda *_: None  # type: ignore[method-assign]
    updating.prove = lambda *_: None  # type: ignore[assignment,attr-defined]
    counter = Counter()
    devices = [Device(_configure(place)) for place in places]
    for device in devices:
        device.start()
    while True:
        asked, *words = orders.recv()
        if asked == "end":
            break
        answers: dict[str, Callable[..., Any]] = {
            "online": lambda: _await(
                lambda: all(d.publisher.connected for d in devices)
            ),
            "bytes": counter.bytes,
            "whole": lambda bundle: _whole(devices, bundle),
        }
        orders.send(answers[asked](*words))
    for device in devices:
        device.close()


def _whole(devices: Sequence[Device], bundle: str) -> list[float]:
    """When each had a bundle whole; waits for the last."""
    _await(lambda: all(bundle in device.whole_s for device in devices))
    return [device.whole_s[bundle] for device in devices]


def _await(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(POLL_S)


def _configure(place: Place) -> Config:
    values = yaml.safe_load(place.given.read_text(encoding="utf-8")) | {
        "state_dir": str(place.folder / "state"),
        "bundle": {"trusted_keys": [str(place.key)]},
        # Never opened: nothing here listens.
        "sources": [{"name": "machine", "microphone": "none"}],
    }
    place.folder.mkdir(parents=True)
    file = place.folder / "asd.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load(file)
