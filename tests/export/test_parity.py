"""Parity is measured as it is said to be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from asd_agent.errors import BundleError
from asd_export import gate
from asd_export.files import FILES
from asd_export.parity import (
    Parity,
    Reference,
    cosines,
    embed_reference,
    rank_correlation,
    table,
    window_scores,
)
from asd_export.structure import Structure
from support.tiny_models import random_units, tiny_network, tiny_source

VALUES = arrays.arrays(
    np.float64, st.integers(2, 20), elements=st.floats(-100, 100, width=16)
)


@given(values=VALUES)
def test_rank_correlation_sees_only_order(values: NDArray[np.float64]) -> None:
    found = rank_correlation(values, np.exp(values / 50))
    if np.ptp(values) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(1)
        assert rank_correlation(values, -values) == pytest.approx(-1)


def test_rank_correlation_of_a_known_table() -> None:
    # d = 0, 1, -1, 0: 1 - 6 * 2 / (4 * 15) = 0.8
    found = rank_correlation(np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40]))
    assert found == pytest.approx(0.8)


def test_ties_share_their_mean_rank() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    found = rank_correlation(np.array([0.0, 5, 5, 9]), np.array([1.0, 2, 3, 4]))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_cosines_ignore_length() -> None:
    a = np.array([[1, 0], [1, 1], [2, 0]], np.float32)
    b = np.array([[5, 0], [0, 3], [-1, 0]], np.float32)
    np.testing.assert_allclose(cosines(a, b), [1, np.sqrt(0.5), -1], atol=1e-7)


def test_window_scores_pool_each_clip() -> None:
    bank = np.array([[1, 0], [0, 1]], np.float32)
    queries = np.array([[2, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    clips = np.array([7, 7, 3, 3])
    # In order of clip: 3 lies between the bank's vectors, 7 on one of them.
    expected = [1 - np.sqrt(0.5), 0]
    np.testing.assert_allclose(window_scores(bank, queries, clips), expected, atol=1e-6)


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


def compare(change: Any) -> Parity:
    source = tiny_source()
    reference = Reference.of(source.network, source.calibration, source.held_out)
    return reference.compare(Stand(change), b"x" * 1500, None)


def test_the_same_network_agrees() -> None:
    row = compare(lambda embedding: embedding)
    assert row.cosine_min == pytest.approx(1, abs=1e-6)
    assert row.rank == pytest.approx(1)
    assert row.kilobytes == 1.5
    assert row.unit_ms > 0
    gate.check([row])


def test_another_network_is_refused() -> None:
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    row = compare(lambda e: (e @ turned).astype(np.float32))
    # A rotation keeps every distance, so only the cosine can see it.
    assert row.rank == pytest.approx(1, abs=1e-3)
    with pytest.raises(BundleError, match=r"model\.int8\.onnx: mean cosine"):
        gate.check([row])


def made(**changes: Any) -> Parity:
    good: dict[str, Any] = {
        "model": FILES["onnx-int8"],
        "library": "onnxruntime 1",
        "kilobytes": 1.0,
        "cosine_mean": 0.99,
        "cosine_min": 0.9,
        "rank": 0.95,
        "unit_ms": 1.0,
        "structure": Structure(convs=50, float_convs=0, islands=1),
    }
    return Parity(**{**good, **changes})


def test_gate_passes_what_is_good() -> None:
    gate.check([made(), made(structure=None)])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cosine_mean": 0.969}, "mean cosine with the trained network is 0.9690"),
        ({"cosine_mean": float("nan")}, "mean cosine"),
        ({"rank": 0.89}, "rank correlation of scores .* is 0.8900"),
        ({"rank": float("nan")}, "the same score"),
        ({"structure": Structure(50, 1, 0)}, "1 of 50 convolutions run in float32"),
        ({"structure": Structure(50, 0, 2)}, "2 operators leave the int8 path"),
    ],
)
def test_gate_names_the_fault(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        gate.check([made(), made(**changes)])


def test_gate_names_every_fault_at_once() -> None:
    with pytest.raises(BundleError) as caught:
        gate.check([made(cosine_mean=0.5, rank=0.5), made(rank=0.1)])
    assert str(caught.value).count("model.int8.onnx") == 3


def test_table_has_one_line_for_each_file() -> None:
    lines = table([made(), made(structure=None)]).splitlines()
    assert len(lines) == 3
    assert "0 of 50" in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_reference_embeds_in_batches_as_one_by_one() -> None:
    network, units = tiny_network(), random_units(35)
    together = embed_reference(network, units)
    alone = np.concatenate([embed_reference(network, u[None]) for u in units])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.shape == (35, 16)
