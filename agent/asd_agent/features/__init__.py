"""Spectral features, the same numbers offline and streaming."""

from asd_agent.features.spec import FeatureSpec, LogMelSpec, SecomSpec
from asd_agent.features.stream import FeatureStream, Unit, units

__all__ = ["FeatureSpec", "FeatureStream", "LogMelSpec", "SecomSpec", "Unit", "units"]
