"""Ranges reach the files, and each way to set them is one of its own."""

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import numpy_helper

from asd_agent.inference.open import open_embedder
from asd_export import onnx as onnx_files
from asd_export import tflite
from asd_export.calibrate import MINMAX, WAYS, ranges, spread, ways
from asd_export.convert import candidates
from asd_export.parity import cosines, embed_all, embed_reference
from support.tiny_models import (
    EMBEDDER,
    SHAPE,
    random_units,
    tiny_files,
    tiny_network,
)

RUNTIMES = {"onnx": onnx_files, "tflite": tflite}


def input_range(name: str, content: bytes) -> tuple[float, float]:
    """Values between which the input of an int8 file is told apart."""
    if name == "tflite":
        detail = Interpreter(model_content=content).get_input_details()[0]
        scale, zero = detail["quantization"]
        return scale * (-128 - zero), scale * (127 - zero)
    model = onnx.load_from_string(content)
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    (node,) = (n for n in model.graph.node if n.input[0] == onnx_files.INPUT)
    scale, zero = (tensors[n] for n in node.input[1:])
    return float(scale * (0 - float(zero))), float(scale * (255 - float(zero)))


def test_a_choice_stands_for_its_ways() -> None:
    assert ways("best") == WAYS
    assert ways("minmax") == (MINMAX,)
    assert [way.name for way in ways("percentile")] == [
        "percentile 99.99",
        "percentile 99.9",
    ]
    assert [way.name for way in ways("entropy")] == ["entropy"]


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_way_sets_a_range_of_its_own(name: str) -> None:
    module = RUNTIMES[name]
    content = tiny_files()[f"{name}-float32"]
    rare = random_units(120)
    rare[0, 0, 0] = 40
    spreads = spread(module.tap(content), rare)
    found = {
        way.name: input_range(name, module.quantise(content, ranges(spreads, way)))
        for way in WAYS
    }
    assert found["minmax"][1] == pytest.approx(40, rel=0.02)
    for way in WAYS[1:]:
        low, high = found[way.name]
        assert 2 < high < 20
        assert low < -2
    assert found["percentile 99.9"][1] < found["percentile 99.99"][1]


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_tensor_that_a_file_needs_is_seen(name: str) -> None:
    content = tiny_files()[f"{name}-float32"]
    (unit,) = random_units(1)
    seen = dict(RUNTIMES[name].tap(content)(unit))
    assert all(values.dtype == np.float32 for values in seen.values())
    expected = embed_reference(tiny_network(), unit[None])
    assert any(
        values.size == expected.size
        and np.allclose(values.ravel(), expected.ravel(), atol=1e-5)
        for values in seen.values()
    )
    # The sum of the residual block is inside, and the unit that goes in.
    assert any(np.array_equal(values.ravel(), unit.ravel()) for values in seen.values())
    assert len(seen) >= 7


def loud_and_quiet() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    quiet, loud = random_units(30), 8 * random_units(2, seed=2)
    return loud, np.concatenate([loud, quiet])


@pytest.mark.parametrize("name", RUNTIMES)
def test_loud_sound_is_not_clipped_by_minimum_and_maximum(name: str) -> None:
    # LiteRT's own default forgets the loud units that come first.
    loud, units = loud_and_quiet()
    network = tiny_network()
    agreement = {}
    for made in candidates(
        network, SHAPE, units, (f"{name}-int8",), lambda _: None, ways=WAYS
    ):
        content = made.content
        embedder = open_embedder(
            EMBEDDER.model_copy(update={"models": EMBEDDER.models[:2]}),
            lambda _, content=content: content,  # type: ignore[misc]  # one at a time
            name,  # type: ignore[arg-type]  # parametrised
            unit_shape=SHAPE,
        )
        found = cosines(embed_all(embedder, loud), embed_reference(network, loud))
        agreement[made.method] = found.min()
    assert agreement["minmax"] > 0.99
    assert agreement["percentile 99.9"] < agreement["minmax"]
