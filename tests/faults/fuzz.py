"""Throws mutated manifests, signatures and safetensors files at the device's readers.

``PYTHONPATH=tests python -m faults.fuzz --minutes 10`` prints how many were tried and
how much memory the process had at most. Each case may be refused with an `AsdError`
and nothing else; the process may have no more than 256 MB.
"""

import argparse
import json
import random
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.golden import Golden
from asd_agent.bundle.signature import SIGNATURE_FILE
from asd_agent.bundle.trust import MANIFEST_FILE, Trust, verify
from asd_agent.errors import AsdError
from asd_agent.update.desired import Desired, decode, encode
from support.bundles import GOLDEN, forge, key_pair, public, reforge, sign

MOST_MB = 256.0
"""Resident memory that no case may take"""
WORDS = [
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"18446744073709551616",
    b"4611686018427387904",
    b'"F64"',
    b'"../x"',
    b"[" * 2000,
    b"\xff\xfe",
    b"\x00",
]
"""What is put in the place of a value"""
Case = Callable[[bytes], object]


def mutated(rng: random.Random, content: bytes) -> bytes:
    """A file with some bytes flipped, cut out, doubled, or exchanged for a word."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del raw[at : at + rng.randrange(1, 64)]
        elif kind == 2:
            raw[at:at] = raw[at : at + rng.randrange(1, 256)]
        elif kind == 3:
            raw[at : at + rng.randrange(0, 8)] = rng.choice(WORDS)
        elif kind == 4:
            raw[at : at + 4] = rng.randbytes(4)
        else:
            del raw[at:]
    return bytes(raw)


def lied(rng: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header claims other shapes, types or places."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = rng.choice(sorted(set(header) - {"__metadata__"}))
    numbers = [-1, 0, 1, 1 << 20, 1 << 40, 1 << 62, (1 << 64) - 1, 1 << 70]
    kind = rng.randrange(5)
    if kind == 0:
        header[name]["shape"] = [rng.choice(numbers) for _ in range(rng.randrange(6))]
    elif kind == 1:
        header[name]["data_offsets"] = [rng.choice(numbers), rng.choice(numbers)]
    elif kind == 2:
        header[name]["dtype"] = rng.choice(("F64", "F16", "BF16", "U8", "I64", "X"))
    elif kind == 3:
        other = rng.choice(sorted(header))
        header[name], header[other] = header[other], header[name]
    else:
        header[f"{name}{'x' * rng.choice((1, 1000, 100_000))}"] = header.pop(name)
    text = json.dumps(header).encode()
    claimed = len(text) if rng.random() < 0.9 else rng.choice(numbers) % (1 << 64)
    return struct.pack("<Q", claimed) + text + content[8 + size :]


def cases(work: Path) -> dict[str, tuple[bytes, Case]]:
    """Each reader with a file that it takes."""
    (work / "keys").mkdir()
    key, _ = key_pair(work / "keys")
    trust = Trust(keys=(public(key),))
    folder = sign(forge(work / "bundle", statistics=True), key)
    raw = (folder / MANIFEST_FILE).read_bytes()
    signature = (folder / SIGNATURE_FILE).read_bytes()
    golden = (folder / GOLDEN).read_bytes()
    open_ = Trust(allow_unsigned=True)

    def read_golden(content: bytes) -> None:
        reforge(folder, GOLDEN, content)
        Golden.open(Bundle.open(folder))

    desired = encode(Desired(raw, signature, "https://example.org/bundles"))
    return {
        "manifest, signed": (raw, lambda content: verify(content, signature, trust)),
        "manifest, unsigned": (raw, lambda content: verify(content, None, open_)),
        "signature": (signature, lambda content: verify(raw, content, trust)),
        "desired": (desired, decode),
        "safetensors": (golden, read_golden),
    }


def fuzz(seconds: float, seed: int) -> tuple[dict[str, Counter[str]], float]:
    """Try cases for so many seconds of processor time.

    Returns
    -------
    dict, float
        By reader how often what came of it, and the highest resident memory, MB.
    """
    rng = random.Random(seed)
    found: dict[str, Counter[str]] = {}
    began_s = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        readers = cases(Path(name))
        for reader, (content, read) in readers.items():
            read(content)  # the file itself is good
            found[reader] = Counter()
        while time.process_time() - began_s < seconds:
            reader = rng.choice(sorted(readers))
            content, read = readers[reader]
            lies = reader == "safetensors" and rng.random() < 0.5
            case = lied(rng, content) if lies else mutated(rng, content)
            if case == content:
                continue
            found[reader][_outcome(read, case)] += 1
    return found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _outcome(read: Case, case: bytes) -> str:
    try:
        read(case)
    except AsdError:
        return "refused"
    except Exception as error:  # that is what is looked for
        path = Path(tempfile.gettempdir()) / "asd-fuzz-crash"
        path.write_bytes(case)
        print(f"{type(error).__name__}: {error}; the case is {path}", file=sys.stderr)
        return "crashed"
    return "taken"


def main() -> int:
    """Print a table; 1 if anything crashed or took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="processor time")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found, peak_mb = fuzz(args.minutes * 60, args.seed)
    print("| reader | cases | refused | still good | crashed |\n|---|---|---|---|---|")
    for reader, counts in found.items():
        total, refused, taken = counts.total(), counts["refused"], counts["taken"]
        row = f"{total:,} | {refused:,} | {taken:,} | {counts['crashed']}"
        print(f"| {reader} | {row} |")
    print(f"\nhighest resident memory: {peak_mb:.0f} MB, allowed {MOST_MB:.0f}")
    crashed = sum(counts["crashed"] for counts in found.values())
    return 0 if not crashed and peak_mb < MOST_MB else 1


if __name__ == "__main__":
    sys.exit(main())
