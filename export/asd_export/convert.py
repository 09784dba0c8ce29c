"""Make the model files of a bundle from a trained network."""

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from torch import nn

from asd_agent.errors import RuntimeMissing
from asd_agent.inference.embedder import RuntimeName
from asd_export.files import FILES
from asd_export.prelu import without_prelu
from asd_export.structure import Structure

Array = NDArray[np.float32]


def convert(
    network: nn.Module,
    unit_shape: tuple[int, int],
    calibration: Array,
    names: Sequence[str],
    report: Callable[[str], None],
) -> dict[str, bytes]:
    """Make the model files `names` of `FILES`.

    Parameters
    ----------
    network
        Trained, ``(B, 1, bands, unit_frames)`` to ``(B, size)``; not changed.
    unit_shape
        ``(bands, unit_frames)``.
    calibration : array, shape ``(n, bands, unit_frames)``
        Normalised features that set the ranges of int8.
    names
        Keys of `FILES`.
    report
        Told what is being done, one line at a time.

    Returns
    -------
    dict
        Name in `FILES` to contents of the file, in the order of `FILES`.
    """
    plain = without_prelu(network, unit_shape)
    made: dict[str, bytes] = {}
    for runtime in dict.fromkeys(FILES[name].runtime for name in names):
        wanted = [name for name in names if FILES[name].runtime == runtime]
        if not wanted:
            continue
        module = _module(runtime)
        report(f"converting to {runtime}")
        content = module.export_float(plain, unit_shape)
        for name in wanted:
            made[name] = content
            if FILES[name].precision == "int8":
                report(f"quantising {runtime} with {len(calibration)} units")
                made[name] = module.quantise(content, calibration)
    return {name: made[name] for name in FILES if name in made}


def _module(runtime: RuntimeName) -> ModuleType:
    # Imported when it is needed: litert-torch takes seconds and much memory.
    try:
        return importlib.import_module(f"asd_export.{runtime}")
    except ImportError as error:
        raise RuntimeMissing(
            f"{error}; {runtime} files need: pip install 'asd[export]'"
        ) from error


def structure(name: str, content: bytes) -> Structure | None:
    """Count what runs in int8; None for a float32 file."""
    model = FILES[name]
    if model.precision != "int8":
        return None
    found: Structure = _module(model.runtime).structure(content)
    return found
