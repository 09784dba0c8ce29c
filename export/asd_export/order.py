"""What is asked of a build, in words that need no library of the exporter."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from asd_agent.errors import ConfigError
from asd_agent.inference.open import GPU, RuntimeChoice
from asd_export.files import FILES

Choice = Literal["best", "minmax", "percentile", "entropy"]
"""How the ranges of int8 are set; `best`: every way is tried and the one kept that
holds the scores best"""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Fine-tuning for int8."""

    steps: int = 300
    """Batches"""
    always: bool = False
    """Also where a file passes the gate without"""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a build."""

    id: str
    """Identity of the bundle"""
    version: int
    """Rises with every release"""
    created: datetime
    """With its time zone"""
    files: tuple[str, ...] = tuple(FILES)
    """Model files, keys of `FILES`"""
    calibration: Choice = "best"
    """How the ranges of int8 are set"""
    tuning: Tuning | None = None
    """Fine-tuning for int8; None: none"""
    runtime: RuntimeChoice = "auto"
    """Runtime whose files a device prefers; `auto`: as `FILES` has them"""
    device_class: str = "any"
    """Kind of device that it is for"""

    @property
    def format(self) -> str:
        """Kind of files that `runtime` runs; ``auto``: any."""
        return "onnx" if self.runtime == GPU else self.runtime

    def __post_init__(self) -> None:
        """See that the runtime has a file.

        Raises
        ------
        ConfigError
            It has none.
        """
        runtimes = {FILES[name].runtime for name in self.files}
        if self.format not in ("auto", *runtimes):
            raise ConfigError(
                f"--runtime {self.runtime}, but there is no such file among "
                f"{', '.join(self.files)}: add one to --files"
            )
