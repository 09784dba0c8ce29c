"""What a front end computes, as data that travels in the bundle's manifest."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_agent.features.mel import mel_filters

FLOOR_POWER = 1e-14
"""Added to the power of a bin before the logarithm: -140 dB to a full-scale
sine, under the rounding noise of 16-bit samples (-126 dB a bin with a window of
2048), so that digital silence stays finite and quiet sound keeps its shape."""


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: int = Field(16_000, ge=1_000, le=384_000)
    """Hertz; a source at another rate is resampled"""
    window: int = Field(2048, ge=16, le=65_536)
    """Samples in one Hann window and one transform: 128 ms at 16 kHz"""
    hop: int = Field(512, ge=1)
    """Samples from one frame to the next: 32 ms at 16 kHz"""
    unit_frames: int = Field(32, ge=1, le=4096)
    """Frames in one unit"""
    unit_shift: int = Field(16, ge=1)
    """Frames from one unit to the next"""
    mean_db: tuple[float, ...] = ()
    """Decibel, one value a band: subtracted; empty: nothing is"""
    std_db: tuple[float, ...] = ()
    """Decibel, one value a band: divided by; empty: nothing is"""

    @property
    def bands(self) -> int:
        """Values in one frame."""
        raise NotImplementedError

    @property
    def unit_shape(self) -> tuple[int, int]:
        """Shape of one unit: ``(bands, unit_frames)``."""
        return self.bands, self.unit_frames

    @property
    def unit_samples(self) -> int:
        """Samples that one unit spans: 17,920 (1,120 ms) by default."""
        return (self.unit_frames - 1) * self.hop + self.window

    @property
    def shift_samples(self) -> int:
        """Samples from one unit to the next: 8,192 (512 ms) by default."""
        return self.unit_shift * self.hop

    def units_in(self, samples: int) -> int:
        """Whole units in so many samples: 18 in 10 s by default."""
        return max(0, (samples - self.unit_samples) // self.shift_samples + 1)

    @model_validator(mode="after")
    def _consistent(self) -> "_Spec":
        if self.hop > self.window:
            raise ValueError(f"hop {self.hop} is longer than window {self.window}")
        if self.unit_frames % self.unit_shift:
            raise ValueError(
                f"unit_frames {self.unit_frames} is not a multiple of "
                f"unit_shift {self.unit_shift}"
            )
        for name in ("mean_db", "std_db"):
            values = getattr(self, name)
            if values and len(values) != self.bands:
                raise ValueError(
                    f"{name} has {len(values)} values, expected {self.bands}"
                )
        if any(not s > 0 for s in self.std_db):
            raise ValueError("std_db has a value that is not above 0")
        return self


class SecomSpec(_Spec):
    """Log power of a linear spectrum, one bin dropped.

    Source: Morita et al., "Anomalous sound detection using CNN-based features
    by self supervised learning", DCASE2021 Task 2, section 2.1-2.2. The paper
    has 1024 of the 1025 bins without saying which is dropped: `drop` says it.
    """

    kind: Literal["secom"] = "secom"
    drop: Literal["dc", "nyquist"] = "dc"
    """The bin that is left out; DC carries no machine sound"""

    @property
    def bands(self) -> int:
        """Bins kept: 1024 by default."""
        return self.window // 2


class LogMelSpec(_Spec):
    """Log power of a mel filter bank (Slaney's scale and area norm)."""

    kind: Literal["logmel"] = "logmel"
    window: int = Field(1024, ge=16, le=65_536)
    """Samples in one Hann window and one transform: 64 ms at 16 kHz"""
    n_mels: int = Field(128, ge=2, le=1024)
    """Mel bands"""
    low_hz: float = Field(0.0, ge=0)
    """Hertz, lower edge of the lowest band"""
    high_hz: float | None = Field(None, gt=0)
    """Hertz, upper edge of the highest band; none: half the rate"""

    @property
    def bands(self) -> int:
        """Mel bands: 128 by default."""
        return self.n_mels

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest band: 8,000 Hz by default."""
        return self.rate_hz / 2 if self.high_hz is None else self.high_hz

    @model_validator(mode="after")
    def _bands_are_possible(self) -> "LogMelSpec":
        if not self.low_hz < self.top_hz <= self.rate_hz / 2:
            raise ValueError(
                f"low_hz {self.low_hz:g} and high_hz {self.top_hz:g} do not lie in "
                f"this order within half the rate, {self.rate_hz / 2:g}"
            )
        # Raises where a band holds no bin.
        mel_filters(self.rate_hz, self.window, self.n_mels, self.low_hz, self.top_hz)
        return self


FeatureSpec = Annotated[SecomSpec | LogMelSpec, Field(discriminator="kind")]
