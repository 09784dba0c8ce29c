"""Measure every way to make a file, as a device runs it, and keep the best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from asd_agent.inference.embedder import Embedder, EmbedderSpec
from asd_agent.inference.open import open_embedder
from asd_export import gate, qat
from asd_export.calibrate import MINMAX, Way
from asd_export.convert import Report, candidates, structure
from asd_export.files import FILES
from asd_export.order import Tuning
from asd_export.parity import Parity, Reference


@dataclass(frozen=True, slots=True)
class Tried:
    """A file that was made and measured."""

    name: str
    """Key of `FILES`"""
    content: bytes
    row: Parity
    embedder: Embedder
    """The file, opened as a device opens it"""
    way: Way = MINMAX
    """How the ranges of int8 were set"""
    tuned: bool = False
    """Whether the weights were fine-tuned for int8"""


def measure(
    network: nn.Module,
    reference: Reference,
    names: Sequence[str],
    ways: Sequence[Way],
    report: Report,
    *,
    tuned: bool = False,
) -> list[Tried]:
    """Make the files `names`, int8 in every way, and compare each with `reference`."""
    shape = reference.unit_shape
    size = reference.embeddings.shape[1]
    found = []
    for made in candidates(
        network, shape, reference.calibration, names, report, ways=ways
    ):
        method = made.method + ", tuned" * tuned
        report(f"measuring {FILES[made.name].file} {method}".rstrip())
        embedder = _open(made.name, made.content, size, shape)
        counted = structure(made.name, made.content)
        row = reference.compare(embedder, made.content, counted, method)
        found.append(Tried(made.name, made.content, row, embedder, made.way, tuned))
    return found


def tuned(
    network: nn.Module,
    reference: Reference,
    plain: Sequence[Tried],
    ways: Sequence[Way],
    tuning: Tuning,
    *,
    report: Report,
) -> list[Tried]:
    """Fine-tune for the int8 files that need it, and measure those made anew."""
    kept = best(plain).items()
    needy = {
        name: one
        for name, one in kept
        if FILES[name].precision == "int8"
        and (tuning.always or not gate.keeps_scores(one.row))
    }
    if not needy:
        report("no fine-tuning: int8 keeps the scores as it is")
        return []
    # Weights that bear seven bits bear eight, so that one network serves all.
    name = next(iter(needy))
    runtime, way = FILES[name].runtime, needy[name].way
    report(f"fine-tuning for {', '.join(needy)}: {tuning.steps} batches, {way.name}")
    found = qat.tune(network, reference.calibration, runtime, way, tuning.steps)
    report(f"distance of embeddings {found.before:.2g} before, {found.after:.2g} after")
    return measure(found.network, reference, tuple(needy), ways, report, tuned=True)


def best(tried: Iterable[Tried]) -> dict[str, Tried]:
    """Keep of each file the way that holds the scores best, in order of `FILES`.

    Where all is equal it is the first.
    """
    kept: dict[str, Tried] = {}
    for one in tried:
        before = kept.get(one.name)
        if before is None or gate.merit(one.row) > gate.merit(before.row):
            kept[one.name] = one
    return {name: kept[name] for name in FILES if name in kept}


def _open(name: str, content: bytes, size: int, shape: tuple[int, int]) -> Embedder:
    alone = EmbedderSpec(size=size, models=(FILES[name],))
    return open_embedder(alone, lambda _: content, unit_shape=shape)
