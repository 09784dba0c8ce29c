"""Learn and judge recordings on a machine, by the agent's own commands."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from arm64.compare import Clip
from arm64.machine import Arm, Here

Machine = Here | Arm
Said = Mapping[str, list[Clip]]
"""What a machine says of the test recordings of each source"""


@dataclass(frozen=True, slots=True)
class Plant:
    """Recordings in the layout of DCASE 2022: a machine type is a source."""

    sound: Path

    @property
    def sources(self) -> list[str]:
        """Names of the machine types."""
        return sorted(folder.name for folder in self.sound.iterdir())

    def normal(self, source: str) -> Path:
        """Folder to learn from."""
        return self.sound / source / "train"

    def test(self, source: str) -> Path:
        """Folder of clips to judge, half of them anomalous."""
        return self.sound / source / "test"


@dataclass(frozen=True, slots=True)
class Trial:
    """One bundle with one runtime on one machine, in a state folder of its own."""

    machine: Machine
    plant: Plant
    bundle: Path
    runtime: str
    folder: Path

    def learn(self) -> None:
        """Learn every source from its normal recordings."""
        self._configure()
        for source in self.plant.sources:
            self._agent("learn", source, "--from", str(self.plant.normal(source)))

    def take(self, other: "Trial") -> None:
        """Have what another machine learnt, in the place of anything of our own."""
        self._configure()
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        shutil.copytree(other.folder / "state", self.folder / "state")

    def judge(self) -> Said:
        """Judge every test recording."""
        return {source: self._judge(source) for source in self.plant.sources}

    def _judge(self, source: str) -> list[Clip]:
        lines = self._agent(
            "replay", source, "--per-file", str(self.plant.test(source))
        ).splitlines()
        return [_clip(json.loads(line)) for line in lines]

    def _agent(self, verb: str, source: str, *words: str) -> str:
        chosen = ("--config", self.folder / "asd.yaml", "--source", source)
        return self.machine.run("asd-agent", verb, *chosen, *words)

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {
            "device": "press-07",
            "state_dir": str(self.folder / "state"),
            "bundle": {
                "path": str(self.bundle),
                "runtime": self.runtime,
                "allow_unsigned": True,
            },
            "sources": [
                {
                    "name": source,
                    "recording": str(self.plant.test(source) / "*.wav"),
                    "learn": {"keep_bytes": 0},
                }
                for source in self.plant.sources
            ],
        }
        (self.folder / "asd.yaml").write_text(yaml.safe_dump(values))


def _clip(record: Mapping[str, Any]) -> Clip:
    label = Path(record["file"]).name.split("_")
    return Clip(record["score"], record["p_value"], "anomaly" in label)
