"""Make the model files of a bundle from a trained network."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from torch import nn

from asd_agent.errors import RuntimeMissing
from asd_agent.inference.embedder import RuntimeName
from asd_export.calibrate import MINMAX, Way, ranges, spread
from asd_export.equalise import equalised
from asd_export.files import FILES
from asd_export.structure import Structure

Array = NDArray[np.float32]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model file as it could go into the bundle."""

    name: str
    """Key of `FILES`"""
    content: bytes
    way: Way = MINMAX
    """How the ranges of int8 were set"""

    @property
    def method(self) -> str:
        """The way in words; empty for float32."""
        return self.way.name if FILES[self.name].precision == "int8" else ""


def candidates(
    network: nn.Module,
    unit_shape: tuple[int, int],
    calibration: Array,
    names: Sequence[str],
    report: Report,
    *,
    ways: Sequence[Way] = (MINMAX,),
) -> Iterator[Candidate]:
    """Make the model files `names` of `FILES`, int8 in each of several ways.

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
    ways
        How to set the ranges of int8.
    """
    plain = equalised(network, calibration)
    for runtime in dict.fromkeys(FILES[name].runtime for name in names):
        wanted = [name for name in names if FILES[name].runtime == runtime]
        module = _module(runtime)
        report(f"converting to {runtime}")
        content = module.export_float(plain, unit_shape)
        for name in wanted:
            if FILES[name].precision == "float32":
                yield Candidate(name, content)
        int8 = [name for name in wanted if FILES[name].precision == "int8"]
        if int8:
            report(f"quantising {runtime} with {len(calibration)} units")
            spreads = spread(module.tap(content), calibration, f"calibrating {runtime}")
        for name in int8:
            for way in ways:
                made = module.quantise(content, ranges(spreads, way))
                yield Candidate(name, made, way)


def convert(
    network: nn.Module,
    unit_shape: tuple[int, int],
    calibration: Array,
    names: Sequence[str],
    report: Report,
) -> dict[str, bytes]:
    """Make the model files `names` of `FILES`, ranges by minimum and maximum.

    Parameters are those of `candidates`.

    Returns
    -------
    dict
        Name in `FILES` to contents of the file, in the order of `FILES`.
    """
    found = candidates(network, unit_shape, calibration, names, report)
    made = {candidate.name: candidate.content for candidate in found}
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
