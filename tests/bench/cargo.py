"""Bundles to be pushed through a fleet that runs none of them."""

import os
from pathlib import Path

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from support.bundles import entry, key_pair, sign


class Bundles:
    """Bundles of the size of the packaged one, with files of noise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._key, self.public = key_pair(folder)
        self._packaged = Bundle.open(DEFAULT_BUNDLE).manifest
        self._files = {
            name: os.urandom(found.bytes)
            for name, found in self._packaged.files.items()
        }

    def change(self, name: str) -> None:
        """Give a file other content from now on."""
        self._files[name] = os.urandom(len(self._files[name]))

    def make(self, version: int) -> Path:
        """Write and sign a bundle."""
        folder = self._folder / f"fleet-{version}"
        folder.mkdir()
        for name, content in self._files.items():
            (folder / name).write_bytes(content)
        manifest = self._packaged.model_copy(
            update={
                "id": folder.name,
                "version": version,
                "files": {
                    name: entry(content) for name, content in self._files.items()
                },
            }
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json())
        return sign(folder, self._key)
