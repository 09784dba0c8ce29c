"""Attacks on a device that takes bundles; every one must be refused.

``PYTHONPATH=tests python -m faults.attacks`` prints for each what the device says,
and the bytes, seconds and memory that it spent before it said so. Each attack meets
a device in a process of its own, which runs version 1 of a bundle and must still run
it afterwards.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from asd_agent.bundle import selftest
from asd_agent.bundle.signature import SIGNATURE_FILE
from asd_agent.bundle.staged import Staged
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import MANIFEST_FILE, Trust
from asd_agent.errors import BundleError
from asd_agent.update.desired import Desired
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.fetch import Fetcher, FolderFetcher
from asd_agent.update.install import Acts, Installer
from asd_agent.update.patience import Patience
from asd_agent.update.tries import Tries
from faults.offers import ATTACKS, MODEL_FILE, Forger, Offer
from support.broker import Certificates
from support.bundles import GOLDEN, public, reforge, sign
from support.web import WebServer

IMPATIENT = Patience(
    connect_s=2, silence_s=1, least_bytes_s=10_000, slow_s=0.5, tries=2, pause_s=0.05
)
"""So that a slow server is given up within a test"""
TESTS = Path(__file__).parents[1]
"""Where the child finds this module"""
CHILD_BYTES = 1_073_741_824
"""Address space of the child that tests a bundle"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How an attack ended."""

    reason: str
    text: str
    taken_bytes: int
    """Bytes taken before it was refused, with manifest and signature"""
    seconds: float
    peak_mb: float
    """Highest resident memory of the device's process less that before"""


def attack(name: str, work: Path) -> Refusal:
    """Carry out one attack in this process.

    Raises
    ------
    AssertionError
        It was not refused, or the device does not run what it ran before.
    """
    forger = Forger(work)
    trust = Trust(keys=(public(forger.key),), device_class="pi4")
    store = Store(work / "bundles", trust=trust)
    _run_already(store, forger)
    installer = _installer(store, trust)
    offer = ATTACKS[name][1](forger)
    if offer.rejected is not None:
        failed = offer.rejected
        store.change(lambda state: state.refused(failed, "differs", "self-test", 2))
    before, taken = store.read().current, _counted()
    start_kb, began_s = _peak_kb(), time.perf_counter()
    refusal: BundleError | None = None
    with _fetcher(offer, work) as fetcher:
        try:
            installer.run(_desired(offer.folder), fetcher)
        except BundleError as error:
            refusal = error
        seconds = time.perf_counter() - began_s
    assert refusal is not None, f"{name}: was installed"
    after = store.read()
    assert (after.current, after.trial) == (before, None), name
    assert store.version() == 1, name
    files = [offer.folder / MANIFEST_FILE, offer.folder / SIGNATURE_FILE]
    described = sum(path.stat().st_size for path in files if path.exists())
    return Refusal(
        reason=refusal.reason,
        text=str(refusal),
        taken_bytes=described + sum(taken),
        seconds=seconds,
        peak_mb=(_peak_kb() - start_kb) / 1024,
    )


def carried_out(name: str) -> Refusal:
    """Carry out one attack in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "faults.attacks", "--one", name],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return Refusal(**json.loads(done.stdout))


def _installer(store: Store, trust: Trust) -> Installer:
    def prove(folder: Path, stop: Event) -> None:
        selftest.prove(folder, "auto", 60.0, CHILD_BYTES, stop)

    return Installer(
        store,
        trust,
        Acts(prove=prove, relearn=lambda folder, stop: None),
        report=lambda report: None,
        tries=Tries(store.folder / "tries.json"),
        others=(),
    )


def _run_already(store: Store, forger: Forger) -> None:
    """Install a bundle without a file that another one has too: none is adopted."""
    old = forger.bundle("old", id="pump-1", version=1)
    reforge(old, MODEL_FILE, b"an old network")
    reforge(old, GOLDEN, b"old numbers")
    desired = _desired(sign(old, forger.key))
    staged = store.stage(desired.raw, desired.signature)
    FolderFetcher(old).fetch(staged, Event(), lambda count, total: None)
    store.install(staged)
    store.change(lambda state: state.switched("pump-1", 1).committed())


def _desired(folder: Path) -> Desired:
    signature = folder / SIGNATURE_FILE
    return Desired(
        raw=(folder / MANIFEST_FILE).read_bytes(),
        signature=signature.read_bytes() if signature.exists() else b"",
        base_url=None,
    )


@contextlib.contextmanager
def _fetcher(offer: Offer, work: Path) -> Iterator[Fetcher]:
    if offer.answer is None:
        yield FolderFetcher(offer.folder)
        return
    certificates = Certificates.make(work / "tls")
    files = {n: (offer.folder / n).read_bytes() for n in (GOLDEN, MODEL_FILE)}
    with WebServer(files, tls=certificates, answer=offer.answer) as server:
        yield HttpsFetcher(server.base_url, certificates.ca, patience=IMPATIENT)


def _counted() -> list[int]:
    """Count the bytes that files being fetched take from now on."""
    taken: list[int] = []
    append = Staged.append

    def counting(self: Staged, name: str, raw: bytes) -> None:
        append(self, name, raw)
        taken.append(len(raw))

    Staged.append = counting  # type: ignore[method-assign]  # this process ends soon
    return taken


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Carry out one attack and print it as JSON, or all as a table."""
    if sys.argv[1:2] == ["--one"]:
        with tempfile.TemporaryDirectory() as work:
            print(json.dumps(asdict(attack(sys.argv[2], Path(work)))))
        return 0
    print("| attack | refused as | bytes taken | s | MB |")
    print("|---|---|---|---|---|")
    right = 0
    for name, (reasons, _) in ATTACKS.items():
        refusal = carried_out(name)
        right += refusal.reason in reasons
        print(
            f"| {name} | {refusal.reason} | {refusal.taken_bytes:,} | "
            f"{refusal.seconds:.2f} | {refusal.peak_mb:.1f} |",
            flush=True,
        )
    print(f"\nrefused: {right} of {len(ATTACKS)}")
    return 0 if right == len(ATTACKS) else 1


if __name__ == "__main__":
    sys.exit(main())
