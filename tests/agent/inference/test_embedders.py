"""Both runtimes give the network's embeddings and refuse what does not fit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from asd_agent.errors import BundleError
from asd_agent.inference.embedder import Embedder, EmbedderSpec
from asd_agent.inference.onnx import OnnxEmbedder
from asd_agent.inference.open import open_embedder
from asd_export.files import FILES
from support.tiny_models import (
    EMBEDDER,
    SHAPE,
    SIZE,
    random_units,
    tiny_files,
    tiny_network,
)


def opened(
    name: str,
    content: bytes | None = None,
    shape: tuple[int, int] = SHAPE,
    size: int = SIZE,
) -> Embedder:
    raw = tiny_files()[name] if content is None else content
    spec = EmbedderSpec(size=size, models=(FILES[name],))
    return open_embedder(spec, lambda _: raw, unit_shape=shape)


@pytest.mark.parametrize("name", FILES)
def test_embeds_as_the_trained_network(name: str) -> None:
    units = random_units(12)
    with torch.no_grad():
        expected = tiny_network()(torch.from_numpy(units[:, None])).numpy()
    embedder = opened(name)
    found = np.stack([embedder.embed(unit) for unit in units])
    assert found.shape == (12, SIZE)
    assert found.dtype == np.float32
    if FILES[name].precision == "float32":
        np.testing.assert_allclose(found, expected, atol=1e-5)
    else:
        # 8 bits leave at most a few hundredths of the range as error.
        assert np.abs(found - expected).max() < 0.06 * np.ptp(expected)
        assert np.abs(found - expected).max() > 0


@pytest.mark.parametrize("name", FILES)
def test_result_is_not_changed_by_the_next_unit(name: str) -> None:
    embedder = opened(name)
    first, second = random_units(2)
    found = embedder.embed(first)
    kept = found.copy()
    embedder.embed(second)
    np.testing.assert_array_equal(found, kept)
    np.testing.assert_array_equal(embedder.embed(first), kept)


@pytest.mark.parametrize("name", FILES)
def test_takes_a_unit_that_is_not_contiguous(name: str) -> None:
    embedder = opened(name)
    unit = random_units(1)[0]
    strided = np.asfortranarray(unit)
    np.testing.assert_array_equal(embedder.embed(strided), embedder.embed(unit))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("shape", [(1, SHAPE[1]), (SHAPE[1], SHAPE[0]), SHAPE[:1]])
def test_refuses_a_unit_that_would_be_broadcast(
    name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="unit has shape"):
        opened(name).embed(np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", FILES)
def test_another_front_end_is_refused_at_open(name: str) -> None:
    with pytest.raises(BundleError, match=rf"{FILES[name].file}: input has shape"):
        opened(name, shape=(SHAPE[0] * 2, SHAPE[1]))


@pytest.mark.parametrize("name", FILES)
def test_another_embedding_size_is_refused_at_open(name: str) -> None:
    with pytest.raises(BundleError, match=rf"{FILES[name].file}: output has shape"):
        opened(name, size=SIZE + 1)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "half": lambda raw: raw[: len(raw) // 2],
    "noise": lambda raw: np.random.default_rng(0).bytes(len(raw)),
    "text": lambda raw: b"not found\n" * 100,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_refused_by_name(name: str, damage: str) -> None:
    raw = DAMAGE[damage](tiny_files()[name])
    with pytest.raises(BundleError, match=FILES[name].file):
        opened(name, raw)


def test_onnx_runs_on_one_thread_that_never_spins() -> None:
    embedder = opened("onnx-int8")
    assert isinstance(embedder, OnnxEmbedder)
    options = embedder._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert embedder._session.get_providers() == ["CPUExecutionProvider"]


def graph(element: int, inputs: int = 1) -> bytes:
    """An ONNX file that flattens its first input of SHAPE to one number each."""
    size = SHAPE[0] * SHAPE[1]
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Flatten", ["in0"], ["out"])],
            "flatten",
            [
                helper.make_tensor_value_info(f"in{i}", element, [1, 1, *SHAPE])
                for i in range(inputs)
            ],
            [helper.make_tensor_value_info("out", element, [1, size])],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return bytes(model.SerializeToString())


def test_onnx_with_quantised_input_is_refused() -> None:
    with pytest.raises(BundleError, match=r"in0 is tensor\(int8\)"):
        opened("onnx-int8", graph(TensorProto.INT8), size=SHAPE[0] * SHAPE[1])


def test_onnx_with_two_inputs_is_refused() -> None:
    with pytest.raises(BundleError, match="has 2 inputs, expected one"):
        opened("onnx-int8", graph(TensorProto.FLOAT, 2), size=SHAPE[0] * SHAPE[1])


def test_library_and_model_are_told() -> None:
    embedder = opened("tflite-int8")
    assert embedder.model == FILES["tflite-int8"]
    assert embedder.library.startswith("ai_edge_litert ")
    assert embedder.library.split()[1][0].isdigit()


def test_spec_lists_files_in_order_of_preference() -> None:
    assert [model.file for model in EMBEDDER.models] == [
        "model.int8.onnx",
        "model.int8.tflite",
        "model.float32.onnx",
        "model.float32.tflite",
    ]
