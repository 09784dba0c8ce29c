"""What clips cost a source's thread and the disk, and what it costs to show figures.

``PYTHONPATH=tests python -m bench.edges``
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asd_agent.bundle.disk import Disk
from asd_agent.capture.chunk import Block
from asd_agent.clip import Clip
from asd_agent.clip_store import ClipStore
from asd_agent.clips import Clips
from asd_agent.config import ClipsConfig, MetricsConfig
from asd_agent.health import rss_bytes
from asd_agent.health.metrics import Metrics
from asd_agent.health.snapshot import Snapshot, SourceSnapshot
from asd_agent.health.system import System
from asd_agent.mqtt.quiet import Quiet
from bench.machine import describe
from support.broker import free_port, wait_for
from support.sounds import noise

RATE_HZ, BLOCK = 16_000, 3200
NAME = "5f0c1e9a-pump-{}"


def timed_us(call: Callable[[int], object], count: int) -> list[float]:
    """Microseconds of each of so many calls."""
    taken = []
    for number in range(count):
        began_s = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - began_s) * 1e6)
    return taken


def row(what: str, taken: list[float]) -> str:
    """One row: median and 99th percentile."""
    return f"| {what} | {np.median(taken):.1f} | {np.percentile(taken, 99):.1f} |"


def clips(count: int) -> str:
    """Cost of clips of 10 s before and 5 s after, 16 kHz, blocks of 200 ms."""
    samples = noise(BLOCK)
    held = Clips(Path("none"), ClipsConfig())  # not started: nothing is written

    def hear(number: int) -> None:
        held.hear("pump", Block(samples, number * BLOCK, gap=False), RATE_HZ)

    quiet_us = timed_us(hear, max(100, count))
    begin_us = timed_us(lambda n: held.alarm("pump", NAME.format(n), {}), 1)
    # The rest of one clip, and no more: a clip that is whole is handed on.
    busy_us = timed_us(hear, 5 * RATE_HZ // BLOCK - 1)
    clip = Clip(
        NAME.format(0), "pump", RATE_HZ, noise(240_000), 160_000, False, False, {}
    )
    files = clip.encode()
    with tempfile.TemporaryDirectory() as folder:
        store = ClipStore(Path(folder), 500_000_000, Disk(), Quiet())
        write_us = timed_us(lambda n: store.write(NAME.format(n), files), 10)
    rows = [
        "| | median, us | 99 %, us |\n|---|---|---|",
        row("a block, no alarm (source's thread)", quiet_us),
        row("a block, clip under way (source's thread)", busy_us),
        row("an alarm (source's thread)", begin_us),
        row("packing (own thread)", timed_us(lambda _: clip.encode(), 10)),
        row("writing, flushed (own thread)", write_us),
    ]
    size = sum(len(raw) for raw in files.values())
    return "\n".join([*rows, "", f"a clip of noise at -20 dBFS takes {size:,} bytes"])


@dataclass(frozen=True)
class Served:
    """What it cost to show figures."""

    listening_bytes: int
    """Memory more, once the port was ours"""
    most_bytes: int
    """Memory more after all scrapes"""
    half_bytes: int
    """Memory more after half of them"""
    scrape_ms: float
    """Median"""
    page_bytes: int


def serve(scrapes: int) -> Served:
    """Show four sources in this process, which has what an agent has."""
    import asd_agent.service  # noqa: F401 - its libraries are there already

    def read() -> Snapshot:
        sources = tuple(
            SourceSnapshot(
                f"pump-{number}",
                "normal",
                score=0.1,
                p_value=0.5,
                level_dbfs=-30.0,
                sound_age_s=0.2,
                windows=1000,
                heard_s=4000.0,
                gap_s=0.0,
            )
            for number in range(4)
        )
        return Snapshot("1", 1.0, "b", 1, sources, System.read(Path("/tmp")), True)  # noqa: S108

    port = free_port()
    before = rss_bytes()
    metrics = Metrics(MetricsConfig(port=port), read)
    metrics.start()
    wait_for(lambda: metrics.listening, "the port is ours")
    listening = rss_bytes() - before
    page = b""

    def scrape(_number: int) -> None:
        nonlocal page
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            page = b""
            while part := client.recv(65_536):
                page += part

    taken = timed_us(scrape, scrapes // 2)
    half = rss_bytes() - before
    taken += timed_us(scrape, scrapes - scrapes // 2)
    most = rss_bytes() - before
    metrics.close()
    assert page.startswith(b"HTTP/1.0 200")
    return Served(listening, most, half, float(np.median(taken)) / 1e3, len(page))


def metrics(scrapes: int) -> str:
    """Cost of showing figures, measured in a process of its own."""
    command = (sys.executable, "-m", "bench.edges", "--serve", str(scrapes))
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = Served(**json.loads(told))
    half = scrapes // 2
    return (
        "| | |\n|---|---|\n"
        f"| memory, listening | +{found.listening_bytes / 1e6:.2f} MB |\n"
        f"| memory after {half:,} scrapes | +{found.half_bytes / 1e6:.2f} MB |\n"
        f"| memory after {scrapes:,} scrapes | +{found.most_bytes / 1e6:.2f} MB |\n"
        f"| a scrape, four sources | {found.scrape_ms:.1f} ms |\n"
        f"| the answer | {found.page_bytes:,} bytes |"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.edges", description=__doc__)
    parser.add_argument("--blocks", type=int, default=3000)
    parser.add_argument("--scrapes", type=int, default=10_000)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        print(json.dumps(asdict(serve(args.serve))))
        return 0
    print(describe())
    print(f"\n## clips\n\n{clips(args.blocks)}", flush=True)
    print(f"\n## metrics\n\n{metrics(args.scrapes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
