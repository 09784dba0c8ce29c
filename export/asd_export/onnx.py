"""Write a network as ONNX, in float32 and in int8."""

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization import calibrate
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from torch import nn

from asd_export.calibrate import Ranges, Tap
from asd_export.quiet import quiet
from asd_export.structure import Structure

OPSET = 18
"""Newest operator set whose QDQ files onnxruntime 1.17 loads"""
IR_VERSION = 9
"""Format version; exporters write 10, which onnxruntime 1.17 refuses"""
INPUT, OUTPUT = "unit", "embedding"


def export_float(network: nn.Module, unit_shape: tuple[int, int]) -> bytes:
    """Write `network` in float32.

    Parameters
    ----------
    network
        In eval mode, ``(1, 1, bands, unit_frames)`` to ``(1, size)``.
    unit_shape
        ``(bands, unit_frames)``.

    Returns
    -------
    bytes
        One file with its weights inside, batch fixed to 1.
    """
    with quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(1, 1, *unit_shape),),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export(dynamo=True) returns its program")
    return _bytes(program.model_proto)


def tap(content: bytes) -> Tap:
    """Run a float file so that its inner tensors can be seen."""
    model = onnx.load_from_string(content)
    given = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    for name in names:
        if name not in given:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Fusing would take tensors away, and moving them into blocks pads them.
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    floats = [
        value.name for value in session.get_outputs() if value.type == "tensor(float)"
    ]

    def run(unit: NDArray[np.float32]) -> Iterable[tuple[str, NDArray[np.float32]]]:
        found = session.run(floats, {INPUT: unit[None, None]})
        return [(INPUT, unit), *zip(floats, found, strict=True)]

    return run


def quantise(content: bytes, ranges: Ranges) -> bytes:
    """Quantise a file of `export_float` statically to int8.

    QDQ format, uint8 activations, int8 weights per channel: with int8 activations
    x86 leaves additions in float32. Weights use 7 of their 8 bits: x86 without VNNI
    adds pairs of products in 16 bits, which 255 * 64 * 2 fits and 255 * 127 * 2
    does not.

    Parameters
    ----------
    content
        Float file.
    ranges
        Of every tensor that `tap` shows.
    """
    limits = calibrate.TensorsData(
        quantization.CalibrationMethod.MinMax,
        {name: tuple(map(np.float32, range_)) for name, range_ in ranges.items()},
    )
    with quiet():
        quantiser = quantization.QDQQuantizer(
            onnx.load_from_string(content),
            per_channel=True,
            reduce_range=True,
            weight_qType=quantization.QuantType.QInt8,
            activation_qType=quantization.QuantType.QUInt8,
            tensors_range=limits,
            nodes_to_quantize=[],
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
            extra_options={},
        )
        quantiser.quantize_model()
        quantiser.model.topological_sort()
    return _bytes(quantiser.model.model)


def _bytes(model: onnx.ModelProto) -> bytes:
    """Serialise without what the exporter notes of the machine that it ran on.

    Beside each node and value it leaves the names of source files.
    """
    model.ir_version = IR_VERSION
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (model, graph, *graph.node, *values):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString())


def structure(content: bytes) -> Structure:
    """Count what ONNX Runtime really computes in float on this machine."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        graph = onnx.load(path).graph
    found = Counter(node.op_type for node in graph.node)
    float_convs = found["Conv"] + found["FusedConv"] + found["Gemm"] + found["MatMul"]
    # One change back to float is the output; each further one is an island.
    islands = max(0, found["DequantizeLinear"] - 1)
    convs = float_convs + found["QLinearConv"]
    return Structure(convs=convs, float_convs=float_convs, islands=islands)
