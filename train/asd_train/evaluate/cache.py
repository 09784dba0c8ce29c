"""What was heard, kept on disk: another way to score needs no network again.

One file for each ear and machine type, named by the hash of all that decides the
vectors. A clip whose file has changed since is heard again.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from asd_agent.capture.signal_health import Verdict
from asd_agent.hearing import Heard
from asd_train.data.dcase import Clip
from asd_train.run import write_atomic

_LOG = logging.getLogger(__name__)

Packed = dict[str, NDArray[Any]]
"""Units of one clip, array by array: the first axis is the units"""
Hear = Callable[[Iterable[Clip]], Iterator[list[Heard]]]
_VERDICTS = tuple(Verdict)


def pack(heard: Sequence[Heard], sizes: Sequence[int], groups: int) -> Packed:
    """Write units as arrays; `sizes` are those of the members' vectors."""
    n = len(heard)
    packed: Packed = {
        "end_sample": np.array([unit.end_sample for unit in heard], np.int64),
        "level_dbfs": np.array([unit.level_dbfs for unit in heard], np.float64),
        "verdict": np.array([_VERDICTS.index(u.verdict) for u in heard], np.uint8),
        "gap": np.array([unit.gap for unit in heard], np.uint8),
        "deaf": np.array([not unit.vectors for unit in heard], np.uint8),
        "levels": np.zeros((n, groups), np.float32),
    }
    for member, size in enumerate(sizes):
        packed[f"vectors/{member}"] = np.zeros((n, size), np.float32)
    for i, unit in enumerate(heard):
        if unit.levels.size:
            packed["levels"][i] = unit.levels
        for member, vector in enumerate(unit.vectors):
            packed[f"vectors/{member}"][i] = vector
    return packed


def unpack(packed: Packed) -> list[Heard]:
    """Read units from arrays; levels of a deaf unit come back empty."""
    members = sum(key.startswith("vectors/") for key in packed)
    vectors = [packed[f"vectors/{member}"] for member in range(members)]
    nothing = np.zeros(0, np.float32)
    return [
        Heard(
            end_sample=int(packed["end_sample"][i]),
            vectors=() if deaf else tuple(of_member[i] for of_member in vectors),
            levels=nothing if deaf else packed["levels"][i],
            level_dbfs=float(packed["level_dbfs"][i]),
            verdict=_VERDICTS[packed["verdict"][i]],
            gap=bool(packed["gap"][i]),
        )
        for i, deaf in enumerate(packed["deaf"])
    ]


class Store:
    """What is heard in the clips of one machine type."""

    def __init__(self, clips: Mapping[str, Packed]) -> None:
        self._clips = clips

    def of(self, clip: Clip) -> list[Heard]:
        """Units of a clip."""
        return unpack(self._clips[_key(clip)])


def heard_of(
    clips: Sequence[Clip],
    hear: Hear,
    *,
    path: Path,
    sizes: Sequence[int],
    groups: int,
) -> Store:
    """Hear clips, as far as the cache does not hold them, and write it anew.

    Parameters
    ----------
    clips : sequence of Clip
    hear : function
        Hears clips in turn.
    path : Path
        File of the cache; need not be there.
    sizes : sequence of int
        Values in the vector of each member.
    groups : int
        Groups of bands.

    Raises
    ------
    SoundError
        A clip cannot be heard.
    """
    known = _read(path)
    missing = [clip for clip in clips if _key(clip) not in known]
    found = dict(known)
    for clip, heard in zip(missing, hear(missing), strict=True):
        found[_key(clip)] = pack(heard, sizes, groups)
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, found)
    return Store(found)


def file_of(folder: Path, sha256: str, machine: str) -> Path:
    """Where the cache of an ear and a machine type lies."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", machine)
    return folder / f"{sha256[:16]}-{plain}.safetensors"


def _key(clip: Clip) -> str:
    state = clip.path.stat()
    return f"{clip.path.resolve()}|{clip.channel}|{state.st_size}|{state.st_mtime_ns}"


def _write(path: Path, clips: Mapping[str, Packed]) -> None:
    counts = {key: len(packed["gap"]) for key, packed in clips.items()}
    names = next(iter(clips.values()))
    tensors = {
        name: np.concatenate([packed[name] for packed in clips.values()])
        for name in names
    }
    write_atomic(path, save(tensors, metadata={"clips": json.dumps(counts)}))


def _read(path: Path) -> dict[str, Packed]:
    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            counts = json.loads((file.metadata() or {})["clips"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        ends = np.cumsum(list(counts.values()))
        return {
            key: {name: tensor[end - count : end] for name, tensor in tensors.items()}
            for (key, count), end in zip(counts.items(), ends, strict=True)
        }
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        _LOG.warning("%s is damaged (%s): hearing all clips again", path, error)
        return {}
