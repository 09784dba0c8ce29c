"""Environments with the oldest and the newest libraries that can run a bundle."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from asd_agent.bundle.proof import Proof

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-runtimes"
"""Where they are kept"""
OLD = ("numpy==1.26.0", "pydantic==2.8.0", "safetensors==0.4.3")
"""Oldest that the agent takes of what a self-test needs"""
OLD_313 = ("numpy==2.1.0", "pydantic==2.8.0", "safetensors==0.5.0")
"""Oldest of them that there is for Python 3.13"""
NEW = ("numpy", "pydantic", "safetensors")

Version = tuple[int, int]
PYTHON: Version = sys.version_info[:2]


@dataclass(frozen=True, slots=True)
class Environment:
    """A library, in one version, with what it runs beside."""

    packages: tuple[str, ...]
    """As pip takes them; the library comes first"""
    runtime: Literal["onnx", "tflite"]
    pythons: tuple[Version, ...]
    """Python versions that it is made for"""
    kernels: str = ""
    """Other arithmetic than it would take by itself, see `KERNELS`"""

    @property
    def name(self) -> str:
        """Library and version, such as ``onnxruntime 1.17.3``."""
        library = self.packages[0].replace("==", " ")
        return f"{library} ({self.kernels})" if self.kernels else library


P310, P311, P312, P313 = (3, 10), (3, 11), (3, 12), (3, 13)
ENVIRONMENTS = (
    Environment(("onnxruntime==1.17.3", *OLD), "onnx", (P310, P311, P312)),
    Environment(("onnxruntime==1.20.0", *OLD_313), "onnx", (P313,)),
    Environment(("onnxruntime==1.23.2", *NEW), "onnx", (P310,)),
    Environment(("onnxruntime==1.31.1", *NEW), "onnx", (P311, P312, P313)),
    Environment(("ai-edge-litert==1.4.0", *OLD), "tflite", (P310, P311, P312)),
    Environment(("ai-edge-litert==2.3.0", *NEW), "tflite", (P310, P311, P312, P313)),
    Environment(("tflite-runtime==2.14.0", *OLD), "tflite", (P310, P311)),
)
"""Oldest and newest of each library on each Python"""

KERNELS = {
    "plain": (
        "import functools\n"
        "from ai_edge_litert import interpreter as i\n"
        "kind = i.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES\n"
        "own = functools.partial(i.Interpreter, experimental_op_resolver_type=kind)\n"
        "i.Interpreter = own\n"
    ),
    "reference": (
        "import functools\n"
        "from ai_edge_litert import interpreter as i\n"
        "kind = i.OpResolverType.BUILTIN_REF\n"
        "own = functools.partial(i.Interpreter, experimental_op_resolver_type=kind)\n"
        "i.Interpreter = own\n"
    ),
    "as written": (
        "import onnxruntime as o\n"
        "class Options(o.SessionOptions):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        level = o.GraphOptimizationLevel.ORT_DISABLE_ALL\n"
        "        self.graph_optimization_level = level\n"
        "o.SessionOptions = Options\n"
    ),
}
"""Code that makes a library compute in another way: LiteRT without XNNPACK and with
its plainest kernels, ONNX Runtime with every node by itself, in float32"""


def here() -> list[Environment]:
    """Those that this Python can have."""
    return [e for e in ENVIRONMENTS if PYTHON in e.pythons]


def make(packages: Sequence[str], folder: Path = FOLDER) -> Path:
    """Make an environment with some packages, or take it; its interpreter."""
    key = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:8]
    version = ".".join(map(str, PYTHON))
    home = folder / f"{packages[0]}-{version}-{key}"
    python = home / "bin" / "python"
    whole = home / "whole"
    if not whole.is_file():
        venv.create(home, clear=True, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
        quiet = [
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            "--no-compile",
        ]
        done = subprocess.run(
            [*pip, *quiet, *packages], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(packages)}: {done.stderr}")
        whole.touch()
    return python


def proof_in(environment: Environment, python: Path, bundle: Path) -> Proof:
    """Every number of every file that this library can run, compared."""
    code = KERNELS.get(environment.kernels, "") + (
        "import runpy\n"
        "runpy.run_module('asd_agent.bundle.selftest', run_name='__main__')\n"
    )
    words = [str(bundle), "--runtime", environment.runtime, "--all"]
    # Else OpenBLAS adds up in another order on a machine with more cores.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), "-c", code, *words],
        env=os.environ | threads | {"PYTHONPATH": str(ROOT / "agent")},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"{environment.name}: {done.stderr}") from None
    if "error" in answer:
        raise RuntimeError(f"{environment.name}: {answer['error']}")
    return TypeAdapter(Proof).validate_python(answer)
