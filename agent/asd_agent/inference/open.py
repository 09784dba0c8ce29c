"""Take the model file of a bundle that the installed software runs best."""

import importlib
import logging
from collections.abc import Callable
from typing import Literal

from asd_agent.errors import BundleError, RuntimeMissing
from asd_agent.inference.embedder import Embedder, EmbedderSpec, ModelFile
from asd_agent.inference.library import INSTALL, Library, Load, find
from asd_agent.inference.litert import LitertEmbedder
from asd_agent.inference.onnx import OnnxEmbedder

log = logging.getLogger(__name__)

RuntimeChoice = Literal["auto", "onnx", "tflite"]


def open_embedder(
    spec: EmbedderSpec,
    read: Callable[[str], bytes],
    prefer: RuntimeChoice = "auto",
    *,
    unit_shape: tuple[int, int],
    load: Load = importlib.import_module,
) -> Embedder:
    """Open the first model of `spec` whose runtime is installed.

    Only the library that is used is imported: the others would cost start-up
    time and memory.

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
        A file is refused by its runtime or does not fit `unit_shape` or
        `spec.size`, or the bundle has no file for `prefer`.
    """
    models = [m for m in spec.models if prefer in ("auto", m.runtime)]
    if not models:
        held = ", ".join(model.file for model in spec.models)
        raise BundleError(
            f"the bundle has no {prefer} model, only {held}; "
            "set runtime to auto or build the bundle with that file"
        )
    for runtime in dict.fromkeys(model.runtime for model in models):
        library = find(runtime, load)
        if library:
            model = _choose([m for m in models if m.runtime == runtime], library)
            return _open(library, model, read(model.file), unit_shape, spec.size)
    commands = dict.fromkeys(INSTALL[model.runtime] for model in models)
    raise RuntimeMissing(
        "no library is installed that can run the bundle's models; "
        f"install one: {', or '.join(commands)}"
    )


def _choose(models: list[ModelFile], library: Library) -> ModelFile:
    # tflite-runtime runs static int8 without XNNPACK, float32 with it: its int8
    # is the slower of the two.
    if library.package == "tflite_runtime":
        models = sorted(models, key=lambda model: model.precision != "float32")
    return models[0]


def _open(
    library: Library,
    model: ModelFile,
    content: bytes,
    unit_shape: tuple[int, int],
    size: int,
) -> Embedder:
    kind = OnnxEmbedder if library.runtime == "onnx" else LitertEmbedder
    embedder: Embedder = kind(library, model, content, unit_shape, size)
    log.info("%s runs %s", library.label, model.file)
    return embedder
