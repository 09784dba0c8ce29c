"""Run a network with LiteRT (TensorFlow Lite) on one CPU core."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import BundleError
from asd_agent.inference.embedder import ModelFile
from asd_agent.inference.library import Library
from asd_agent.inference.shape import check_model, check_unit


class LitertEmbedder:
    """One .tflite file; an int8 input is quantised and an int8 output restored.

    Parameters
    ----------
    library
        ai-edge-litert or tflite-runtime as `library.find` gives it.
    model
        The file that `content` was read from.
    content
        Whole file.
    unit_shape
        ``(bands, unit_frames)`` of the front end.
    size
        Values in one embedding.

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
    ) -> None:
        self.model = model
        self.library = library.label
        try:
            self._interpreter = library.module.Interpreter(
                model_content=content, num_threads=1
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"{model.file}: {self.library} refuses it: {error}"
            ) from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        check_model(
            model.file,
            [tuple(map(int, tensor["shape"])) for tensor in inputs],
            [tuple(map(int, tensor["shape"])) for tensor in outputs],
            unit_shape,
            size,
        )
        self._in = _Port(model.file, inputs[0])
        self._out = _Port(model.file, outputs[0])

    def embed(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed one unit ``(bands, unit_frames)``; see `Embedder.embed`."""
        check_unit(unit, self._in.shape[2:])
        self._interpreter.set_tensor(self._in.index, self._in.encode(unit))
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._out.index)
        embedding: NDArray[np.float32] = self._out.decode(output)[0]
        return embedding


class _Port:
    """One input or output tensor and its quantisation.

    Jacob et al. 2018, "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference", equation 1:
    real = scale * (integer - zero_point).
    """

    def __init__(self, file: str, detail: dict[str, Any]) -> None:
        self.index = int(detail["index"])
        self.shape: tuple[int, ...] = tuple(map(int, detail["shape"]))
        dtype = np.dtype(detail["dtype"])
        if dtype not in (np.dtype(np.float32), np.dtype(np.int8)):
            raise BundleError(
                f"{file}: {detail['name']} is {dtype}, expected float32 or int8"
            )
        scale, zero_point = detail["quantization"]
        self._integer = dtype == np.dtype(np.int8)
        if self._integer and not scale > 0:
            raise BundleError(f"{file}: {detail['name']} is int8 without a scale")
        self._scale = np.float32(scale)
        self._zero_point = np.float32(zero_point)
        self._real: NDArray[np.float32] = np.zeros(self.shape, np.float32)
        self._coded = np.zeros(self.shape, dtype)

    def encode(self, unit: NDArray[np.float32]) -> NDArray[Any]:
        """Fill the tensor's buffer from a unit; it is reused by the next call."""
        self._real[0, 0] = unit
        if not self._integer:
            return self._real
        self._real /= self._scale
        np.rint(self._real, out=self._real)
        self._real += self._zero_point
        np.clip(self._real, -128, 127, out=self._real)
        self._coded[...] = self._real
        return self._coded

    def decode(self, value: NDArray[Any]) -> NDArray[np.float32]:
        """Turn what the runtime gives into real numbers."""
        if not self._integer:
            return value
        return (value.astype(np.float32) - self._zero_point) * self._scale
