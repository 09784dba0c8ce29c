"""Files and values that were tampered with, from ones that are good."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

Mutate = Callable[[random.Random, bytes], bytes]

WORDS = (
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
)
"""What is put in the place of a value"""
YAML_WORDS = (
    *(b": ", b"- ", b", ", b"&a ", b"*a", b"!x ", b"!!int ", b"? ", b"<<: ", b"---\n"),
    *(b"0x_", b"\t", b"\n  ", b"%YAML 1.1\n", b"2026-99-99", b"null", b"\\x0", b"|\n"),
    *(b"#", b"'", b'"', b".inf", b".nan", b"~", b"yes", b"1_0", b"0o7", b"1:30"),
    *(
        b"9" * 5000,
        b"0x" + b"f" * 5000,
        b"64MiBs",
        b"1e999GB",
        b"\x85",
        b"\xe2\x80\xa8",
    ),
    *(b"[" * 500, b"{a: " * 500, b"- " * 500, b"\xef\xbb\xbf", b"\x00", b"\xff"),
)
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30),
    *(0.5, -0.0, 1e308, -1e308, float("inf"), float("-inf"), float("nan")),
    *("", " ", "a", "../x", "/", "~", "\0", "\n", "\u2028", "\ud7ff", "x" * 300),
    *("3 of 5", "64MiB", "9" * 400 + "GB", "::1", "true", "null", "NaN", "1e999"),
    *([], {}, [[]], [None], {"a": 1}, {1: 2}, {"": ""}),
)
"""Values that may stand where another one was"""
HASHABLE = tuple(v for v in HOSTILE if not isinstance(v, list | dict))
LARGE: tuple[Any, ...] = (10**4000, "x" * 70_000, [0] * 5000, [[[[]]]] * 500)
"""As `HOSTILE`, but writing them takes long: only now and then"""


def mutated(
    rng: random.Random, content: bytes, words: Sequence[bytes] = WORDS
) -> bytes:
    """A file with some bytes flipped, cut out, doubled, or exchanged for a word."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del raw[at : at + rng.randrange(1, 64)]
        elif kind == 2:
            raw[at:at] = raw[at : at + rng.randrange(1, 256)]
        elif kind == 3:
            raw[at : at + rng.randrange(0, 8)] = rng.choice(words)
        elif kind == 4:
            raw[at : at + 4] = rng.randbytes(4)
        elif kind == 5:
            other = rng.randrange(len(raw) + 1)
            raw[at:at] = raw[other : other + rng.randrange(1, 64)]
        else:
            del raw[at:]
    return bytes(raw)


def beginning(rng: random.Random, content: bytes) -> bytes:
    """A file whose first bytes were tampered with: the numbers of its header."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(min(len(raw), 128))
        size = rng.choice((1, 2, 4, 8))
        numbers = (0, 1, 2**7, 2**15, 2**31, 2**32 - 1, 2**63, rng.getrandbits(64))
        number = rng.choice(numbers) % 256**size
        raw[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
    return bytes(raw)


def altered(rng: random.Random, value: Any) -> Any:
    """A value with some part of it exchanged, doubled, left out or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        found = dict(value)
        key = rng.choice(list(found))
        kind = rng.randrange(8)
        if kind == 0:
            del found[key]
        elif kind == 1:
            found[rng.choice(HASHABLE)] = found[key]
        elif kind == 2:
            found[f"{key}x"] = found.pop(key)
        else:
            found[key] = altered(rng, found[key])
        return found
    if isinstance(value, list) and value and rng.random() < 0.9:
        items = list(value)
        at = rng.randrange(len(items))
        kind = rng.randrange(6)
        if kind == 0:
            del items[at]
        elif kind == 1:
            items *= rng.choice((2, 20))
        else:
            items[at] = altered(rng, items[at])
        return items
    return rng.choice(LARGE if rng.random() < 0.01 else HOSTILE)


def altered_json(rng: random.Random, content: bytes) -> bytes:
    """A JSON file of another content, or one that was tampered with."""
    if rng.random() < 0.4:
        return mutated(rng, content)
    value = _parsed(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = altered(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=16)
def _parsed(content: bytes) -> Any:
    return json.loads(content)  # `altered` leaves it as it is


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


def tensors(rng: random.Random, content: bytes) -> bytes:
    """A safetensors file that was tampered with, header or numbers."""
    if rng.random() < 0.5:
        return lied(rng, content)
    if rng.random() < 0.5:
        return mutated(rng, content)
    raw = bytearray(content)
    for _ in range(rng.choice((1, 4, 64))):  # not numbers, among the numbers
        at = rng.randrange(8, len(raw) - 4) & ~3
        raw[at : at + 4] = struct.pack("<f", rng.choice((float("nan"), 1e38, -1e38)))
    return bytes(raw)
