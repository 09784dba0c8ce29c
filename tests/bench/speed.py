"""How long one unit takes in each network, runtime and precision.

The weights are random: they change the numbers, not the work. Every file is made
by the exporter's own converters and run by the agent's own embedders.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asd_agent.features import SecomSpec
from asd_agent.inference.embedder import EmbedderSpec
from asd_agent.inference.open import open_embedder
from asd_export.convert import convert
from asd_export.files import FILES
from asd_train.models import NetworkSpec, build_network
from bench.timing import Timing, interleaved
from support.tiny_models import settle

Unit = NDArray[np.float32]
Call = Callable[[], object]

NETWORKS = {
    "MobileFaceNet": NetworkSpec(name="mobilefacenet"),
    "MobileNetV2": NetworkSpec(name="mobilenetv2"),
    "MobileFaceNet, PReLU rewritten": NetworkSpec(
        name="mobilefacenet", activation="prelu"
    ),
}
EACH = 8
"""Runs of one file in one turn"""
FASTER = {"relu": 1.5, "prelu": 1.0}
"""How much faster int8 must be than float32, by activation"""
SHAPE = SecomSpec().unit_shape
SIZE = 128
"""Values in an embedding"""


def speed(rounds: int) -> str:
    """Time all files in one run; a Markdown table."""
    torch.set_num_threads(1)
    unit = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    calls: dict[str, Call] = {}
    for title, spec in NETWORKS.items():
        for kind, call in _calls(spec, unit).items():
            calls[f"{title} {kind}"] = call
    print(f"timing {len(calls)} files in turn", file=sys.stderr)
    return _table(interleaved(calls, rounds, EACH), rounds)


def _calls(spec: NetworkSpec, unit: Unit) -> dict[str, Call]:
    torch.manual_seed(0)
    network = settle(build_network(spec), SHAPE)
    units = np.random.default_rng(1).standard_normal((20, *SHAPE), np.float32)

    def say(line: str) -> None:
        print(f"{spec.name} {spec.activation}: {line}", file=sys.stderr)

    files = convert(network, SHAPE, units, tuple(FILES), say)
    calls = {kind: _file_call(kind, file, unit) for kind, file in files.items()}
    return {"torch-float32": _torch_call(network, unit)} | calls


def _file_call(kind: str, content: bytes, unit: Unit) -> Call:
    spec = EmbedderSpec(size=SIZE, models=(FILES[kind],))
    embedder = open_embedder(spec, lambda _: content, unit_shape=SHAPE)
    return lambda: embedder.embed(unit)


def _torch_call(network: nn.Module, unit: Unit) -> Call:
    batch = torch.from_numpy(unit)[None, None]

    def call() -> object:
        with torch.inference_mode():
            return network(batch)

    return call


def _table(timings: dict[str, Timing], rounds: int) -> str:
    lines = [
        f"one thread, one unit at a time, {rounds} rounds of {EACH}; "
        "milliseconds, median (least)",
        "",
        "| | torch float32 | ONNX float32 | ONNX int8 | LiteRT float32 | LiteRT int8 |"
        " float32 : int8 ONNX | LiteRT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds = (
        "torch-float32",
        "onnx-float32",
        "onnx-int8",
        "tflite-float32",
        "tflite-int8",
    )
    for title, spec in NETWORKS.items():
        least = FASTER[spec.activation]
        found = {kind: timings[f"{title} {kind}"] for kind in kinds}
        cells = [f"{t.median_ms:.2f} ({t.min_ms:.2f})" for t in found.values()]
        for runtime in ("onnx", "tflite"):
            ratio = (
                found[f"{runtime}-float32"].median_ms
                / found[f"{runtime}-int8"].median_ms
            )
            verdict = "met" if ratio >= least else "not met"
            cells.append(f"{ratio:.2f}, {least:g} {verdict}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)
