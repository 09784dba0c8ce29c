"""A plant in one folder: the shipped broker, devices with a real agent, the exporter.

Every agent and every command is a process of its own. They meet at the broker alone,
with TLS, the shipped access rules and the passwords that the shipped scripts made.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fleet.bundles import LOUD, Maker
from fleet.processes import Machine, Push, command, succeed
from fleet.watcher import Watcher
from support.agents import RATE_HZ, UNITS
from support.bundles import SMALL
from support.deployed import Deployed
from support.sounds import noise, wav

WINDOW_S = (SMALL.unit_samples + (UNITS - 1) * SMALL.shift_samples) / RATE_HZ
"""Seconds of sound that a score is of"""
COMMIT_WINDOWS = 4
SOURCE = "motor"


class Plant:
    """Three devices and all that they need."""

    names = ("press-07", "press-08", "fan-01")
    groups = ("line-3", "line-3", "fans")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        succeed("asd_export", "keygen", folder / "factory")
        self.maker = Maker(folder / "built")
        self.broker = Deployed(folder / "broker")
        self.watcher = Watcher(self.broker)
        self.machines = {name: self._machine(name) for name in self.names}
        self._write_access()
        self._commission()

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def open(self) -> None:
        """Start the broker and every agent."""
        self.broker.start()
        self.watcher.connect()
        self.start()

    def start(self) -> None:
        """Start the agents that do not run, and wait until all are well."""
        since = self.watcher.count
        begun = [machine for machine in self.machines.values() if not machine.runs]
        for machine in begun:
            machine.start()
        self.watcher.wait(
            lambda: all(self._is_well(machine, since) for machine in begun),
            "all are well",
        )

    def close(self) -> None:
        """End everything."""
        try:
            for machine in self.machines.values():
                machine.stop()
        finally:
            self.watcher.close()
            self.broker.__exit__(None, None, None)

    def bundle(self, make: Callable[[Maker], Path] = Maker.good) -> Path:
        """A new bundle, newer than all others, signed as people do it."""
        folder = make(self.maker)
        succeed("asd_export", "sign", folder, "--key", self.folder / "factory.key")
        return folder

    def push(self, bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``asd-export push`` to its end."""
        return command("asd_export", *self._push(bundle, *words))

    def begin_push(self, bundle: Path, *words: str) -> "Push":
        """Start ``asd-export push``."""
        words = (*words, "--timeout", "60s")
        return Push(self.folder / "push.log", self._push(bundle, *words))

    def listed(self) -> dict[str, Any]:
        """What ``asd-export fleet`` says of each device."""
        found = json.loads(
            succeed("asd_export", "fleet", "--json", "--broker", self._access)
        )
        assert found["unreadable"] == {}
        return {device["device"]: device for device in found["devices"]}

    def reports(self, name: str, bundle: Path, since: int) -> list[dict[str, Any]]:
        """What a device told of a bundle."""
        told = self.watcher.bodies(self[name].topics.bundle_state, since)
        return [one for one in told if (one["bundle"] or {}).get("id") == bundle.name]

    def states(self, name: str, bundle: Path, since: int) -> list[str]:
        """States that a device told of a bundle, each change once."""
        told = [one["state"] for one in self.reports(name, bundle, since)]
        return [now for old, now in zip(["", *told], told, strict=False) if now != old]

    def wait_state(self, name: str, bundle: Path, state: str, since: int) -> None:
        """Wait until a device tells a state of a bundle."""
        self.watcher.wait(
            lambda: state in self.states(name, bundle, since), f"{name}: {state}"
        )

    def running(self, name: str) -> str:
        """Bundle that a device says it runs."""
        bundle: str = self.watcher.bodies(self[name].topics.info)[-1]["bundle"]["id"]
        return bundle

    def wait_running(self, name: str, bundle: Path) -> None:
        """Wait until a device says that it runs a bundle."""
        self.watcher.wait(
            lambda: self.running(name) == bundle.name, f"{name} runs {bundle.name}"
        )

    def asked(self, name: str, since: int) -> list[int]:
        """Numbers of the messages that asked a device for a bundle."""
        return self._numbers(self[name].topics.bundle_desired, since)

    def committed(self, name: str, bundle: Path, since: int) -> int:
        """Number of the message by which a device said that a bundle stays."""
        topic = self[name].topics.bundle_state
        return next(
            i
            for i in self._numbers(topic, since)
            if (told := self.watcher.messages[i].json())["state"] == "committed"
            and told["bundle"]["id"] == bundle.name
        )

    def _numbers(self, topic: str, since: int) -> list[int]:
        messages = enumerate(self.watcher.messages)
        return [i for i, m in messages if i >= since and m.topic == topic and m.body]

    def wait_decisions(self, name: str, count: int) -> None:
        """Wait until a device has decided so often again."""
        since = self.watcher.count
        self.watcher.wait(
            lambda: len(self.watcher.decisions(self[name], since)) >= count,
            f"{count} decisions of {name}",
        )

    def _is_well(self, machine: Machine, since: int) -> bool:
        """Whether a device judges, and has nothing on trial."""
        scored = [d["score"] for d in self.watcher.decisions(machine, since)]
        return scored[-1:] not in ([], [None]) and machine.store.read().trial is None

    def _push(self, bundle: Path, *words: str) -> tuple[str | Path, ...]:
        key = self.folder / "factory.pub"
        return ("push", bundle, "--trusted-key", key, "--broker", self._access, *words)

    @property
    def _access(self) -> Path:
        return self.folder / "exporter.yaml"

    def _write_access(self) -> None:
        values = {
            "host": "localhost",
            "port": self.broker.port,
            "username": "exporter",
            "password_file": str(self.broker.folder / "users/exporter/mqtt-password"),
            "tls": {"ca": str(self.broker.ca)},
        }
        self._access.write_text(yaml.safe_dump(values))

    def _machine(self, name: str) -> Machine:
        place = self.broker.device(name)
        given = yaml.safe_load((place / "asd.yaml").read_text())
        machine = Machine(name, self.folder / name)
        tape = noise(20 * RATE_HZ, seed=len(name), level=LOUD)
        given["mqtt"] |= {"interval_s": 0.1}
        values = given | {
            "state_dir": str(machine.state),
            "groups": [self.groups[self.names.index(name)]],
            "bundle": {
                "trusted_keys": [str(self.folder / "factory.pub")],
                "commit_windows": COMMIT_WINDOWS,
            },
            "sources": [
                {
                    "name": SOURCE,
                    "recording": str(wav(machine.folder / "tape.wav", tape, RATE_HZ)),
                    "loop": True,
                }
            ],
            "alarm": {"per_week": 100, "raise": "3 of 5", "clear": "0 of 10"},
        }
        machine.file.write_text(yaml.safe_dump(values))
        return machine

    def _commission(self) -> None:
        """Set up one device by hand; the others begin as copies of its card."""
        first, *others = self.machines.values()
        config = ("--config", first.file)
        succeed("asd_agent", "bundle", "install", self.bundle(), *config)
        normal = noise(30 * RATE_HZ, seed=21, level=LOUD)
        wav(self.folder / "normal.wav", normal, RATE_HZ)
        said = succeed(
            "asd_agent", "learn", *config, "--from", self.folder / "normal.wav"
        )
        assert re.search(r"kept: 30 s of sound", said), said
        for other in others:
            shutil.copytree(first.state, other.state)
