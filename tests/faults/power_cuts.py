"""Cut the power while bundles are installed, and see what the medium holds then.

An ext4 in a file is mounted, a child process installs signed bundles one after the
other through the real store and tells each one that the store calls durable, and at a
random moment the file system is shut down without flushing its journal: what was not
on the medium by then is gone, as when power fails. Mounted again, exactly one whole
bundle must be current, and none older than the last one that was told before the cut.

Needs root::

    PYTHONPATH=tests python -m faults.power_cuts --cuts 200
    PYTHONPATH=tests python -m faults.power_cuts --cuts 20 --no-fsync
"""

import argparse
import fcntl
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.signature import PublicKey, message
from asd_agent.bundle.state import BASE, decode
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import MANIFEST_FILE, STATE_FILE, Trust
from asd_agent.errors import BundleError
from support.crashes import Quick
from support.loop_disk import LoopDisk

KEY = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
TRUST = Trust(keys=(PublicKey.of("factory", KEY.public_key().public_bytes_raw()),))
FILES = {"golden.safetensors": 40_000, "model.onnx": 300_000}
"""Bytes of each file of a bundle"""
IMAGE_BYTES = 67_108_864
EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2
READY = "ready"


@dataclass(slots=True)
class Tally:
    """What became of so many cuts."""

    cuts: int = 0
    installs: int = 0
    """Bundles that were told to be durable before a cut"""
    mixed: int = 0
    """Cuts after which the state or an installed bundle was not whole"""
    lost: int = 0
    """Cuts after which an older bundle, or state, was there than had been told"""
    notes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Cuts that must not end so."""
        return self.mixed + self.lost


class Medium(LoopDisk):
    """A file system that can lose its power."""

    def __init__(self, folder: Path) -> None:
        # A journal that is written each second shows sooner what a missing flush does.
        super().__init__(folder, IMAGE_BYTES, options="commit=1")

    def cut(self) -> None:
        """From here on nothing reaches the medium."""
        fd = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def take_out(self) -> None:
        """Go on with a copy, which has a life of its own.

        Another mount namespace may hold on to the file system that was shut down.
        """
        copy = self.image.with_name("copy")
        words = ("cp", "--sparse=always", self.image, copy)
        subprocess.run(words, check=True, capture_output=True)
        copy.replace(self.image)


def cut_once(tally: Tally, moment_s: float, *, fsync: bool) -> None:
    """Install until a moment, seconds after the first bundle is begun; then look."""
    from support.bundles import forge  # slow, and the writer does without

    with tempfile.TemporaryDirectory(prefix="asd-power-") as folder:
        template = forge(Path(folder) / "template")
        medium = Medium(Path(folder))
        with medium:
            told = _install_until(medium, template, moment_s, fsync=fsync)
        medium.take_out()
        with medium:
            tally.cuts += 1
            tally.installs += told.switched
            _look(medium.root, told, tally)


@dataclass(frozen=True, slots=True)
class Told:
    """Versions that were last said to be durable; 0: none."""

    switched: int = 0
    committed: int = 0


def _install_until(
    medium: Medium, template: Path, moment_s: float, *, fsync: bool
) -> Told:
    words = [sys.executable, "-m", "faults.power_cuts", "--writer", str(medium.root)]
    words += ["--template", str(template / MANIFEST_FILE)]
    words += [] if fsync else ["--no-fsync"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    ) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline().decode().strip()
        assert first == READY, f"the writer said {first!r}"
        os.set_blocking(writer.stdout.fileno(), False)
        until_s = time.monotonic() + moment_s
        raw = b""
        while time.monotonic() < until_s:
            raw += writer.stdout.read() or b""
            time.sleep(0.002)
        # Only what is read before the cut was told in time: calls that are under way
        # go on to return after it.
        raw += writer.stdout.read() or b""
        medium.cut()
        writer.kill()
    lines = [line.split() for line in raw[: raw.rfind(b"\n") + 1].decode().splitlines()]
    last = {what: int(version) for what, version in lines}
    return Told(last.get("switched", 0), last.get("committed", 0))


def _look(root: Path, told: Told, tally: Tally) -> None:
    """Count what is wrong with what the medium holds."""
    store = Store(root / "bundles", trust=TRUST)
    try:
        version, on_trial = _survivor(store)
    except BundleError as error:
        tally.mixed += 1
        tally.notes.append(f"mixed after {told}: {error}")
        return
    if version < told.switched:
        tally.lost += 1
        tally.notes.append(f"lost: {version} is current after {told}")
    elif version == told.committed and on_trial:
        tally.lost += 1
        tally.notes.append(f"lost: {version} is on trial after {told}")


def _survivor(store: Store) -> tuple[int, bool]:
    """Version of the current bundle, 0 for none, and whether it is on trial.

    Raises
    ------
    BundleError
        Something that has the name of the state, or of a bundle, is not whole.
    """
    path = store.folder / STATE_FILE
    before = decode(path.read_bytes()) if path.exists() else None
    for bundle in store.bundles():
        Bundle.open(store.path(bundle), TRUST)
    state = store.start()
    if before is not None and state.current != before.current:
        raise BundleError(f"{before.current} was current, {state.current} was started")
    if state.current == BASE:
        return 0, False
    opened = Bundle.open(store.path(state.current), TRUST)
    return opened.manifest.version, state.trial is not None


def write(root: Path, template: Path, disk: Disk) -> None:
    """Install one bundle after the other, and tell each that is durable."""
    plain = json.loads(template.read_bytes())
    store = Store(root / "bundles", disk, TRUST)
    os.write(1, f"{READY}\n".encode())
    version = 0
    while True:
        version += 1
        _install(store, plain, version)


def _install(store: Store, plain: dict[str, Any], version: int) -> None:
    contents = {
        name: hashlib.shake_128(f"{name} {version}".encode()).digest(size)
        for name, size in FILES.items()
    }
    entries = {
        name: {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        for name, raw in contents.items()
    }
    name = f"pump-{version}"
    changes = {"id": name, "version": version, "files": entries}
    manifest = json.dumps(plain | changes).encode()
    staged = store.stage(manifest, KEY.sign(message(manifest)))
    for file, raw in contents.items():
        for at in range(0, len(raw), 16_384):
            staged.append(file, raw[at : at + 16_384])
        staged.finish(file)
    store.install(staged)
    store.change(lambda state: state.switched(name, version))
    os.write(1, f"switched {version}\n".encode())
    store.change(lambda state: state.committed(of=name))
    os.write(1, f"committed {version}\n".encode())
    store.tidy()


def run(cuts: int, *, fsync: bool, seed: int = 1, longest_s: float = 1.5) -> Tally:
    """Cut the power so many times, each time on a new medium."""
    moments = random.Random(seed)
    tally = Tally()
    for _ in range(cuts):
        cut_once(tally, moments.uniform(0, longest_s), fsync=fsync)
    return tally


def _environment() -> dict[str, str]:
    """That of the child, which needs the folder of the tests."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def main() -> int:
    """Cut, print a table, and return 1 if a cut ended as it must not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--no-fsync", action="store_true", help="show what happens without flushes"
    )
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--template", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.writer:
        write(said.writer, said.template, Quick() if said.no_fsync else Disk())
    tally = run(said.cuts, fsync=not said.no_fsync, seed=said.seed)
    print("fsync  cuts  installs told  mixed  lost")
    fsync = "no" if said.no_fsync else "yes"
    print(
        f"{fsync:5}  {tally.cuts:4}  {tally.installs:13}  "
        f"{tally.mixed:5}  {tally.lost:4}"
    )
    for note in tally.notes[:10]:
        print(note)
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
