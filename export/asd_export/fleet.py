"""A fleet as its retained messages tell it: topics in, devices out; no I/O here."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from asd_agent.bundle.manifest import parse
from asd_agent.config import RESERVED_NAMES
from asd_agent.config_model import NAME_PATTERN
from asd_agent.errors import BundleError
from asd_agent.mqtt.payloads import OFFLINE, ONLINE
from asd_agent.mqtt.topics import Topics
from asd_agent.update.desired import decode
from asd_export.device import Device, Health, Info, Progress, SourceState, Wish

BATCH = 40
"""Devices that are asked about at once: their messages must fit in a broker's queue"""

Model = TypeVar("Model", bound=BaseModel)


class Fleet:
    """Devices by name; `hear` takes every message in."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.devices: dict[str, Device] = {}
        self.events: set[tuple[str, str, str]] = set()
        """Alarms that were seen: device, bundle, event"""
        self.unreadable: dict[str, str] = {}
        """What is wrong with messages that were left out, by topic"""
        self._bodies: dict[bytes, bytes] = {}

    def __getitem__(self, name: str) -> Device:
        return self.devices.get(name) or Device(name)

    @property
    def everyone(self) -> str:
        """Topic on which every device says that it is there."""
        return Topics(self.root, "+").status

    def topics(
        self, names: Iterable[str], *, wishes: bool = False, health: bool = False
    ) -> list[list[str]]:
        """Topics of devices, in portions that a broker can send at once.

        Parameters
        ----------
        wishes
            Whether to read what the devices shall run, about 12 kB each.
        """
        known = list(names)
        portions = []
        for start in range(0, len(known), BATCH):
            portion = []
            for name in known[start : start + BATCH]:
                topics = Topics(self.root, name)
                portion += [topics.status, topics.info, topics.state("+")]
                portion += [topics.bundle_desired] if wishes else []
                portion += [topics.health] if health else []
            portions.append(portion)
        return portions

    def infos(self, names: Iterable[str]) -> list[list[str]]:
        """Topics that tell groups and classes of devices, in portions."""
        known = list(names)
        return [
            [Topics(self.root, name).info for name in known[start : start + 5 * BATCH]]
            for start in range(0, len(known), 5 * BATCH)
        ]

    def hear(self, topic: str, body: bytes) -> str | None:
        """Take a message in; the name of its device, None if it is of none."""
        if not topic.startswith(f"{self.root}/"):
            return None
        name, *levels = topic.removeprefix(f"{self.root}/").split("/")
        if not re.fullmatch(NAME_PATTERN, name) or not levels:
            return None
        self.unreadable.pop(topic, None)
        try:
            changed = self._changed(self[name], levels, body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            self.unreadable[topic] = f"{where}: {first['msg']}"
            return name
        except BundleError as error:
            self.unreadable[topic] = str(error)
            return name
        if changed is None:
            return None
        self.devices[name] = changed
        return name

    def _changed(self, device: Device, levels: list[str], body: bytes) -> Device | None:
        known: dict[str, Callable[[Device, bytes], Device]] = {
            "status": self._status,
            "info": self._info,
            "health": self._health,
            "bundle/state": self._progress,
            "bundle/desired": self._wish,
        }
        found = known.get("/".join(levels))
        if found:
            return found(device, body)
        if len(levels) == 2 and levels[1] == "state":
            return self._source(device, levels[0], body)
        return None

    def _status(self, device: Device, body: bytes) -> Device:
        word = body.decode("utf-8", "replace")
        online = {ONLINE: True, OFFLINE: False}.get(word)
        return replace(device, online=online)

    def _info(self, device: Device, body: bytes) -> Device:
        info = _read(Info, body)
        return _seen(replace(device, info=info), info.started if info else None)

    def _health(self, device: Device, body: bytes) -> Device:
        health = _read(Health, body)
        return _seen(device, health.ts if health else None)

    def _progress(self, device: Device, body: bytes) -> Device:
        progress = _read(Progress, body)
        return _seen(
            replace(device, progress=progress), progress.ts if progress else None
        )

    def _wish(self, device: Device, body: bytes) -> Device:
        if not body:
            return replace(device, wish=None)
        desired = decode(body)
        manifest = parse(desired.raw)
        members = frozenset(entry.sha256 for entry in manifest.files.values())
        # Most devices of a fleet are sent the same bytes: one copy of them is enough.
        kept = self._bodies.setdefault(body, body)
        return replace(device, wish=Wish(manifest.id, manifest.version, members, kept))

    def _source(self, device: Device, name: str, body: bytes) -> Device | None:
        if not re.fullmatch(NAME_PATTERN, name) or name in RESERVED_NAMES:
            return None
        state = _read(SourceState, body)
        sources = {key: value for key, value in device.sources.items() if key != name}
        if state is None:
            return replace(device, sources=sources)
        if state.state == "anomalous" and state.event_id:
            self.events.add((device.name, state.bundle.id, state.event_id))
        changed = replace(device, sources=sources | {name: state})
        return _seen(changed, state.ts)


def _read(model: type[Model], body: bytes) -> Model | None:
    """A message; None: an empty one, with which a retained one is taken back."""
    return model.model_validate_json(body) if body else None


def _seen(device: Device, moment: datetime | None) -> Device:
    if moment is None or (device.seen and device.seen >= moment):
        return device
    return replace(device, seen=moment)
