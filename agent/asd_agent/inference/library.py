"""Find an installed runtime library without importing any other."""

import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from asd_agent.inference.embedder import RuntimeName

log = logging.getLogger(__name__)

Load = Callable[[str], ModuleType]
"""`importlib.import_module`, or a stand-in for it"""


@dataclass(frozen=True, slots=True)
class Library:
    """A library that runs model files."""

    runtime: RuntimeName
    module: ModuleType
    """The module that offers the runtime's entry point"""
    package: str
    """Name as it is imported, such as ``onnxruntime``"""
    version: str
    """Version as the package gives it"""

    @property
    def label(self) -> str:
        """Name and version, such as ``onnxruntime 1.31.1``."""
        return f"{self.package} {self.version}"


CANDIDATES: dict[RuntimeName, tuple[tuple[str, str], ...]] = {
    "onnx": (("onnxruntime", "onnxruntime"),),
    "tflite": (
        ("ai_edge_litert", "ai_edge_litert.interpreter"),
        ("tflite_runtime", "tflite_runtime.interpreter"),
    ),
}
"""Package and module of each library that can run a kind of file, best first"""

INSTALL: dict[RuntimeName, str] = {
    "onnx": "pip install onnxruntime",
    "tflite": "pip install ai-edge-litert",
}
"""What to type where a runtime is missing"""


def find(runtime: RuntimeName, load: Load = importlib.import_module) -> Library | None:
    """Import the first installed library for `runtime`.

    Returns
    -------
    Library or None
        None where no candidate can be imported; the reasons are logged.
    """
    # From 1.29 on ONNX Runtime tells its maker about the models that it runs.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    for package, module in CANDIDATES[runtime]:
        try:
            loaded = load(module)
            version = str(getattr(load(package), "__version__", "unknown"))
        except ImportError as error:
            log.debug("%s cannot be imported: %s", module, error)
            continue
        return Library(runtime, loaded, package, version)
    return None
