"""Devices without sound: light clients of a broker that update as an agent would.

All of a herd are served by one thread, so that hundreds fit into a test.
"""

import hashlib
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from asd_agent.bundle.manifest import FileEntry, Manifest, parse
from asd_agent.mqtt import payloads
from asd_agent.mqtt.topics import Topics
from asd_agent.update.desired import decode
from asd_agent.update.report import Report, State, Step

BASE = ("default-3", 1)
"""What runs before anything was pushed"""


@dataclass
class Device:
    """One device: what it is, what it does with a bundle, and what it has."""

    name: str
    port: int
    groups: tuple[str, ...] = ()
    device_class: str = "any"
    does: str = "commit"
    """`commit`, `roll_back <reason>`, `reject <reason>`, or a state to stop in"""
    running: tuple[str, int] = BASE
    root: str = "factory"
    files: dict[str, bytes] = field(default_factory=dict)
    """What it fetched, by SHA-256"""
    fetched_bytes: int = 0
    wishes: list[bytes] = field(default_factory=list)
    """Every message that asked it for something"""
    clock_synced: bool = True
    keeps: bool = True
    """Whether the files stay in memory; their hashes are checked anyway"""

    def __post_init__(self) -> None:
        self.topics = Topics(self.root, self.name)
        self.manifest: Manifest | None = None
        self.client: paho.Client | None = None

    def connect(self) -> None:
        """Come online."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"asd-{self.name}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.will_set(self.topics.status, payloads.OFFLINE, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_message = self._received
        client.connect("127.0.0.1", self.port)
        self.client = client

    def disconnect(self) -> None:
        """Go offline, as an agent that is stopped."""
        if self.client:
            self._publish(self.topics.status, payloads.OFFLINE.encode())
            while self.client.want_write():
                self.client.loop_write()
            self.client.disconnect()
            self.client = None

    def report(self, state: State, step: Step, reason: str | None = None) -> None:
        """Tell how the update does."""
        assert self.manifest
        total = sum(entry.bytes for entry in self.manifest.files.values())
        report = Report(
            self.manifest.id,
            self.manifest.version,
            state,
            step,
            reason,
            bytes=min(self.fetched_bytes, total),
            total=total,
            windows=3,
            needed=20,
        )
        body = payloads.bundle_state(
            report,
            self.name,
            now=datetime.now(timezone.utc),
            running=self.running,
            clock_synced=self.clock_synced,
        )
        self._publish(self.topics.bundle_state, payloads.encode(body))

    def alarm(self, source: str, event: str | None) -> None:
        """Raise an alarm, or end it."""
        body = {
            "v": 1,
            "device": self.name,
            "source": source,
            "ts": "2026-01-01T00:00:00.000Z",
            "state": "anomalous" if event else "normal",
            "event_id": event,
            "bundle": {"id": self.running[0], "version": self.running[1]},
        }
        self._publish(self.topics.state(source), payloads.encode(body))

    def run(self, bundle: tuple[str, int]) -> None:
        """Decide by another bundle from now on."""
        self.running = bundle
        self._tell()

    def commit(self) -> None:
        """End the trial well."""
        self.report("committed", "commit")

    def _tell(self) -> None:
        body = payloads.info(
            self.name,
            "0" * 32,
            version="0.1.0",
            started=datetime(2026, 1, 1, tzinfo=timezone.utc),
            bundle_id=self.running[0],
            bundle_version=self.running[1],
            runtime="onnxruntime 1.31.1",
            device_class=self.device_class,
            groups=self.groups,
            sources=[payloads.SourceInfo("gearbox", "microphone", 16000)],
        )
        self._publish(self.topics.info, payloads.encode(body))

    def _publish(self, topic: str, body: bytes) -> None:
        assert self.client
        self.client.publish(topic, body, 1, retain=True)

    def _connected(self, client: paho.Client, *_: Any) -> None:
        self._tell()
        self._publish(self.topics.status, payloads.ONLINE.encode())
        client.subscribe(self.topics.bundle_desired, 1)

    def _received(self, client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = bytes(message.payload)
        if message.topic == self.topics.bundle_desired:
            self.wishes.append(body)
            if body:
                self._wished(body)
        elif self.manifest and body:
            self.fetched_bytes += len(body)
            digest = hashlib.sha256(body).hexdigest()
            assert message.topic == self.topics.member(digest)
            self.files[digest] = body if self.keeps else b""
            client.unsubscribe(message.topic)
            self._fetch()

    def _wished(self, body: bytes) -> None:
        desired = decode(body)
        manifest = parse(desired.raw)
        if self.manifest and self.manifest.id == manifest.id == self.running[0]:
            return
        self.manifest = manifest
        self.report("downloading", "fetch")
        if desired.base_url:
            self._install()
        else:
            self._fetch()

    def _fetch(self) -> None:
        assert self.client
        for entry in self._members():
            if entry.sha256 not in self.files:
                self.client.subscribe(self.topics.member(entry.sha256), 1)
                return
        self._install()

    def _members(self) -> list[FileEntry]:
        assert self.manifest
        return [entry for entry in self.manifest.files.values() if entry.bytes]

    def _install(self) -> None:
        assert self.manifest
        before, new = self.running, (self.manifest.id, self.manifest.version)
        self.report("verifying", "verify")
        word, _, reason = self.does.partition(" ")
        if word == "reject":
            self.report("rejected", "self-test", reason)
            return
        self.report("testing", "self-test")
        if word == "testing":
            return
        self.run(new)
        self.report("trial", "trial")
        if word == "commit":
            self.commit()
        elif word == "roll_back":
            self.run(before)
            self.report("rolled_back", "trial", reason)


class Herd:
    """Serves devices until the end of a `with`."""

    def __init__(self, *devices: Device) -> None:
        self.devices = {device.name: device for device in devices}
        self._todo: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="herd")

    def __getitem__(self, name: str) -> Device:
        return self.devices[name]

    def do(self, action: Callable[[], object]) -> None:
        """Have the herd's own thread do something, soon."""
        self._todo.put(action)

    def __enter__(self) -> "Herd":
        for device in self.devices.values():
            device.connect()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for device in self.devices.values():
            device.disconnect()
        if self._failure and error is None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._turn()
        except BaseException as error:
            self._failure = error

    def _turn(self) -> None:
        try:
            while True:
                self._todo.get_nowait()()
        except Empty:
            pass
        clients: dict[Any, paho.Client] = {
            device.client.socket(): device.client
            for device in self.devices.values()
            if device.client and device.client.socket()
        }
        writers = [s for s, client in clients.items() if client.want_write()]
        readable, writable, _ = select.select(list(clients), writers, [], 0.01)
        for ready in readable:
            clients[ready].loop_read()
        for ready in writable:
            if clients[ready].socket():
                clients[ready].loop_write()
        for client in clients.values():
            client.loop_misc()
