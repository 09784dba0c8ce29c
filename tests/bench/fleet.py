"""Bring a whole fleet to a new bundle: time and bytes, ``python -m bench.fleet``.

One mosquitto with the shipped files, `--devices` devices of `bench.herd`, and the
exporter's own push.
"""

import argparse
import io
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from asd_export import client, release
from asd_export.broker import access
from asd_export.fleet import Fleet
from asd_export.push import Order, push
from asd_export.rollout import Outcome, Terms
from asd_export.screen import Screen
from bench.cargo import Bundles
from bench.herd import Place, serve
from bench.machine import describe
from bench.process import cpu_s, memory_mb
from support.deployed import Deployed

TIMEOUT_S = 1800.0
"""Longest time that a push may take"""
MB = 1e6


@dataclass(frozen=True, slots=True)
class Taken:
    """One push."""

    sent: int
    """Bytes from the exporter to the broker, beneath TLS"""
    read: int
    """Bytes from the broker to the exporter"""
    delivered: int
    """Bytes from the broker to all devices"""
    copies: int
    """Bytes of one copy of bundle and wish for each device"""
    wishes: int
    """Bytes of the messages that ask devices to run it"""
    half_s: float
    """Seconds from the start of the push until half of the devices have it whole"""
    all_s: float
    """The same for all of them"""
    push_s: float
    """Seconds that the push took"""


class Wire:
    """Counts what goes between the exporter and the broker."""

    def __init__(self) -> None:
        self.sent = self.read = 0
        send, receive = client.Client._sock_send, client.Client._sock_recv

        def sent(self_: client.Client, raw: bytes) -> int:
            count = send(self_, raw)
            self.sent += count
            return count

        def read(self_: client.Client, size: int) -> bytes:
            raw: bytes = receive(self_, size)
            self.read += len(raw)
            return raw

        client.Client._sock_send = sent  # type: ignore[assignment,method-assign]
        client.Client._sock_recv = read  # type: ignore[assignment,method-assign]


class Herds:
    """All devices, in a few processes."""

    def __init__(self, places: Sequence[Place], processes: int) -> None:
        self._lines: list[Connection] = []
        self._processes: list[BaseProcess] = []
        spawn = multiprocessing.get_context("spawn")
        for i in range(processes):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=serve, args=(places[i::processes], theirs))
            process.start()
            self._lines.append(ours)
            self._processes.append(process)

    def ask(self, *words: str) -> list[Any]:
        """Ask all processes; their answers."""
        for line in self._lines:
            line.send(words)
        return [line.recv() for line in self._lines]

    def end(self) -> None:
        """End them."""
        for line in self._lines:
            line.send(("end",))
        for process in self._processes:
            process.join(60)


