"""What happens in the demonstration: a machine, its fault, and when."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from numpy.typing import NDArray

from asd_train.data.simulator import Machine

DEVICE = "demo"


@dataclass(frozen=True, slots=True)
class Story:
    """A machine that is well at first; equal stories give equal sound."""

    kind: str = "pump"
    """Type of the simulated machine, and name of the source"""
    fault: str = "bearing"
    individual: int = 3
    """Number of the machine that is drawn"""
    learn_s: float = 150.0
    """Seconds of normal sound that are learnt from"""
    onset_s: float = 25.0
    """Seconds of the stream until the fault begins"""
    growth_s: float = 10.0
    """Seconds that it takes to become severe"""
    stream_s: float = 85.0
    """Seconds of the stream"""
    rate_hz: int = 16_000

    def severity(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Severity of the fault, 0 to 1, at seconds of the stream."""
        return np.clip((time_s - self.onset_s) / self.growth_s, 0, 1)

    def record(self, normal: Path, stream: Path) -> None:
        """Write what is learnt from and what is listened to, two recordings."""
        machine = Machine.draw(self.kind, self.individual)
        sound = machine.render(self.learn_s, self.rate_hz, seed=1)
        soundfile.write(normal, sound, self.rate_hz, subtype="PCM_16")
        sound = machine.render(
            self.stream_s,
            self.rate_hz,
            fault=self.fault,
            severity=self.severity,
            seed=2,
        )
        soundfile.write(stream, sound, self.rate_hz, subtype="PCM_16")

    def configuration(
        self, stream: Path, state_dir: Path, port: int, bundle: Path | None
    ) -> str:
        """Write the agent's configuration, as YAML."""
        tree: dict[str, Any] = {
            "device": DEVICE,
            "state_dir": str(state_dir),
            "mqtt": {
                "host": "127.0.0.1",
                "port": port,
                "tls": False,
                "interval_s": 0.5,
            },
            "sources": [{"name": self.kind, "recording": str(stream)}],
        }
        if bundle is not None:
            tree["bundle"] = {"path": str(bundle.resolve()), "allow_unsigned": True}
        text: str = yaml.safe_dump(tree, sort_keys=False)
        return text
