"""Targets: files that the device wrote itself, on a medium that breaks them."""

import random
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from datetime import datetime, timezone
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import Site, read_info
from asd_agent.config import OutboxConfig
from asd_agent.coverage import Kind, Span
from asd_agent.errors import BundleError, SiteError
from asd_agent.ledger import Ledger
from asd_agent.mqtt.disk_outbox import FILE, DiskOutbox
from asd_agent.update.tries import Tries
from faults.fuzz_target import MEMORY, Make, Target
from faults.mutation import altered_json, beginning, mutated, tensors
from support.broker import wait_for
from support.bundles import forge
from support.crashes import Quick
from support.sounds import learnt, noise
from support.updates import Device

CHANGES = (
    "UPDATE scores SET body = :value WHERE key % :part = 0",
    "UPDATE changes SET body = :value WHERE key % :part = 0",
    "UPDATE scores SET at_s = :value WHERE key % :part = 0",
    "UPDATE changes SET at_s = :value WHERE key % :part = 0",
    "UPDATE changes SET key = 9223372036854775800 + key % :part WHERE key < 3",
    "UPDATE scores SET key = -key WHERE key % :part = 0",
    "DELETE FROM changes",
    "DROP TABLE scores",
    "CREATE TABLE other (key)",
    "PRAGMA user_version = 7",
)
"""What makes a whole database one that was not written so"""
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
SPANS = [Span(Kind.SCORED, "", 4000), Span(Kind.GAP, "overflow", 400)]


def bundle_state(folder: Path) -> Target:
    """The state of the store; a broken one is mended."""
    device = Device(folder / "device", Quick())
    for version in (1, 2):
        device.install(device.build(f"pump-{version}", version, embeds=False))
    path = device.store.folder / "state.json"
    seeds = [path.read_bytes()]
    device.install_only(device.build("pump-3", 3, embeds=False))
    seeds.append(path.read_bytes())
    device.store.change(lambda state: state.rolled_back("hung"))
    seeds.append(path.read_bytes())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        store = device.store
        store.read()
        with suppress(BundleError):  # a state may name a bundle that was removed
            store.version()
        store.change(lambda state: state.started())

    return Target("bundles/state.json", tuple(seeds), read, altered_json, ())


def tries(folder: Path) -> Target:
    """How often the test of a bundle was begun."""
    path = folder / "tries.json"
    Tries(path, Quick()).begin("pump-1")
    seed = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        Tries(path, Quick()).begin("pump-1")

    return Target("bundles/tries.json", (seed,), read, altered_json, (BundleError,))


def site(folder: Path) -> Target:
    """What was learnt of a machine."""
    members = open_members(Bundle.open(forge(folder / "bundle")))
    path = folder / "sites" / "pump" / "forged-1.safetensors"
    learnt(members, noise(12_000)).save(path)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(SiteError):
            read_info(path)
        Site.load(path, members)

    return Target("site", (path.read_bytes(),), read, tensors, (SiteError,))


def coverage(folder: Path) -> Target:
    """The ledger of a day."""
    path = folder / "coverage" / f"{NOON.date()}.json"
    ledger = Ledger(path.parent, Quick())
    ledger.add("pump", NOON, 4000, SPANS)
    ledger.save()
    seed = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        again = Ledger(path.parent, Quick())
        again.newest("pump")
        again.sources()
        again.add("pump", NOON, 16_000, SPANS)
        again.newest("pump")
        again.save()

    return Target("coverage", (seed,), read, altered_json, ())


def outbox(folder: Path) -> Target:
    """The database of what waits for the broker; whatever it holds, messages go on."""
    place = folder / "outbox"
    seeds = tuple(_waiting(place, count) for count in (1, 60))
    config = OutboxConfig.model_validate({"commit_s": 600})

    def read(content: bytes) -> None:
        shutil.rmtree(place)
        place.mkdir()
        (place / FILE).write_bytes(content)
        box = DiskOutbox(place, config)
        box.start(lambda: None)
        box.put({"v": 1, "mine": True}, changed=True, late=False)
        _drain(box)
        box.close()

    return Target("outbox", seeds, read, _tampered, ())


def _waiting(place: Path, count: int) -> bytes:
    """A database with messages that were not sent."""
    place.mkdir(exist_ok=True)
    box = DiskOutbox(place, OutboxConfig())
    box.start(lambda: None)
    for i in range(count):
        box.put({"v": 1, "i": i, "pad": "x" * 400}, changed=i % 9 == 0, late=False)
    box.close()
    return (place / FILE).read_bytes()


def _drain(box: DiskOutbox) -> None:
    """Send all that is there; what was put last must come."""
    found: list[bytes] = []

    def mine() -> bool:
        for row in box.take():
            found.append(row.message)
            box.done(row.key)
        return any(b'"mine":true' in message for message in found)

    wait_for(mine, "the newest message")


def _tampered(rng: random.Random, content: bytes) -> bytes:
    return rng.choice((mutated, beginning, _pages, _values))(rng, content)


def _pages(rng: random.Random, content: bytes) -> bytes:
    """Numbers at the beginning of pages, where SQLite keeps what it counts."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        at = rng.randrange(0, len(raw), 4096) + rng.randrange(40)
        raw[at : at + 1] = rng.randbytes(1)
    return bytes(raw)


def _values(rng: random.Random, content: bytes) -> bytes:
    """A database that is whole, and holds other values than were written."""
    change = rng.choice(CHANGES)
    value = rng.choice((b"\xff", "text", "\x00", 0, 2**62, -1.5, 1e308, float("inf")))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / FILE
        path.write_bytes(content)
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE").fetchall()
            with suppress(sqlite3.IntegrityError):  # two rows of one key
                keys = {"value": value, "part": rng.choice((1, 2, 7))}
                database.execute(change, keys)
        return path.read_bytes()


STATE: dict[str, Make] = {
    "bundles/state.json": bundle_state,
    "bundles/tries.json": tries,
    "site": site,
    "coverage": coverage,
    "outbox": outbox,
}
