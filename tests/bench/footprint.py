"""Memory and start of the running agent, as its own process with a real broker."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import Site
from asd_agent.inference.open import RuntimeChoice
from bench.process import cpu_s, memory_mb
from bench.sites import BANK, large_site
from bench.sound import machine_sound
from support.broker import Mosquitto, Subscriber, wait_for

RATE_HZ = 48_000
LISTEN_S = 12.0
"""Seconds that the agent listens for before its memory is read: a whole window"""
MAX_MB = 120.0
MAX_START_S = 1.0
DEVICE, SOURCE = "bench", "machine"


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the agent."""

    ready_s: float
    """Seconds from the start of the process to the line "ready\""""
    score_s: float
    """Seconds from "ready" to the first score at the broker, less the unit's own"""
    rss_mb: float
    """Resident memory after a whole window"""
    peak_mb: float
    """Highest resident memory so far"""
    cpu: float
    """Share of one core while it listens"""


def footprint(path: Path, runtime: RuntimeChoice, starts: int) -> str:
    """Start the agent several times; one row of a Markdown table."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        folder = Path(name)
        bundle = Bundle.open(path)
        members = open_members(bundle, runtime)
        site = Site.path(folder / "state", SOURCE, bundle.manifest.id)
        large_site(members).save(site)
        soundfile.write(folder / "tape.wav", machine_sound(30, RATE_HZ), RATE_HZ)
        listed = [{"name": SOURCE, "recording": str(folder / "tape.wav")}]
        write_config(folder, path, broker.port, listed, runtime)
        unit_s = (
            members[0].spec.features.unit_samples / members[0].spec.features.rate_hz
        )
        taken = []
        for turn in range(starts):
            print(
                f"{members[0].library}: start {turn + 1} of {starts}", file=sys.stderr
            )
            taken.append(_start(folder, broker.port, unit_s))
    return _row(members[0].library, taken)


HEAD = (
    f"a bank of {BANK:,} windows, a recording of {RATE_HZ // 1000} kHz in real time; "
    "median of the starts\n\n"
    "| runtime | ready, s | first score after its unit, s | resident, MB "
    "| highest, MB | of one core |\n|---|---|---|---|---|---|"
)


def write_config(
    folder: Path,
    bundle: Path,
    port: int,
    sources: list[dict[str, str]],
    runtime: RuntimeChoice = "auto",
) -> Path:
    """Write a configuration without signature and TLS; return its file."""
    config = {
        "device": DEVICE,
        "state_dir": str(folder / "state"),
        "bundle": {
            "path": str(bundle.resolve()),
            "runtime": runtime,
            "allow_unsigned": True,
        },
        "mqtt": {"host": "127.0.0.1", "port": port, "tls": False},
        "sources": sources,
    }
    path = folder / "asd.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def _start(folder: Path, port: int, unit_s: float) -> Start:
    with Subscriber(port, f"factory/{DEVICE}/anomaly") as subscriber:
        began_s = time.monotonic()
        with running(folder / "asd.yaml") as agent:
            ready_s = wait_ready(agent)
            topic = f"factory/{DEVICE}/anomaly"
            wait_for(lambda: bool(subscriber.of(topic)), "a score")
            score_s = time.monotonic()
            before = cpu_s(agent.pid)
            time.sleep(LISTEN_S)
            cpu = (cpu_s(agent.pid) - before) / LISTEN_S
            rss_mb, peak_mb = memory_mb(agent.pid)
    return Start(ready_s - began_s, score_s - ready_s - unit_s, rss_mb, peak_mb, cpu)


@contextmanager
def running(
    config: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run the agent as a process of its own, from its start to its end."""
    command = (sys.executable, "-m", "asd_agent", "--config", str(config))
    agent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        yield agent
    finally:
        agent.terminate()
        agent.communicate(timeout=10)


def wait_ready(agent: "subprocess.Popen[str]") -> float:
    """Wait for the line "ready"; when it came, monotonic seconds."""
    assert agent.stderr is not None
    lines = []
    for line in agent.stderr:
        lines.append(line)
        if line.rstrip().endswith(" ready"):
            # Nobody reads on: the agent says little more than fits into the pipe.
            return time.monotonic()
    raise RuntimeError(f"the agent ended: {''.join(lines)}")


def _row(library: str, taken: list[Start]) -> str:
    ready_s, score_s, rss_mb, peak_mb, cpu = (
        float(np.median([getattr(start, field) for start in taken]))
        for field in Start.__dataclass_fields__
    )
    return (
        f"| {library} | {ready_s:.2f}, {_verdict(ready_s, MAX_START_S)} | "
        f"{score_s:.2f}, {_verdict(score_s, MAX_START_S)} | "
        f"{rss_mb:.0f}, {_verdict(rss_mb, MAX_MB)} | {peak_mb:.0f} | {cpu:.1%} |"
    )


def _verdict(found: float, most: float) -> str:
    return f"{most:g} {'met' if found <= most else 'not met'}"
