"""A configured agent on disk: bundle, state folder, recordings, configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import Site
from asd_agent.config import Config, SourceConfig
from asd_agent.config_file import load
from asd_agent.ear import Ear
from asd_agent.engine import open_engine
from asd_agent.setup import members_of, open_bundle
from support.bundles import SMALL, forge
from support.sounds import learnt, noise, wav, whine

RATE_HZ = SMALL.rate_hz
UNITS = 6
"""Units in a window of a forged bundle"""
WINDOW = SMALL.unit_samples + (UNITS - 1) * SMALL.shift_samples


@dataclass(frozen=True, slots=True)
class Agent:
    """Where everything of one agent lies."""

    folder: Path

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.folder / "asd.yaml"

    @property
    def site(self) -> Path:
        """What it learns of its source."""
        return self.folder / "state" / "sites" / "pump" / "forged-1.safetensors"

    @property
    def normal(self) -> Path:
        """Thirty seconds of a machine that is well."""
        return self.folder / "normal" / "normal.wav"

    @property
    def tape(self) -> Path:
        """Six seconds that turn wrong half-way."""
        return self.folder / "tape.wav"

    def config(self) -> Config:
        """Read its configuration."""
        return load(self.file)

    def configure(self, **source: Any) -> None:
        """Write its configuration, with other keys for its source."""
        keys = {"name": "pump", "recording": str(self.tape), "pace": "fast"}
        values = {
            "device": "press-07",
            "state_dir": str(self.folder / "state"),
            "bundle": {
                "path": str(self.folder / "bundle"),
                "allow_unsigned": True,
            },
            "sources": [{k: v for k, v in (keys | source).items() if v is not None}],
            "alarm": {"per_week": 100, "raise": "2 of 3", "clear": "0 of 4"},
        }
        self.file.write_text(yaml.safe_dump(values))


def agent(folder: Path) -> Agent:
    """Put up an agent that has learnt nothing yet."""
    made = Agent(folder)
    forge(folder / "bundle")
    wav(made.normal, noise(30 * RATE_HZ, seed=21), RATE_HZ)
    wrong = whine(3 * RATE_HZ, RATE_HZ, seed=22)
    wav(made.tape, np.concatenate([noise(3 * RATE_HZ, seed=23), wrong]), RATE_HZ)
    made.configure()
    return made


def ear_of(config: Config, source: SourceConfig, folder: Path | None = None) -> Ear:
    """Open a bundle for one source: that of the configuration, or of a folder."""
    bundle = Bundle.open(folder) if folder else open_bundle(config)
    members = members_of(config, bundle)
    return Ear(config, source, open_engine(config, source, bundle.manifest, members))


def know(made: Agent, folder: Path) -> Path:
    """Let an agent have learnt its source with a bundle; returns its folder."""
    bundle = Bundle.open(folder)
    site = learnt(open_members(bundle), noise(30 * RATE_HZ, seed=21))
    site.save(Site.path(made.folder / "state", "pump", bundle.manifest.id))
    return folder
