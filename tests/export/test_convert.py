"""The real networks become whole int8 files that agree with what was trained."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from asd_agent.inference.embedder import EmbedderSpec
from asd_agent.inference.open import open_embedder
from asd_export.convert import convert, structure
from asd_export.files import FILES
from asd_export.parity import cosines, embed_all, embed_reference
from asd_train.models import NetworkSpec, build_network
from support.tiny_models import (
    SHAPE,
    random_units,
    settle,
    tiny_files,
    tiny_network,
)

# The graph is that of 1024 x 32, a sixteenth of the work.
REAL_SHAPE = (64, 32)
ONNX = ("onnx-int8", "onnx-float32")
ALL = tuple(FILES)


def real_network(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    spec = NetworkSpec.model_validate({"name": name, **changes})
    return settle(build_network(spec, REAL_SHAPE), REAL_SHAPE)


# Converting a real network to .tflite takes 10 s and more whatever the shape, so what
# only the training of another recipe could ask for is converted to ONNX alone.
@pytest.mark.parametrize(
    ("network", "changes", "names", "islands"),
    [
        ("mobilefacenet", {}, ALL, (0, 0)),
        ("mobilefacenet", {"activation": "prelu"}, ALL, (0, 0)),
        # LiteRT has no fast int8 kernel for its average pooling.
        ("mobilenetv2", {}, ALL, (0, 1)),
        ("mobilenetv2", {"activation": "prelu"}, ONNX, (0, None)),
        ("two_branch", {"centred": True}, ALL, (0, 0)),
        ("two_branch", {}, ONNX, (0, None)),
        ("two_branch", {"activation": "prelu", "centred": True}, ONNX, (0, None)),
    ],
    ids=str,
)
def test_real_networks(
    network: str,
    changes: dict[str, object],
    names: tuple[str, ...],
    islands: tuple[int, int],
) -> None:
    module = real_network(network, **changes)
    units = np.random.default_rng(0).standard_normal((10, *REAL_SHAPE), np.float32)
    said: list[str] = []
    files = convert(module, REAL_SHAPE, units[:6], names, said.append)
    assert tuple(files) == names
    assert any("onnx" in line for line in said)
    reference = embed_reference(module, units)
    for name, content in files.items():
        spec = EmbedderSpec(size=128, models=(FILES[name],))
        read = {FILES[name].file: content}.__getitem__
        embedder = open_embedder(spec, read, unit_shape=REAL_SHAPE)
        agreement = cosines(embed_all(embedder, units), reference)
        found = structure(name, content)
        if FILES[name].precision == "float32":
            assert found is None
            assert agreement.min() > 1 - 1e-5
            # All weights are inside; the batch norms were folded into them.
            weights = [p for p in module.parameters() if p.dim() == 4]
            assert len(content) > 4 * sum(p.numel() for p in weights)
        else:
            assert found is not None
            assert found.float_convs == 0
            assert found.islands == islands[FILES[name].runtime == "tflite"]
            assert found.fast_int8
            assert found.convs >= 33
            assert agreement.min() > 0.97
            assert len(content) < 3_200_000


def test_only_what_is_asked_is_made_and_in_order_of_preference() -> None:
    asked = ("onnx-float32", "onnx-int8")
    units = random_units(20, seed=1)
    made = convert(tiny_network(), SHAPE, units, asked, lambda _: None)
    assert tuple(made) == ("onnx-int8", "onnx-float32")
    assert made["onnx-float32"] == tiny_files()["onnx-float32"]


def test_onnx_files_stay_within_what_old_runtimes_read() -> None:
    for name in ("onnx-int8", "onnx-float32"):
        model = onnx.load_from_string(tiny_files()[name])
        assert model.ir_version == 9
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
        assert not any(t.external_data for t in model.graph.initializer)
        onnx.checker.check_model(model)


def test_int8_onnx_has_8_bit_weights_and_activations() -> None:
    model = onnx.load_from_string(tiny_files()["onnx-int8"])
    kinds = {t.data_type for t in model.graph.initializer if len(t.dims) == 4}
    assert kinds == {onnx.TensorProto.INT8}
    assert any(n.op_type == "QuantizeLinear" for n in model.graph.node)


def test_products_of_int8_onnx_fit_the_16_bit_sums_of_old_processors() -> None:
    # x86 without VNNI adds two products of an activation and a weight in 16 bits.
    model = onnx.load_from_string(tiny_files()["onnx-int8"])
    weights = [
        numpy_helper.to_array(t) for t in model.graph.initializer if len(t.dims) == 4
    ]
    most = max(int(np.abs(w.astype(int)).max()) for w in weights)
    assert 32 < most <= 64
    assert 2 * 255 * most < 2**15


def test_float_file_counts_as_float() -> None:
    found = structure("onnx-int8", tiny_files()["onnx-float32"])
    assert found is not None
    assert found.float_convs == found.convs == 5
    found = structure("tflite-int8", tiny_files()["tflite-float32"])
    assert found is not None
    assert found.float_convs == found.convs == 5


def test_converting_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    convert(tiny_network(), SHAPE, random_units(4), ("onnx-int8",), lambda _: None)
    assert list(tmp_path.iterdir()) == []
    assert onnxruntime.InferenceSession(tiny_files()["onnx-int8"]).get_inputs()


@pytest.mark.parametrize("name", FILES)
def test_files_say_nothing_of_the_machine_that_made_them(name: str) -> None:
    content = tiny_files()[name]
    for trace in (b".py", str(Path.home()).encode(), str(Path.cwd()).encode()):
        assert trace not in content
