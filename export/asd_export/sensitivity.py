"""Which layers lose the most in int8: each alone, all others in float."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from tqdm import tqdm

from asd_agent.inference.embedder import RuntimeName
from asd_export.calibrate import MINMAX, Way
from asd_export.equalise import equalise
from asd_export.parity import Array, HeldOut, Reference
from asd_export.simulate import Place, Simulation

BANK_UNITS = 64
"""Calibration units that are the bank: fewer than for the gate, since every layer is
measured"""
CLIPS = 16
"""Held-out clips that are scored"""
BATCH = 8
"""Units at a time: all inner values of a batch are kept"""
WORST = 5
"""Layers that an error names"""


@dataclass(frozen=True, slots=True)
class Layer:
    """What int8 costs at one place of the network."""

    name: str
    """Path of the module; ``.sum`` and ``.join`` are of the block before it"""
    kind: str
    """``unit``, ``convolution``, ``depthwise``, ``sum``, ``join`` or ``mean``"""
    share: float
    """Part of all noise, if the noise of all places is added up"""
    sqnr_db: float
    """Power of an embedding over that of its error, decibel"""
    cosine: float
    """Mean cosine of an embedding with the float network's"""
    rank: float
    """Spearman's correlation of window scores with the float network's"""


def layers(
    network: nn.Module,
    reference: Reference,
    runtime: RuntimeName,
    way: Way = MINMAX,
) -> list[Layer]:
    """Measure every place, the worst first.

    Parameters
    ----------
    network
        Trained, in eval mode.
    reference
        Its sound; of it a part is used.
    runtime
        Whose int8 is imitated.
    way
        How the ranges are set.
    """
    part = _part(reference)
    simulation = Simulation(network, reference.unit_shape, runtime)
    equalise(simulation, reference.calibration)
    simulation.calibrate(reference.calibration, way)
    units = np.concatenate([part.calibration, part.held_out.units])
    plain, rounded = _each(simulation, units)
    split = len(part.calibration)
    part = replace(part, bank=plain[:split], embeddings=plain[split:])
    power = float(np.square(plain, dtype=np.float64).sum())
    noise = {
        name: float(np.square(found - plain, dtype=np.float64).sum())
        for name, found in rounded.items()
    }
    total = max(sum(noise.values()), 1e-30)
    found = []
    for name, embeddings in rounded.items():
        agreed = part.agreement(embeddings[:split], embeddings[split:])
        found.append(
            Layer(
                name=name,
                kind=_kind(name, simulation.places[name]),
                share=noise[name] / total,
                sqnr_db=10 * math.log10(power / max(noise[name], 1e-30 * power)),
                cosine=agreed.cosine_mean,
                rank=agreed.rank,
            )
        )
    return sorted(found, key=lambda layer: -layer.share)


def _part(reference: Reference) -> Reference:
    held = reference.held_out
    # The first: runs put normal and anomalous clips of all machines in turn.
    chosen = np.isin(held.clips, np.unique(held.clips)[:CLIPS])
    return replace(
        reference,
        calibration=reference.calibration[:BANK_UNITS],
        held_out=HeldOut(
            held.units[chosen],
            held.clips[chosen],
            None if held.anomaly is None else held.anomaly[chosen],
        ),
    )


class _Walk(fx.Interpreter):
    """Runs a graph from wherever its inner values are not given."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)

    def values(self, units: Tensor) -> dict[fx.Node, object]:
        """Every inner value."""
        self.run(units)
        return dict(self.env)


def _each(simulation: Simulation, units: Array) -> tuple[Array, dict[str, Array]]:
    """Embeddings in float, and with each place alone in int8."""
    plain: list[NDArray[np.float32]] = []
    parts: dict[str, list[NDArray[np.float32]]] = {n: [] for n in simulation.places}
    walk = _Walk(simulation.graph)
    order = {node: i for i, node in enumerate(simulation.graph.graph.nodes)}
    # Every batch walks half of the network for each place.
    steps = len(range(0, len(units), BATCH)) * len(simulation.places)
    with (
        torch.no_grad(),
        tqdm(total=steps, desc="layers", leave=False, disable=None) as bar,
    ):
        for start in range(0, len(units), BATCH):
            batch = torch.from_numpy(units[start : start + BATCH, None])
            simulation.round(())
            kept = walk.values(batch)
            (output,) = (v for n, v in kept.items() if n.op == "output")
            plain.append(np.asarray(output))
            for name, place in simulation.places.items():
                simulation.round([name])
                begin = order[place.first]
                # Of the unit nothing is given: it is what goes in.
                given = {n: v for n, v in kept.items() if order[n] < begin}
                found = walk.run(batch, initial_env=given)
                parts[name].append(found.numpy())
                bar.update()
    simulation.round(())
    return np.concatenate(plain), {n: np.concatenate(p) for n, p in parts.items()}


def _kind(name: str, place: Place) -> str:
    if place.convolution is not None:
        conv = place.convolution.conv
        depthwise = conv.groups > 1 and conv.groups == conv.in_channels
        return "depthwise" if depthwise else "convolution"
    if place.first.op == "placeholder":
        return "unit"
    return "mean" if place.first.op == "call_module" else name.rpartition(".")[2]


def worst(found: Sequence[Layer]) -> str:
    """Lines that name the few layers that lose the most."""
    return "\n".join(
        f"  {layer.name}: {layer.share:.0%} of the noise, {layer.sqnr_db:.1f} dB "
        f"({layer.kind})"
        for layer in found[:WORST]
    )


HEADER = f"{'layer':34} {'kind':12} {'noise':>6} {'SQNR':>6} {'cosine':>8} {'rank':>7}"


def table(found: Sequence[Layer]) -> str:
    """Lay out layers for the terminal."""
    return "\n".join(
        [HEADER]
        + [
            f"{layer.name:34} {layer.kind:12} {layer.share:6.1%} {layer.sqnr_db:6.1f} "
            f"{layer.cosine:8.6f} {layer.rank:7.4f}"
            for layer in found
        ]
    )
