"""Sound as it comes from a source, and as the agent reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""One channel, full scale is -1 to 1"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples of the one chosen channel at the source's own rate."""

    samples: Samples
    """Shape ``(n,)``, n >= 1"""
    rate_hz: int
    """Hertz, as the device or the file says"""
    gap: bool = False
    """Whether samples were lost, or were not finite, just before or in it"""
    lost: int = 0
    """Samples that are missing before it, as far as that is known"""


@dataclass(frozen=True, slots=True)
class Block:
    """Samples at the rate of the front end."""

    samples: Samples
    """Shape ``(n,)``, n >= 1"""
    start: int
    """Sample counter of the first one; counts lost samples too"""
    gap: bool
    """Whether samples were lost, or were not finite, just before or in it"""
    clipped: bool = False
    """Whether the source was at full scale too often in the last second"""
    flaw: str = ""
    """Why the source itself is not to be trusted, see `Source.flaw`; empty: it is"""


class Source(Protocol):
    """Something that can be listened to once, from its start."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def live(self) -> bool:
        """Whether sound goes on while nobody reads."""
        ...

    @property
    def flaw(self) -> str:
        """A word for what is wrong with all of its sound; empty: nothing.

        ``rate``: it does not run at the rate that it promises.
        """
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Wait for each next chunk; ends where the source ends.

        Raises
        ------
        SoundError
            The source gives no usable sound, or gives none any more.
        """
        ...

    def close(self) -> None:
        """Let go of the device or the file; may be called more than once."""
        ...
