"""How much of a network a runtime computes in int8."""

from dataclasses import dataclass

MAX_ISLANDS = 1
"""LiteRT has no fast int8 average pooling, the last step of MobileNetV2: a single
fall-back on a small map costs little; one for each layer costs everything"""


@dataclass(frozen=True, slots=True)
class Structure:
    """Counts of one model file as its runtime runs it."""

    convs: int
    """Convolutions and matrix products in all"""
    float_convs: int
    """Those computed in float32"""
    islands: int
    """Places where the fast int8 path is left and entered again: a fall-back
    operator between two stretches. Right numbers, but slower than float32"""

    @property
    def fast_int8(self) -> bool:
        """Whether the network runs in int8, in one or two stretches."""
        return self.float_convs == 0 and self.islands <= MAX_ISLANDS
