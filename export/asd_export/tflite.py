"""Write a network as .tflite, in float32 and in int8."""

from collections.abc import Iterable

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import nn

from asd_export.calibrate import Ranges, Tap
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


def tap(content: bytes) -> Tap:
    """Run a float file so that its inner tensors can be seen."""
    wanted = _wanted(content)
    with quiet():
        interpreter = Interpreter(
            model_content=content, num_threads=1, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    entrance = interpreter.get_input_details()[0]["index"]
    inner = [
        (tensor["name"], tensor["index"])
        for tensor in interpreter.get_tensor_details()
        if tensor["name"] in wanted
    ]

    def run(unit: NDArray[np.float32]) -> Iterable[tuple[str, NDArray[np.float32]]]:
        interpreter.set_tensor(entrance, unit[None, None])
        interpreter.invoke()
        for name, index in inner:
            yield name, interpreter.get_tensor(index)

    return run


def _wanted(content: bytes) -> dict[str, dict[str, NDArray[np.float32]]]:
    """What the quantiser wants to know of which tensors, here for a unit of zeros."""
    with quiet():
        calibration = calibrator.Calibrator(
            content, num_threads=1, qsv_update_func=qsv_utils.min_max_update
        )
        shape = Interpreter(model_content=content).get_input_details()[0]["shape"]
        zeros = {SIGNATURE: [{INPUT: np.zeros(shape, np.float32)}]}
        calibration.calibrate(zeros, _rules())
    found: dict[str, dict[str, NDArray[np.float32]]] = calibration.get_model_qsvs()
    return found


def _rules() -> recipe_manager.RecipeManager:
    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(recipe.static_wi8_ai8())
    return rules


def quantise(content: bytes, ranges: Ranges) -> bytes:
    """Quantise a file of `export_float` statically to int8, input and output too.

    Weights per channel.

    Parameters
    ----------
    content
        Float file.
    ranges
        Of every tensor that `tap` shows.
    """
    wanted = _wanted(content)
    for name, values in wanted.items():
        low, high = ranges[name]
        values["min"] = np.full_like(values["min"], low)
        values["max"] = np.full_like(values["max"], high)
    with quiet():
        result = quantizer.Quantizer(
            content, _rules().get_quantization_recipe()
        ).quantize(wanted, enable_progress_report=False)
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
