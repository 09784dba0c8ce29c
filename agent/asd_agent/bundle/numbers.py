"""What a member of a bundle makes of the golden sound.

The numbers are those of a small site: of each clip the vectors of its units and the
window that they pool to, and how its windows are judged, as sound that is known and
as sound that is not.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import BundleError
from asd_agent.features.spec import FeatureSpec
from asd_agent.features.stream import units
from asd_agent.scoring.calibration import Calibrations
from asd_agent.scoring.detector import DetectorSpec, KnnSpec, build
from asd_agent.scoring.pooling import Pool

if TYPE_CHECKING:
    from asd_agent.bundle.member import Member

MIN_CLIPS = 3
"""Fewest clips: one is judged by the others, and a bank of one row has no scatter"""
MAX_CLIPS = 64
FRAMES = 4
"""Frames of a clip's first unit whose features are kept, evenly spread"""

Array = NDArray[np.floating[Any]]


class Sound:
    """Golden clips, heard through each front end once."""

    def __init__(self, clips: NDArray[np.int16]) -> None:
        """Take clips of shape ``(clips, samples)``.

        Raises
        ------
        BundleError
            They are not 16 bits, too few, or too many.
        """
        if clips.ndim != 2 or clips.dtype != np.int16:
            raise malformed(
                f"audio is {clips.dtype} of shape {clips.shape}, expected int16 of "
                "(clips, samples)"
            )
        if not MIN_CLIPS <= len(clips) <= MAX_CLIPS:
            raise malformed(
                f"audio has {len(clips)} clips, expected {MIN_CLIPS} to {MAX_CLIPS}"
            )
        self._clips = clips.astype(np.float32) / np.float32(32_768)
        self._heard: dict[FeatureSpec, NDArray[np.float32]] = {}

    def units(self, spec: FeatureSpec) -> NDArray[np.float32]:
        """Units of every clip, shape ``(clips, units, bands, unit_frames)``."""
        if spec not in self._heard:
            found = np.stack([units(spec, clip) for clip in self._clips])
            if not found.shape[1]:
                raise malformed(
                    f"audio has clips of {self._clips.shape[1]} samples, expected at "
                    f"least one unit of {spec.unit_samples}"
                )
            self._heard[spec] = found
        return self._heard[spec]

    def features(self, spec: FeatureSpec) -> NDArray[np.float32]:
        """Some frames of each clip's first unit, ``(clips, bands, frames)``."""
        first = self.units(spec)[:, 0]
        kept = np.linspace(0, spec.unit_frames - 1, min(FRAMES, spec.unit_frames))
        return first[:, :, kept.astype(int)]


def key(member: "Member") -> str:
    """Name of a member's tensors: of each of its model files they differ."""
    return "/".join(filter(None, (member.spec.name, member.model_file)))


def vectors_of(member: "Member", sound: Sound) -> NDArray[np.float32]:
    """Vectors of all units, shape ``(clips, units, size)``."""
    clips = sound.units(member.spec.features)
    return np.stack([[member.embed(unit) for unit in clip] for clip in clips])


def numbers(
    member: "Member", vectors: NDArray[np.float32]
) -> Iterator[tuple[str, Array]]:
    """What comes out of the vectors of golden units.

    Parameters
    ----------
    member
    vectors : array, shape ``(clips, units, size)``, finite

    Yields
    ------
    name, values
        ``vector`` as given; ``pooled`` (clips, pooled_size) of whole clips; ``score``
        (2, clips, lengths) and ``p_value`` (clips, lengths), see `_judged`.
    """
    yield "vector", vectors
    yield "pooled", np.stack([_grown(member, clip)[-1] for clip in vectors])
    scores, p_values = _judged(member, vectors)
    yield "score", scores
    yield "p_value", p_values


def _judged(member: "Member", vectors: NDArray[np.float32]) -> tuple[Array, Array]:
    """Judge the clips as a site does that has learnt them but for their last unit.

    Windows grow over all units but the first. They are scored twice: as sound that the
    site knows, and as a machine that it does not, by the bank without their own clip.
    The first scores, those of the other clips, are the calibration by which the second
    get their p-values.
    """
    spec = _detector(member)
    # A clip with a single unit is learnt and judged whole.
    last = max(vectors.shape[1] - 1, 1)
    bank = np.stack([_grown(member, clip[:last])[-1] for clip in vectors])
    windows = [_grown(member, clip[-last:]) for clip in vectors]
    whole = build(spec).fit(bank)
    known = np.array([[whole.score(vector) for vector in clip] for clip in windows])
    new, p_values = np.zeros(known.shape), np.zeros(known.shape)
    for row, clip in enumerate(windows):
        others = build(spec).fit(np.delete(bank, row, axis=0))
        new[row] = [others.score(vector) for vector in clip]
        calibrations = Calibrations(np.delete(known, row, axis=0), spec.floor)
        for i, score in enumerate(new[row]):
            p_values[row, i] = calibrations.of(i + 1).p_value(float(score))
    return np.stack([known, new]), p_values


def _grown(member: "Member", vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pooled vectors of the first unit, the first two, and so on."""
    pool = Pool(member.spec.pooling, member.size)
    found = []
    for vector in vectors:
        pool.push(vector)
        found.append(pool.vector())
    return np.stack(found)


def _detector(member: "Member") -> DetectorSpec:
    """A member's own detector, or of a network the nearest neighbour.

    A few windows tell little of the scatter of an embedding. The cosine distance of
    one is what its file is held to, whatever the detector.
    """
    return KnnSpec() if member.embedder else member.spec.detector


def malformed(what: str) -> BundleError:
    """The refusal of golden numbers that no exporter writes."""
    return BundleError(
        f"golden.safetensors: {what}. Build the bundle again", "malformed"
    )
