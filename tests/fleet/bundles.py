"""Bundles of a plant: good ones, and some that are bad each in its own way."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from support.bundles import MODEL, SMALL, forge, network, reforge

LOUD = 0.4
"""Root mean square of a machine that runs; golden sound has 0.1 at most"""
LIMIT_DB = -25.0
"""Louder than any value of golden sound, softer than the loudest of a machine"""


class Maker:
    """Forges bundles, each newer than the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = 0

    def good(self) -> Path:
        """A bundle with a network of its own."""
        return self._forged(network(SMALL.unit_shape, seed=self._version))

    def deaf(self) -> Path:
        """A bundle whose network is at its limit with any machine, but not in tests.

        So does an int8 file that was calibrated with sound too soft.
        """
        return self._forged(_limited(network(SMALL.unit_shape)))

    def wrong(self) -> Path:
        """A bundle whose network is not the one that its golden numbers are of."""
        folder = self.good()
        reforge(folder, MODEL.file, network(SMALL.unit_shape, seed=1000))
        return folder

    def _forged(self, model: bytes) -> Path:
        self._version += 1
        name = f"motor-{self._version}"
        folder = self._folder / name
        return forge(folder, id=name, version=self._version, embeds=True, model=model)


def _limited(content: bytes) -> bytes:
    """A network that hears nothing but the loudest value, and that to a limit."""
    model = onnx.load_from_string(content)
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(LIMIT_DB, np.float32), "limit"),
            numpy_helper.from_array(np.array((1, 1, *SMALL.unit_shape)), "shape"),
        ]
    )
    for i, node in enumerate(
        [
            helper.make_node("ReduceMax", ["unit"], ["loudest"]),
            helper.make_node("Min", ["loudest", "limit"], ["limited"]),
            helper.make_node("Expand", ["limited", "shape"], ["heard"]),
        ]
    ):
        model.graph.node.insert(i, node)
    model.graph.node[3].input[0] = "heard"
    onnx.checker.check_model(model)
    limited: bytes = model.SerializeToString()
    return limited
