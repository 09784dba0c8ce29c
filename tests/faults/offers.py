"""What attackers offer to a device that takes bundles, one row an attack.

The list is that of the Uptane standard (section "Description of threats") with what
hostile files can do besides.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper

from asd_agent.bundle.signature import SIGNATURE_FILE
from asd_agent.bundle.trust import MANIFEST_FILE
from support.bundles import (
    GOLDEN,
    MODEL,
    SIZE,
    SMALL,
    forge,
    key_pair,
    network,
    reforge,
    sign,
)
from support.web import Request

MODEL_FILE = MODEL.file
ENDLESS = b"\0" * 65_536


@dataclass(frozen=True, slots=True)
class Offer:
    """What the attacker offers: a folder, and perhaps a server of its own."""

    folder: Path
    rejected: str | None = None
    """Identifier that failed on this device before"""
    answer: Callable[[Request], None] | None = None
    """How a web server answers; None: the files come from the folder"""


class Forger:
    """Makes bundles in a folder, signed by the factory or by somebody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "keys").mkdir(parents=True)
        self.key, _ = key_pair(folder / "keys", "factory")
        self.thief, _ = key_pair(folder / "keys", "thief")

    def bundle(
        self, name: str = "new", key: Ed25519PrivateKey | None = None, **changes: Any
    ) -> Path:
        """A good bundle with a network, version 2 unless `changes` say otherwise."""
        keys: dict[str, Any] = {"id": "pump-2", "version": 2} | changes
        folder = forge(self.folder / name, embeds=True, **keys)
        return sign(folder, key or self.key)

    def changed(self, change: Callable[[dict[str, Any]], object]) -> Path:
        """A good bundle whose manifest was changed before the factory signed it."""
        folder = self.bundle()
        path = folder / MANIFEST_FILE
        manifest = json.loads(path.read_bytes())
        change(manifest)
        path.write_text(json.dumps(manifest))
        return sign(folder, self.key)

    def remade(self, name: str, content: bytes) -> Path:
        """A good bundle with another file, signed: the builder itself is fooled."""
        folder = self.bundle()
        reforge(folder, name, content)
        return sign(folder, self.key)

    def other(self) -> Path:
        """Another good bundle of the factory, with another network."""
        folder = self.bundle("other", id="pump-3", version=3)
        reforge(folder, MODEL_FILE, network(SMALL.unit_shape, seed=7))
        return sign(folder, self.key)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _flipped(name: str) -> Callable[[Forger], Offer]:
    def make(forger: Forger) -> Offer:
        folder = forger.bundle()
        _flip(folder / name)
        return Offer(folder)

    return make


def _unsigned(forger: Forger) -> Offer:
    folder = forger.bundle()
    (folder / SIGNATURE_FILE).unlink()
    return Offer(folder)


def _truncated(forger: Forger) -> Offer:
    folder = forger.bundle()
    path = folder / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-1])
    return Offer(folder)


def _extra(forger: Forger) -> Offer:
    folder = forger.bundle()
    (folder / "run.sh").write_text("echo\n")
    return Offer(folder)


def _missing(forger: Forger) -> Offer:
    folder = forger.bundle()
    (folder / MODEL_FILE).unlink()
    return Offer(folder)


def _swapped(forger: Forger) -> Offer:
    folder = forger.bundle()
    other = forger.other()
    shutil.copy(other / MODEL_FILE, folder / MODEL_FILE)
    return Offer(folder)


def _mixed_manifest(forger: Forger) -> Offer:
    folder = forger.bundle()
    other = forger.other()
    shutil.copy(other / SIGNATURE_FILE, folder / SIGNATURE_FILE)
    return Offer(folder)


def _ten_times(forger: Forger) -> Offer:
    folder = forger.bundle()
    path = folder / MODEL_FILE
    path.write_bytes(path.read_bytes() * 10)
    return Offer(folder)


def _huge(manifest: dict[str, Any]) -> None:
    manifest["files"][MODEL_FILE]["bytes"] = 268_435_456


def _symlink(forger: Forger) -> Offer:
    folder = forger.bundle()
    real = forger.folder / "secret.onnx"
    (folder / MODEL_FILE).rename(real)
    (folder / MODEL_FILE).symlink_to(real)
    return Offer(folder)


def _endless(request: Request) -> None:
    request.head(200, Content_Type="application/octet-stream")
    while True:
        request.wfile.write(ENDLESS)


def _slow(request: Request) -> None:
    request.head(200, Content_Length=len(request.content))
    for i in range(len(request.content)):
        request.wfile.write(request.content[i : i + 1])
        request.wfile.flush()
        time.sleep(0.05)


