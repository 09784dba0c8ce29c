"""What several sources take: recordings, and microphones with a process for each."""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import soundfile

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import Member, open_members
from asd_agent.bundle.site import Site
from bench.footprint import DEVICE, RATE_HZ, running, wait_ready, write_config
from bench.process import children, cpu_s, memory_mb, own_mb
from bench.sites import large_site
from bench.sound import machine_sound
from support.broker import Mosquitto, Subscriber, wait_for
from support.sound_server import sound_server

LISTEN_S = 30.0
WINDOWS = 1740
"""In the bank of each source: what is learnt in 15 minutes"""
TAPE_S = 90
MICROPHONES = ("default", "pulse")
"""Names under which a sound server gives the same microphone"""
TOPIC = f"factory/{DEVICE}/anomaly"
HEAD = (
    f"a bank of {WINDOWS:,} windows for each source, {RATE_HZ // 1000} kHz in real "
    f"time, {LISTEN_S:g} s\n\n"
    "| sources | agent resident, MB | each capture: resident, MB | its own, MB "
    "| of one core, all |\n|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """So many sources of one kind."""

    count: int
    live: bool

    @property
    def text(self) -> str:
        """In words."""
        thing = "microphone" if self.live else "recording"
        return f"{self.count} {thing}{'s' if self.count > 1 else ''}"

    def sources(self, tape: Path) -> list[dict[str, str]]:
        """As the configuration names them."""
        if self.live:
            played = [{"microphone": name} for name in MICROPHONES[: self.count]]
        else:
            played = [{"recording": str(tape)}] * self.count
        return [{"name": f"machine-{i}", **one} for i, one in enumerate(played)]


KINDS = (Kind(1, False), Kind(2, False), Kind(4, False), Kind(1, True), Kind(2, True))


def sources(path: Path) -> str:
    """Start the agent with each kind of sources; a Markdown table."""
    bundle = Bundle.open(path)
    members = open_members(bundle, "onnx")
    rows = []
    for kind in KINDS:
        print(kind.text, file=sys.stderr)
        with tempfile.TemporaryDirectory() as name:
            rows.append(_measure(Path(name), bundle, members, kind))
    return "\n".join([HEAD, *rows])


def _measure(folder: Path, bundle: Bundle, members: list[Member], kind: Kind) -> str:
    tape = folder / "tape.wav"
    soundfile.write(tape, machine_sound(TAPE_S, RATE_HZ), RATE_HZ)
    listed = kind.sources(tape)
    names = {source["name"] for source in listed}
    for name in names:
        site = Site.path(folder / "state", name, bundle.manifest.id)
        large_site(members, WINDOWS).save(site)
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder))
        server = stack.enter_context(sound_server()) if kind.live else None
        if server is not None:
            stack.enter_context(server.play(tape))
        config = write_config(folder, bundle.path, broker.port, listed)
        heard = stack.enter_context(Subscriber(broker.port, TOPIC))
        env = server.env if server else None
        agent = stack.enter_context(running(config, env))
        wait_ready(agent)
        wait_for(lambda: _scored(heard) == names, "a score of each source", 30)
        return _row(kind, agent.pid)


def _scored(heard: Subscriber) -> set[str]:
    bodies = [json.loads(message.body) for message in heard.of(TOPIC)]
    return {body["source"] for body in bodies if body["score"] is not None}


def _row(kind: Kind, pid: int) -> str:
    captures = list(children(pid))
    before_s = sum(map(cpu_s, (pid, *captures)))
    time.sleep(LISTEN_S)
    core = (sum(map(cpu_s, (pid, *captures))) - before_s) / LISTEN_S
    own = ("-", "-")
    if captures:
        resident = max(memory_mb(capture)[0] for capture in captures)
        own = f"{resident:.0f}", f"{max(map(own_mb, captures)):.0f}"
    return (
        f"| {kind.text} | {memory_mb(pid)[0]:.0f} | {own[0]} | {own[1]} | {core:.1%} |"
    )
