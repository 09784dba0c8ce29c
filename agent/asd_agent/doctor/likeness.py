"""Compares the level of what is heard with what was learnt."""

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import band_groups
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Chunk
from asd_agent.capture.resample import Resampler
from asd_agent.doctor.finding import Finding, ok, warn
from asd_agent.features.spec import FeatureSpec
from asd_agent.features.stream import FeatureStream
from asd_agent.suspicion import QUIET_DB, Suspicion

_FIX = {
    "quiet": "is the machine running? If so, see that the microphone is uncovered, in "
    "its place, and its gain is as it was",
    "narrow": "the highest bands are gone: uncover the microphone, and see that the "
    "sound server does not convert it",
}


class Likeness:
    """Gathers levels in groups of bands, as the agent computes them."""

    def __init__(self, features: FeatureSpec) -> None:
        self._features = features
        self._stream = FeatureStream(features)
        self._groups = band_groups(features)
        self._resampler: Resampler | None = None
        self._levels: list[NDArray[np.float32]] = []

    def push(self, chunk: Chunk) -> None:
        """Take sound."""
        if self._resampler is None or self._resampler.in_hz != chunk.rate_hz:
            self._resampler = Resampler(chunk.rate_hz, self._features.rate_hz)
        for unit in self._stream.push(self._resampler.push(chunk.samples)):
            self._levels.append(self._groups.levels(unit.values))

    def finding(self, site: Site) -> Finding | None:
        """What is to be said; None: there was not enough sound."""
        if not self._levels:
            return None
        now = np.mean(self._levels, axis=0)
        far_db = float(np.median(now - np.median(site.bands, axis=0)))
        text = (
            f"{abs(far_db):.1f} dB {'over' if far_db > 0 else 'under'} what was learnt"
        )
        figures = {"difference_db": round(far_db, 2)}
        reason = Suspicion(site.bands).reason(now.astype(np.float32))
        if reason:
            text += f": suspect ({reason})"
            return warn("likeness", text, _FIX[reason], figures=figures)
        if abs(far_db) > QUIET_DB:
            fix = "if the machine runs as it did then, the gain or the place is another"
            return warn("likeness", text, fix, figures=figures)
        return ok("likeness", text, figures=figures)