def _lying_length(request: Request) -> None:
    request.head(200, Content_Length=10**12)
    while True:
        request.wfile.write(ENDLESS)


def external_data(location: str) -> bytes:
    """An ONNX file whose weights lie in another file."""
    weights = onnx.TensorProto(
        name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    values = SMALL.unit_shape[0] * SMALL.unit_shape[1]
    weights.dims.extend([values, SIZE])
    for key, value in (
        ("location", location),
        ("offset", "0"),
        ("length", str(4 * values * SIZE)),
    ):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    shape = (1, 1, *SMALL.unit_shape)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["unit"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["embedding"]),
        ],
        "outside",
        [helper.make_tensor_value_info("unit", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, (1, SIZE))],
        [weights],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return bytes(model.SerializeToString())


def lying_header(shape: int = 1 << 40) -> bytes:
    """A safetensors file that claims four terabytes."""
    size = 4 * shape
    tensor = {"dtype": "F32", "shape": [shape], "data_offsets": [0, size]}
    header = json.dumps({"audio": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0" * 16


def _traversal(name: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop(MODEL_FILE)

    return change


def _signed(change: Callable[[dict[str, Any]], object]) -> Callable[[Forger], Offer]:
    return lambda forger: Offer(forger.changed(change))


def _remade(name: str, content: Callable[[], bytes]) -> Callable[[Forger], Offer]:
    return lambda forger: Offer(forger.remade(name, content()))


ATTACKS: dict[str, tuple[set[str], Callable[[Forger], Offer]]] = {
    "unsigned": ({"unsigned"}, _unsigned),
    "signed with another key": (
        {"untrusted"},
        lambda f: Offer(f.bundle(key=f.thief)),
    ),
    "one bit flipped in the manifest": ({"untrusted"}, _flipped(MANIFEST_FILE)),
    "one bit flipped in the signature": ({"untrusted"}, _flipped(SIGNATURE_FILE)),
    "one bit flipped in the model": ({"changed"}, _flipped(MODEL_FILE)),
    "one bit flipped in the golden numbers": ({"changed"}, _flipped(GOLDEN)),
    "a file is truncated": ({"changed"}, _truncated),
    "an extra file": ({"extra_file"}, _extra),
    "a file is missing": ({"missing_file"}, _missing),
    "members swapped between two valid bundles": ({"changed"}, _swapped),
    "signature of another valid bundle": ({"untrusted"}, _mixed_manifest),
    "an older version": ({"not_newer"}, lambda f: Offer(f.bundle(id="o", version=1))),
    "another id, the same version": (
        {"not_newer"},
        lambda f: Offer(f.bundle(id="o", version=1)),
    ),
    "another device class": (
        {"device_class"},
        lambda f: Offer(f.bundle(device_class="jetson")),
    ),
    "an id that failed here before": (
        {"rejected_before"},
        lambda f: Offer(f.bundle(), rejected="pump-2"),
    ),
    "ten times the size": ({"too_large", "changed"}, _ten_times),
    "a manifest that claims 256 MiB": ({"too_large"}, _signed(_huge)),
    "a manifest of 2 MiB": (
        {"too_large"},
        _signed(lambda m: m.update(licence="x" * 2_097_152)),
    ),
    "endless data from a server": (
        {"too_large"},
        lambda f: Offer(f.bundle(), answer=_endless),
    ),
    "a server that claims a terabyte": (
        {"too_large"},
        lambda f: Offer(f.bundle(), answer=_lying_length),
    ),
    "a slow server": ({"unavailable"}, lambda f: Offer(f.bundle(), answer=_slow)),
    "a path that leads upwards": (
        {"malformed"},
        _signed(_traversal("../../etc/cron.d/x")),
    ),
    "an absolute path": ({"malformed"}, _signed(_traversal("/etc/passwd"))),
    "a symbolic link": ({"not_plain"}, _symlink),
    "ONNX with weights above its folder": (
        {"broken"},
        _remade(MODEL_FILE, lambda: external_data("../../secret.bin")),
    ),
    "ONNX with weights at an absolute path": (
        {"broken"},
        _remade(MODEL_FILE, lambda: external_data("/etc/passwd")),
    ),
    "ONNX with weights in a file beside it": (
        {"broken"},
        _remade(MODEL_FILE, lambda: external_data(GOLDEN)),
    ),
    "a safetensors header that claims 4 TB": (
        {"malformed"},
        _remade(GOLDEN, lying_header),
    ),
    "a safetensors header of 2^62 bytes": (
        {"malformed"},
        _remade(GOLDEN, lambda: (1 << 62).to_bytes(8, "little") + b"{}"),
    ),
}
"""Reasons that are right, and how the offer is made, by what the attacker does"""
