"""Which file is taken, depending on what is installed."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asd_agent.errors import BundleError, RuntimeMissing
from asd_agent.inference.embedder import EmbedderSpec
from asd_agent.inference.library import find
from asd_agent.inference.open import RuntimeChoice, candidates, open_embedder
from asd_export.files import FILES
from support.tiny_models import EMBEDDER, SHAPE, SIZE, random_units, tiny_files

AGENT = Path(__file__).parents[3] / "agent"


class Installed:
    """Imports only some packages; tflite_runtime is LiteRT under its old name."""

    def __init__(self, *packages: str) -> None:
        self.packages = packages
        self.asked: list[str] = []

    def __call__(self, name: str) -> ModuleType:
        self.asked.append(name)
        package = name.split(".", maxsplit=1)[0]
        if package not in self.packages:
            raise ModuleNotFoundError(f"No module named '{package}'")
        real = name.replace("tflite_runtime", "ai_edge_litert")
        __import__(real)
        return sys.modules[real]


def take(
    installed: Installed,
    prefer: RuntimeChoice = "auto",
    spec: EmbedderSpec = EMBEDDER,
) -> str:
    files = {FILES[name].file: raw for name, raw in tiny_files().items()}
    embedder = open_embedder(
        spec, files.__getitem__, prefer, unit_shape=SHAPE, load=installed
    )
    embedding = embedder.embed(random_units(1)[0])
    assert np.isfinite(embedding).all()
    assert embedder.library.split()[0] in installed.packages
    return embedder.model.file


@pytest.mark.parametrize(
    ("packages", "prefer", "file"),
    [
        (("onnxruntime",), "auto", "model.int8.onnx"),
        (("onnxruntime", "ai_edge_litert"), "auto", "model.int8.onnx"),
        (("onnxruntime", "ai_edge_litert"), "tflite", "model.int8.tflite"),
        (("onnxruntime", "ai_edge_litert"), "onnx", "model.int8.onnx"),
        (("ai_edge_litert",), "auto", "model.int8.tflite"),
        (("ai_edge_litert", "tflite_runtime"), "auto", "model.int8.tflite"),
        (("tflite_runtime",), "auto", "model.float32.tflite"),
        (("tflite_runtime",), "tflite", "model.float32.tflite"),
    ],
)
def test_first_file_that_can_run(
    packages: tuple[str, ...], prefer: RuntimeChoice, file: str
) -> None:
    assert take(Installed(*packages), prefer) == file


def test_tflite_runtime_takes_int8_where_there_is_nothing_else() -> None:
    spec = EmbedderSpec(size=SIZE, models=(FILES["tflite-int8"],))
    assert take(Installed("tflite_runtime"), spec=spec) == "model.int8.tflite"


def test_order_of_the_bundle_decides() -> None:
    spec = EmbedderSpec(size=SIZE, models=tuple(reversed(EMBEDDER.models)))
    both = Installed("onnxruntime", "ai_edge_litert")
    assert take(both, spec=spec) == "model.float32.tflite"


@pytest.mark.parametrize(
    ("packages", "prefer", "wanted", "first"),
    [
        (("onnxruntime", "ai_edge_litert"), "auto", "tflite", "model.int8.tflite"),
        (("onnxruntime", "ai_edge_litert"), "auto", "onnx", "model.int8.onnx"),
        (("onnxruntime", "ai_edge_litert"), "onnx", "tflite", "model.int8.onnx"),
        (("onnxruntime",), "auto", "tflite", "model.int8.onnx"),
        (("onnxruntime", "tflite_runtime"), "auto", "tflite", "model.float32.tflite"),
    ],
)
def test_the_device_decides_then_the_bundle(
    packages: tuple[str, ...], prefer: RuntimeChoice, wanted: RuntimeChoice, first: str
) -> None:
    found = candidates(EMBEDDER, prefer, wanted, load=Installed(*packages))
    assert next(found).model.file == first


class Accelerated(Installed):
    """ONNX Runtime as if it was built for some accelerators; notes what is asked."""

    def __init__(self, *there: str) -> None:
        super().__init__("onnxruntime", "ai_edge_litert")
        self.there = [*there, "CPUExecutionProvider"]
        self.providers: list[str] = []

    def __call__(self, name: str) -> Any:
        real: Any = super().__call__(name)
        if name != "onnxruntime":
            return real

        def session(content: bytes, options: object, providers: list[str]) -> Any:
            self.providers = providers
            opened = real.InferenceSession(content, options, providers=providers[-1:])
            names = ("get_inputs", "get_outputs", "run")
            calls = {name: getattr(opened, name) for name in names}
            return SimpleNamespace(get_providers=lambda: providers, **calls)

        return SimpleNamespace(
            __version__=real.__version__,
            SessionOptions=real.SessionOptions,
            InferenceSession=session,
            get_available_providers=lambda: self.there,
        )


TENSORRT, CUDA, CPU = (
    f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU")
)


@pytest.mark.parametrize(
    ("prefer", "wanted", "file", "asked"),
    [
        ("onnx-gpu", "auto", "model.float32.onnx", [TENSORRT, CUDA, CPU]),
        ("onnx-gpu", "tflite", "model.float32.onnx", [TENSORRT, CUDA, CPU]),
        ("auto", "onnx-gpu", "model.float32.onnx", [TENSORRT, CUDA, CPU]),
        # The device decides, and an accelerator is never taken unasked.
        ("onnx", "onnx-gpu", "model.int8.onnx", [CPU]),
        ("auto", "auto", "model.int8.onnx", [CPU]),
    ],
)
def test_an_accelerator_runs_what_is_not_quantised(
    prefer: RuntimeChoice, wanted: RuntimeChoice, file: str, asked: list[str]
) -> None:
    installed = Accelerated(CUDA, TENSORRT)
    first = next(candidates(EMBEDDER, prefer, wanted, load=installed))
    assert first.model.file == file
    content = tiny_files()[f"onnx-{first.model.precision}"]
    embedder = first.open(content, SHAPE, SIZE)
    assert installed.providers == asked
    assert embedder.library.endswith(f" ({TENSORRT})") == (asked != [CPU])
    assert np.isfinite(embedder.embed(random_units(1)[0])).all()


def test_without_an_accelerator_the_cpu_runs_what_it_runs_best(
    caplog: pytest.LogCaptureFixture,
) -> None:
    installed = Accelerated()
    first = next(candidates(EMBEDDER, "onnx-gpu", load=installed))
    assert first.model.file == "model.int8.onnx"
    first.open(tiny_files()["onnx-int8"], SHAPE, SIZE)
    assert installed.providers == [CPU]
    assert "has no accelerator: the CPU runs it" in caplog.text


def test_no_onnx_file_no_accelerator() -> None:
    spec = EmbedderSpec(size=SIZE, models=(FILES["tflite-int8"],))
    with pytest.raises(BundleError, match="no onnx-gpu model"):
        next(candidates(spec, "onnx-gpu", load=Accelerated(CUDA)))


def test_the_others_follow() -> None:
    both = Installed("onnxruntime", "ai_edge_litert")
    found = [c.model.file for c in candidates(EMBEDDER, wanted="tflite", load=both)]
    assert found == [
        "model.int8.tflite",
        "model.float32.tflite",
        "model.int8.onnx",
        "model.float32.onnx",
    ]


def test_a_library_that_is_not_used_is_not_imported() -> None:
    both = Installed("onnxruntime", "ai_edge_litert")
    take(both, "tflite")
    assert not [name for name in both.asked if "onnx" in name]
    both.asked.clear()
    take(both, "auto")
    assert not [name for name in both.asked if "lite" in name]


@pytest.mark.parametrize(
    ("prefer", "hint"),
    [
        ("auto", "pip install onnxruntime, or pip install ai-edge-litert"),
        ("onnx", "install one: pip install onnxruntime$"),
        ("tflite", "install one: pip install ai-edge-litert$"),
    ],
)
def test_nothing_installed_says_what_to_type(prefer: RuntimeChoice, hint: str) -> None:
    with pytest.raises(RuntimeMissing, match=hint):
        take(Installed(), prefer)


def test_a_bundle_without_the_asked_runtime_says_what_it_has() -> None:
    spec = EmbedderSpec(size=SIZE, models=(FILES["onnx-int8"],))
    wrong = r"no tflite model, only model\.int8\.onnx"
    with pytest.raises(BundleError, match=wrong) as caught:
        take(Installed("onnxruntime", "ai_edge_litert"), "tflite", spec)
    assert caught.value.reason == "no_runtime"


def test_a_library_that_breaks_on_import_counts_as_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load(name: str) -> Any:
        if name.startswith("onnxruntime"):
            raise ImportError("libgomp.so.1: cannot open shared object file")
        return SimpleNamespace(__version__="1.0")

    caplog.set_level("DEBUG")
    assert find("onnx", load) is None
    assert "libgomp.so.1" in caplog.text
    found = find("tflite", load)
    assert found is not None
    assert found.label == "ai_edge_litert 1.0"


def test_importing_the_package_imports_no_runtime() -> None:
    code = (
        "import sys, asd_agent.inference.open, asd_agent.inference.library\n"
        "bad = {'onnxruntime', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(AGENT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