class Bench:
    """The fleet, and what a push through it takes."""

    def __init__(self, broker: Deployed, herds: Herds, size: int) -> None:
        self._herds = herds
        self._size = size
        self._wire = Wire()
        self._access = access(
            {
                "host": "localhost",
                "port": broker.port,
                "username": "exporter",
                "password_file": broker.folder / "users" / "exporter" / "mqtt-password",
                "ca": broker.ca,
            },
            environment={},
        )

    def push(self, bundle: Path, key: Path) -> Taken:
        """Push a bundle to every device and wait until all run it."""
        fleet = Fleet(self._access.config.root)
        terms = Terms(timeout_s=TIMEOUT_S)
        order = Order(bundle, terms, everyone=True, trusted=(key,))
        sent, read = self._wire.sent, self._wire.read
        delivered = sum(self._herds.ask("bytes"))
        begun_s = time.monotonic()
        said = io.StringIO()
        outcome = push(order, self._access, Screen(fleet, said), fleet)
        push_s = time.monotonic() - begun_s
        if outcome is not Outcome.DONE or len(fleet.devices) != self._size:
            raise RuntimeError(f"{outcome.name}: {said.getvalue()}")
        found_s = self._herds.ask("whole", bundle.name)
        moments = sorted(moment for some in found_s for moment in some)
        found = release.check(bundle)
        wish = len(found.wish())
        files = sum(file.bytes for file in found.members.values())
        return Taken(
            sent=self._wire.sent - sent,
            read=self._wire.read - read,
            delivered=sum(self._herds.ask("bytes")) - delivered,
            copies=self._size * (files + wish),
            wishes=self._size * wish,
            half_s=moments[len(moments) // 2] - begun_s,
            all_s=moments[-1] - begun_s,
            push_s=push_s,
        )


@contextmanager
def fleet(
    folder: Path, size: int, processes: int, options: Sequence[str]
) -> Iterator[tuple[Bench, Bundles, Deployed]]:
    """Put up a broker and devices that are online.

    Parameters
    ----------
    options
        Of ``provision-broker.sh``.
    """
    bundles = Bundles(folder / "bundles")
    broker = Deployed(folder / "broker", *options)
    places = []
    for i in range(size):
        name = f"device-{i:04}"
        given = broker.device(name) / "asd.yaml"
        places.append(Place(name, folder / "devices" / name, given, bundles.public))
    _say(f"{size} devices are provisioned")
    with broker:
        herds = Herds(places, processes)
        herds.ask("online")
        _say("all are online")
        try:
            yield Bench(broker, herds, size), bundles, broker
        finally:
            herds.end()


def measure(size: int, processes: int, options: Sequence[str]) -> str:
    """Push three times; a table in Markdown."""
    with (
        tempfile.TemporaryDirectory() as name,
        fleet(Path(name), size, processes, options) as (bench, bundles, broker),
    ):
        taken = {}
        first = bundles.make(version=2)
        taken["new bundle"] = bench.push(first, bundles.public)
        _say("the first push is through")
        bundles.change("model.int8.onnx")
        second = bundles.make(version=3)
        taken["one file of it changed"] = bench.push(second, bundles.public)
        _say("the second push is through")
        taken["the same again"] = bench.push(second, bundles.public)
        content = {file.name: file.stat().st_size for file in sorted(second.iterdir())}
        own = _of_broker(broker)
    sizes = ", ".join(f"{name} {count:,}" for name, count in content.items())
    return f"{size} devices; bytes: {sizes}\n\n{_table(taken)}\n\n{own}"


def _table(taken: dict[str, Taken]) -> str:
    rows = {
        "exporter to broker, MB": [f"{t.sent / MB:.1f}" for t in taken.values()],
        "one copy for each device would be, MB": [
            f"{t.copies / MB:.1f}" for t in taken.values()
        ],
        "of what was sent: wishes, MB": [
            f"{t.wishes / MB:.1f}" if t.sent > t.wishes else "0.0"
            for t in taken.values()
        ],
        "broker to exporter, MB": [f"{t.read / MB:.1f}" for t in taken.values()],
        "broker to all devices, MB": [
            f"{t.delivered / MB:.1f}" for t in taken.values()
        ],
        "half of the devices have it whole, s": [
            _moment(t, t.half_s) for t in taken.values()
        ],
        "all devices have it whole, s": [_moment(t, t.all_s) for t in taken.values()],
        "the push ends, s": [f"{t.push_s:.1f}" for t in taken.values()],
    }
    lines = [f"| | {' | '.join(taken)} |", "|---|" + "---:|" * len(taken)]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    return "\n".join(lines)


def _moment(taken: Taken, moment_s: float) -> str:
    return f"{moment_s:.1f}" if moment_s > 0 else "before"


def _of_broker(broker: Deployed) -> str:
    """What the broker used."""
    assert broker._process
    pid = broker._process.pid
    io_ = Path(f"/proc/{pid}/io").read_text(encoding="utf-8")
    written = re.search(r"^write_bytes: (\d+)", io_, re.M)
    assert written
    return (
        f"mosquitto: {memory_mb(pid)[1]:.0f} MB resident at most, {cpu_s(pid):.0f} s "
        f"of processor, {int(written[1]) / MB:.0f} MB written to disk"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument(
        "--save-every",
        metavar="S",
        help="of provision-broker.sh: the broker does not save at every change",
    )
    args = parser.parse_args(argv)
    options = ("--save-every", args.save_every) if args.save_every else ()
    print(f"{describe()}\n\n{measure(args.devices, args.processes, options)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
