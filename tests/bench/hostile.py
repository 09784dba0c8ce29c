"""What bad servers and brokers cost a device: ``python -m bench.hostile``.

Each row is a process of its own, so that its peak memory is that of one attack; the
server is another process. The file that is fetched has a million bytes.
"""

import argparse
import contextlib
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from asd_agent.errors import BundleError
from asd_agent.mqtt.courier import Courier
from asd_agent.mqtt.inbox import MAX_MEMBER_BYTES
from asd_agent.mqtt.publisher import Publisher
from asd_agent.update import download
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.patience import Patience, Watch
from support.broker import Certificates
from support.bundles import GOLDEN
from support.publishers import plain
from support.raw_broker import Peer, RawBroker, header, publish
from support.staging import NEVER, stage
from support.web import Answer, Request, WebServer

SIZE = 1_000_000
CONTENTS = {GOLDEN: bytes(SIZE)}
FILE = "factory/bundles/1"
BOMB = gzip.compress(bytes(100 * SIZE), 9)


def endless(request: Request) -> None:
    """Send zeros for ever."""
    request.head(200)
    while True:
        request.wfile.write(bytes(65_536))


def ten_times(request: Request) -> None:
    """Say that it has ten times the size, and send it."""
    request.head(200, Content_Length=10 * SIZE)
    request.wfile.write(bytes(10 * SIZE))


def bomb(request: Request) -> None:
    """Send what is a thousand times as large when unpacked."""
    request.head(200, Content_Encoding="gzip", Content_Length=len(BOMB))
    request.wfile.write(BOMB)


def slow(request: Request) -> None:
    """Send ten bytes a second."""
    request.head(200, Content_Length=SIZE)
    while True:
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.1)


def slow_header(request: Request) -> None:
    """Send a header that never ends."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.1)


def flood(peer: Peer) -> None:
    """Claim 256 MiB, and send."""
    peer.send(header(268_435_455))
    while True:
        peer.send(bytes(65_536))


def largest(peer: Peer) -> None:
    """Send the largest file that may come by MQTT, when asked."""
    peer.expect(0x82)
    peer.send(publish(FILE, bytes(MAX_MEMBER_BYTES), peer.protocol))
    peer.wait_end()


WEB: dict[str, Answer] = {
    "https: endless": endless,
    "https: 10 times the size": ten_times,
    "https: gzip bomb": bomb,
    "https: 10 bytes a second": slow,
    "https: endless header": slow_header,
}
BROKERS: dict[str, tuple[int, Callable[[Peer], None]]] = {
    "MQTT 5: packet of 256 MiB": (5, flood),
    "MQTT 3.1.1: packet of 256 MiB": (4, flood),
    "MQTT 5: file of 32 MiB, wanted": (5, largest),
    "MQTT 3.1.1: file of 32 MiB, wanted": (4, largest),
}


def fetch(base_url: str, ca: str) -> dict[str, Any]:
    """Fetch from the server; in the process that is measured."""
    watches: list[Watch] = []

    class Counted(Watch):
        def __enter__(self) -> Watch:
            watches.append(self)
            return super().__enter__()

    module: Any = download
    module.Watch = Counted
    once = HttpsFetcher(base_url, Path(ca), patience=Patience(tries=1))
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(Path(folder) / "bundle", CONTENTS)
        before = _reset_peak()
        began_s = time.monotonic()
        try:
            once.fetch(staged, NEVER, lambda here, total: None)
            outcome = "taken"
        except BundleError as error:
            outcome = error.reason
        taken_s = time.monotonic() - began_s
        read = sum(watch.received_bytes for watch in watches)
        return _row(outcome, read, taken_s, before)


def listen(port: int, protocol: int) -> dict[str, Any]:
    """Connect to the broker; in the process that is measured."""
    read = 0
    plainly = paho.Client._sock_recv

    def counting(client: paho.Client, most: int) -> bytes:
        nonlocal read
        raw = plainly(client, most)
        read += len(raw)
        return raw

    client: Any = paho.Client
    couriers: Any = Courier
    client._sock_recv = counting
    if protocol == 4:
        couriers._connect = lambda self: self._open(4)
    publisher = Publisher(plain(port), "press-07", {})
    inbox = publisher.inbox
    inbox.want(FILE, MAX_MEMBER_BYTES)
    before = _reset_peak()
    began_s = time.monotonic()
    publisher.start()
    body = None
    while body is None and not inbox.oversize:
        body = inbox.take(FILE, 0.02)
    taken_s = time.monotonic() - began_s
    publisher.close()
    outcome = "refused" if body is None else "taken"
    return _row(outcome, read, taken_s, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile")
    parser.add_argument("only", nargs="?", default="", help="rows that begin so")
    args = parser.parse_args(argv)
    print("| attack | outcome | bytes read | seconds | memory, MB |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name in [*BROKERS, *WEB]:
        if name.startswith(args.only):
            row = _measure(name)
            print(
                f"| {name} | {row['outcome']} | {row['read']:,} | {row['s']:.2f} "
                f"| {row['memory'] / 1e6:.1f} |",
                flush=True,
            )
    return 0


def _measure(name: str) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        if name in WEB:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            tls = Certificates.make(Path(folder))
            server = stack.enter_context(WebServer(CONTENTS, tls=tls, answer=WEB[name]))
            words = ["fetch", server.base_url, str(tls.ca)]
        else:
            protocol, script = BROKERS[name]
            broker = stack.enter_context(RawBroker(script))
            words = ["listen", str(broker.port), str(protocol)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.hostile", "--child", *words],
            check=True,
            stdout=subprocess.PIPE,
        )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _child(words: Sequence[str]) -> int:
    if words[0] == "fetch":
        row = fetch(words[1], words[2])
    else:
        row = listen(int(words[1]), int(words[2]))
    print(json.dumps(row))
    return 0


def _row(outcome: str, read: int, taken_s: float, before: int) -> dict[str, Any]:
    memory = _peak_bytes() - before
    return {"outcome": outcome, "read": read, "s": taken_s, "memory": memory}


def _peak_bytes() -> int:
    """Most memory so far, from `_reset_peak` on."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _reset_peak() -> int:
    """Forget the peak; the memory that is in use now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        raise SystemExit(_child(sys.argv[2:]))
    raise SystemExit(main())
