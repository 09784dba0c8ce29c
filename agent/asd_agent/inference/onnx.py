"""Run a network with ONNX Runtime on one CPU core, or on an accelerator."""

import logging
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import BundleError
from asd_agent.inference.embedder import ModelFile
from asd_agent.inference.library import Library
from asd_agent.inference.shape import check_model, check_unit

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
ACCELERATORS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
"""Those of Nvidia, the faster first"""


def accelerators(runtime: ModuleType) -> list[str]:
    """Accelerators that an ONNX Runtime was built for, the faster first."""
    if not hasattr(runtime, "get_available_providers"):
        return []
    there = runtime.get_available_providers()
    return [name for name in ACCELERATORS if name in there]


class OnnxEmbedder:
    """One ONNX file, float32 in and out; int8 files quantise inside the graph.

    Parameters
    ----------
    library
        ONNX Runtime as `library.find` gives it.
    model
        The file that `content` was read from.
    content
        Whole file; nothing else is opened, so weights must lie inside it.
    unit_shape
        ``(bands, unit_frames)`` of the front end.
    size
        Values in one embedding.
    accelerated
        Use an accelerator, if there is one.

    Raises
    ------
    BundleError
        The runtime refuses the file, or its input or output differ.
    """

    def __init__(
        self,
        library: Library,
        model: ModelFile,
        content: bytes,
        unit_shape: tuple[int, int],
        size: int,
        *,
        accelerated: bool = False,
    ) -> None:
        self.model = model
        self.library = library.label
        found = accelerators(library.module) if accelerated else []
        if accelerated and not found:
            log.warning("%s has no accelerator: the CPU runs it", self.library)
        runtime = library.module
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # A waiting thread would take a whole core of a small device.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors: an embedder's log is ours
        try:
            self._session = runtime.InferenceSession(
                content, options, providers=[*found, CPU]
            )
        except Exception as error:  # its errors share no other base class
            raise BundleError(
                f"{model.file}: {self.library} refuses it: {error}"
            ) from error
        taken = self._session.get_providers()[0]
        if taken != CPU:
            self.library += f" ({taken})"
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        for tensor in (*inputs, *outputs):
            # ONNX has no field for the scale of a quantised input or output.
            if tensor.type != "tensor(float)":
                raise BundleError(
                    f"{model.file}: {tensor.name} is {tensor.type}, expected "
                    "tensor(float); quantise inside the graph (QDQ) instead"
                )
        check_model(
            model.file,
            [tuple(tensor.shape) for tensor in inputs],
            [tuple(tensor.shape) for tensor in outputs],
            unit_shape,
            size,
        )
        self._input: NDArray[np.float32] = np.zeros((1, 1, *unit_shape), np.float32)
        self._feed = {inputs[0].name: self._input}
        self._names = [outputs[0].name]

    def embed(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed one unit ``(bands, unit_frames)``; see `Embedder.embed`."""
        check_unit(unit, self._input.shape[2:])
        self._input[0, 0] = unit
        outputs = self._session.run(self._names, self._feed)
        embedding: NDArray[np.float32] = outputs[0][0]
        return embedding
