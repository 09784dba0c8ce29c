"""Write a network as ONNX, in float32 and in int8."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from torch import nn

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


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]  # the library is untyped
    def __init__(self, units: NDArray[np.float32]) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter(
            {INPUT: unit[None, None]} for unit in units
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def quantise(content: bytes, units: NDArray[np.float32]) -> bytes:
    """Quantise a file of `export_float` statically to int8.

    QDQ format, uint8 activations, int8 weights per channel, ranges by minimum
    and maximum: with int8 activations x86 leaves additions in float32. Weights
    use 7 of their 8 bits: x86 without VNNI adds pairs of products in 16 bits,
    which 255 * 64 * 2 fits and 255 * 127 * 2 does not.

    Parameters
    ----------
    content
        Float file.
    units : array, shape ``(n, bands, unit_frames)``
        Normalised features that set the ranges.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            onnx.load_from_string(content),
            path,
            _Calibration(units),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            reduce_range=True,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        model = onnx.load(path)
    return _bytes(model)


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
