"""Parity is measured as it is said to be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asd_agent.errors import BundleError
from asd_agent.scoring.pooling import PoolingSpec
from asd_export import gate
from asd_export.files import FILES
from asd_export.parity import (
    Agreement,
    HeldOut,
    Parity,
    Reference,
    cosines,
    embed_reference,
    table,
)
from asd_export.structure import Structure
from support.tiny_models import random_units, tiny_network, tiny_source


def test_cosines_ignore_length() -> None:
    a = np.array([[1, 0], [1, 1], [2, 0]], np.float32)
    b = np.array([[5, 0], [0, 3], [-1, 0]], np.float32)
    np.testing.assert_allclose(cosines(a, b), [1, np.sqrt(0.5), -1], atol=1e-7)


class Stand:
    """An embedder that applies a function to the trained network's embedding."""

    model = FILES["onnx-int8"]
    library = "stand 1"

    def __init__(self, change: Any) -> None:
        self.change = change
        self.network = tiny_network()

    def embed(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.change(
            embed_reference(self.network, unit[None])[0]
        )
        return found


def compare(change: Any, anomaly: NDArray[np.int64] | None = None) -> Parity:
    source = tiny_source()
    held_out = replace(source.held_out, anomaly=anomaly)
    reference = Reference.of(source.network, source.calibration, held_out)
    return reference.compare(Stand(change), b"x" * 1500, None, "minmax")


def test_the_same_network_agrees() -> None:
    row = compare(lambda embedding: embedding)
    assert row.agreement.cosine_min == pytest.approx(1, abs=1e-6)
    assert row.agreement.rank == pytest.approx(1)
    assert row.agreement.auc_loss is None
    assert row.kilobytes == 1.5
    assert row.unit_ms > 0
    gate.check([row])


def test_another_network_is_refused() -> None:
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    row = compare(lambda e: (e @ turned).astype(np.float32))
    # A rotation keeps every distance, so only the cosine can see it.
    assert row.agreement.rank == pytest.approx(1, abs=1e-3)
    with pytest.raises(BundleError, match=r"model\.int8\.onnx: mean cosine"):
        gate.check([row])


def test_what_no_longer_tells_anomalies_is_refused() -> None:
    # The louder half is anomalous and scores higher, until half of it is lost.
    anomaly = (np.arange(60) >= 30).astype(np.int64)
    same = compare(lambda embedding: embedding, anomaly)
    assert same.agreement.auc_loss == pytest.approx(0)
    spoiled = compare(lambda e: np.roll(e, int(e[0] > 0)).astype(np.float32), anomaly)
    assert spoiled.agreement.auc_loss is not None
    assert spoiled.agreement.auc_loss > 0.01
    with pytest.raises(BundleError, match="lower than the trained network's"):
        gate.check([spoiled])


@pytest.mark.parametrize("kind", ["std", "both"])
def test_windows_are_pooled_as_the_run_says(kind: Any) -> None:
    source = tiny_source()
    pooling = PoolingSpec(kind=kind)
    reference = Reference.of(
        source.network, source.calibration, source.held_out, (pooling, PoolingSpec())
    )
    rng = np.random.default_rng(0)
    noisy = [
        (a + 0.3 * rng.standard_normal(a.shape) * np.abs(a).mean()).astype(np.float32)
        for a in (reference.bank, reference.embeddings)
    ]
    both = reference.agreement(*noisy)
    alone = [
        replace(reference, poolings=(p,)).agreement(*noisy) for p in reference.poolings
    ]
    assert alone[0].rank != alone[1].rank
    assert both.rank == min(one.rank for one in alone)


def test_no_clip_is_compared_with_itself() -> None:
    one = HeldOut(tiny_source().held_out.units[:5], np.zeros(5, np.int64))
    source = tiny_source()
    alone = Reference.of(
        source.network, source.calibration, one, (PoolingSpec(kind="std"),)
    )
    assert np.isnan(alone.agreement(alone.bank, alone.embeddings).rank)


def made(**changes: Any) -> Parity:
    agreed = Agreement(cosine_mean=0.99, cosine_min=0.9, rank=0.995, auc_loss=None)
    agreement = {k: changes.pop(k) for k in list(changes) if hasattr(agreed, k)}
    good: dict[str, Any] = {
        "model": FILES["onnx-int8"],
        "library": "onnxruntime 1",
        "method": "minmax",
        "kilobytes": 1.0,
        "agreement": replace(agreed, **agreement),
        "unit_ms": 1.0,
        "structure": Structure(convs=50, float_convs=0, islands=1),
    }
    return Parity(**{**good, **changes})


def test_gate_passes_what_is_good() -> None:
    gate.check([made(), made(structure=None), made(auc_loss=0.005), made(auc_loss=-1)])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cosine_mean": 0.969}, "mean cosine with the trained network is 0.9690"),
        ({"cosine_mean": float("nan")}, "mean cosine"),
        ({"rank": 0.9899}, "rank correlation of scores .* is 0.9899"),
        ({"rank": float("nan")}, "the same score"),
        ({"auc_loss": 0.0051}, "AUC is 0.0051 lower"),
        ({"auc_loss": float("nan")}, "AUC is nan lower"),
        ({"structure": Structure(50, 1, 0)}, "1 of 50 convolutions run in float32"),
        ({"structure": Structure(50, 0, 2)}, "2 operators leave the int8 path"),
    ],
)
def test_gate_names_the_fault(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        gate.check([made(), made(**changes)])


def test_gate_names_every_fault_the_layers_and_what_to_do() -> None:
    with pytest.raises(BundleError) as caught:
        gate.check([made(cosine_mean=0.5, rank=0.5), made(rank=0.1)], "  stem.0: 40 %")
    said = str(caught.value)
    assert said.count("model.int8.onnx") == 3
    for words in ("stem.0: 40 %", "--qat", "--calibration", "--files onnx-float32"):
        assert words in said


def test_the_best_passes_then_ranks_then_finds_then_agrees() -> None:
    order = [
        made(rank=0.999, cosine_mean=0.98),
        made(rank=0.9991, cosine_mean=0.99),
        made(rank=0.998, cosine_mean=0.999),
        made(rank=0.998, auc_loss=0.004, cosine_mean=0.9999),
        made(rank=1.0, structure=Structure(50, 0, 2)),
        made(rank=float("nan")),
    ]
    merits = [gate.merit(row) for row in order]
    # The third digit of a rank is the last that counts.
    assert merits[1] > merits[0]
    assert merits[1:] == sorted(merits[1:], reverse=True)


def test_table_has_one_line_for_each_file() -> None:
    lines = table([made(), made(structure=None)]).splitlines()
    assert len(lines) == 3
    assert "0 of 50" in lines[1]
    assert "minmax" in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_reference_embeds_in_batches_as_one_by_one() -> None:
    network, units = tiny_network(), random_units(35)
    together = embed_reference(network, units)
    alone = np.concatenate([embed_reference(network, u[None]) for u in units])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.shape == (35, 16)
