"""The machine and the software that figures were taken with."""

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("numpy", "onnxruntime", "ai-edge-litert", "soxr", "torch")


def describe() -> str:
    """Say it in two lines of Markdown."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"load {os.getloadavg()[0]:.1f} over the last minute\n"
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
