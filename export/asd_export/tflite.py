"""Write a network as .tflite, in float32 and in int8."""

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import nn

from asd_export.quiet import quiet
from asd_export.structure import Structure

with quiet():  # torchao reports missing GPU kernels when it is imported
    import litert_torch
    from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

SIGNATURE, INPUT = "serving_default", "args_0"
"""Names that litert-torch gives to the only function and its input"""
CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
BORDERS = frozenset({"DELEGATE", "QUANTIZE", "DEQUANTIZE"})
"""Entries that compute nothing of the network themselves"""


def export_float(network: nn.Module, unit_shape: tuple[int, int]) -> bytes:
    """Write `network` in float32; input ``(1, 1, bands, unit_frames)``.

    Parameters
    ----------
    network
        In eval mode, ``(1, 1, bands, unit_frames)`` to ``(1, size)``.
    unit_shape
        ``(bands, unit_frames)``.
    """
    with quiet():
        model = litert_torch.convert(network, (torch.zeros(1, 1, *unit_shape),))
        return bytes(model.model_content())


def quantise(content: bytes, units: NDArray[np.float32]) -> bytes:
    """Quantise a file of `export_float` statically to int8, input and output too.

    Weights per channel, ranges by minimum and maximum over all units. The
    quantiser's own default is a moving average of the ranges: it depends on the
    order of the units and clips the loudest, which are what must be told apart.

    Parameters
    ----------
    content
        Float file.
    units : array, shape ``(n, bands, unit_frames)``
        Normalised features that set the ranges.
    """
    with quiet():
        rules = recipe_manager.RecipeManager()
        rules.load_quantization_recipe(recipe.static_wi8_ai8())
        ranges = calibrator.Calibrator(
            content, num_threads=1, qsv_update_func=qsv_utils.min_max_update
        )
        feeds = [{INPUT: unit[None, None]} for unit in units]
        ranges.calibrate({SIGNATURE: feeds}, rules)
        result = quantizer.Quantizer(content, rules.get_quantization_recipe()).quantize(
            ranges.get_model_qsvs(), enable_progress_report=False
        )
    return bytes(result.quantized_model)


def structure(content: bytes) -> Structure:
    """Count what LiteRT really computes in float on this machine."""
    with quiet():
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    # No public call tells which operators the runtime has taken together.
    operators = interpreter._get_ops_details()
    is_float = {
        tensor["index"]: tensor["dtype"] == np.float32
        for tensor in interpreter.get_tensor_details()
    }
    floats = [
        operator["op_name"]
        for operator in operators
        if operator["op_name"] not in BORDERS
        and any(is_float.get(index, False) for index in operator["outputs"])
    ]
    names = [operator["op_name"] for operator in operators]
    return Structure(
        convs=sum(name in CONVOLUTIONS for name in names),
        float_convs=sum(name in CONVOLUTIONS for name in floats),
        # XNNPACK takes neighbours as one partition: two partitions, one island.
        islands=max(0, names.count("DELEGATE") - 1),
    )
