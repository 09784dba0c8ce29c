"""Take the model file of a bundle that the installed software runs best."""

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from asd_agent.errors import BundleError, RuntimeMissing
from asd_agent.inference.embedder import Embedder, EmbedderSpec, ModelFile
from asd_agent.inference.library import INSTALL, Library, Load, find
from asd_agent.inference.litert import LitertEmbedder
from asd_agent.inference.onnx import OnnxEmbedder, accelerators

log = logging.getLogger(__name__)

RuntimeChoice = Literal["auto", "onnx", "tflite", "onnx-gpu"]
"""`onnx-gpu`: ONNX files on an accelerator of ONNX Runtime where there is one"""
GPU: RuntimeChoice = "onnx-gpu"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file that can run here, and what would run it."""

    library: Library
    model: ModelFile
    accelerated: bool = False
    """Whether an accelerator runs it, if it is an ONNX file and there is one"""

    def open(self, content: bytes, unit_shape: tuple[int, int], size: int) -> Embedder:
        """Open the file.

        Parameters
        ----------
        content
            Of the file, already verified.
        unit_shape
            ``(bands, unit_frames)`` of the front end that feeds the network.
        size
            Values in one embedding.

        Raises
        ------
        BundleError
            The runtime refuses the file, or it does not fit.
        """
        parts = (self.library, self.model, content, unit_shape, size)
        embedder: Embedder
        if self.library.runtime == "onnx":
            embedder = OnnxEmbedder(*parts, accelerated=self.accelerated)
        else:
            embedder = LitertEmbedder(*parts)
        log.info("%s runs %s", embedder.library, self.model.file)
        return embedder


def candidates(
    spec: EmbedderSpec,
    prefer: RuntimeChoice = "auto",
    wanted: RuntimeChoice = "auto",
    *,
    load: Load = importlib.import_module,
) -> Iterator[Candidate]:
    """Model files that can run here, the best first.

    A library is imported when its turn comes: one that is not used would cost
    start-up time and memory.

    Parameters
    ----------
    spec
        Model files in order of preference.
    prefer
        What the device is told: only files of that runtime; ``auto``: all.
    wanted
        What the bundle asks for: files of that runtime come first.
    load
        Imports a module by name.

    Raises
    ------
    RuntimeMissing
        No library that could run one of the files is installed.
    BundleError
        The bundle has no file for `prefer`.
    """
    gpu = (wanted if prefer == "auto" else prefer) == GPU
    only, first = (("onnx" if one == GPU else one) for one in (prefer, wanted))
    models = [m for m in spec.models if only in ("auto", m.runtime)]
    if not models:
        held = ", ".join(model.file for model in spec.models)
        raise BundleError(
            f"the bundle has no {prefer} model, only {held}; "
            "set runtime to auto or build the bundle with that file",
            "no_runtime",
        )
    runtimes = list(dict.fromkeys(model.runtime for model in models))
    found = False
    for runtime in sorted(runtimes, key=lambda runtime: runtime != first):
        library = find(runtime, load)
        if library:
            found = True
            own = [m for m in models if m.runtime == runtime]
            yield from (Candidate(library, m, gpu) for m in _ordered(own, library, gpu))
    if not found:
        commands = dict.fromkeys(INSTALL[model.runtime] for model in models)
        raise RuntimeMissing(
            "no library is installed that can run the bundle's models; "
            f"install one: {', or '.join(commands)}"
        )


def open_embedder(
    spec: EmbedderSpec,
    read: Callable[[str], bytes],
    prefer: RuntimeChoice = "auto",
    *,
    unit_shape: tuple[int, int],
    load: Load = importlib.import_module,
) -> Embedder:
    """Open the first of `candidates`.

    Parameters
    ----------
    spec
        Model files in order of preference.
    read
        Gives the bytes of a file of the bundle, already verified.
    prefer
        ``auto`` takes the order of `spec`; else only files of that runtime.
    unit_shape
        ``(bands, unit_frames)`` of the front end that feeds the network.
    load
        Imports a module by name.

    Raises
    ------
    RuntimeMissing
        No library that could run one of the files is installed.
    BundleError
        The file is refused by its runtime or does not fit `unit_shape` or
        `spec.size`, or the bundle has no file for `prefer`.
    """
    first = next(candidates(spec, prefer, load=load))
    return first.open(read(first.model.file), unit_shape, spec.size)


def _ordered(models: list[ModelFile], library: Library, gpu: bool) -> list[ModelFile]:
    # tflite-runtime runs static int8 without XNNPACK, float32 with it: its int8
    # is the slower of the two. Accelerators have no kernels for these int8 files.
    if library.package == "tflite_runtime" or (gpu and accelerators(library.module)):
        return sorted(models, key=lambda model: model.precision != "float32")
    return models
