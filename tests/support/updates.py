"""A device that is updated, on disk: its store, its key, and bundles signed with it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asd_agent.bundle.bundle import read_signature
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.manifest import parse
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import Trust
from asd_agent.config import BundleConfig, Config
from asd_agent.config_file import load
from asd_agent.update.desired import Desired
from asd_agent.update.fetch import FolderFetcher
from asd_agent.update.install import Act, Acts, Installer
from asd_agent.update.report import Report
from asd_agent.update.tries import Tries
from support.bundles import forge, key_pair, public, sign


def well(_folder: Path, _stop: Event) -> None:
    """Find nothing wrong with a bundle."""


def desired_of(folder: Path, base_url: str | None = None) -> Desired:
    """What a message would say of a bundle in a folder."""
    raw = (folder / "manifest.json").read_bytes()
    manifest = parse(raw)
    signature = read_signature(folder) or b""
    return Desired(raw, signature, base_url, manifest.id, manifest.version)


@dataclass(slots=True)
class Device:
    """One device; its bundles lie in ``built`` before they are installed."""

    folder: Path
    disk: Disk = field(default_factory=Disk)
    reports: list[Report] = field(default_factory=list)
    private: Ed25519PrivateKey = field(init=False)
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.private, self.key = key_pair(self.folder)

    @property
    def store(self) -> Store:
        """Its store, opened anew as by another process."""
        return Store(self.folder / "state" / "bundles", self.disk, self.trust)

    @property
    def trust(self) -> Trust:
        """Whose bundles it takes."""
        return Trust((public(self.private),))

    def build(self, name: str, version: int, **changes: Any) -> Path:
        """Forge and sign a bundle."""
        folder = self.folder / "built" / name
        if "embeds" not in changes:
            changes["embeds"] = True
        return sign(forge(folder, id=name, version=version, **changes), self.private)

    def installer(
        self,
        *,
        prove: Act = well,
        relearn: Act = well,
        report: Callable[[Report], None] | None = None,
    ) -> Installer:
        """What installs; without other acts every bundle passes its tests."""
        store = self.store
        return Installer(
            store,
            self.trust,
            Acts(prove, relearn),
            report=report or self.reports.append,
            tries=Tries(store.folder / "tries.json", self.disk),
            others=(),
        )

    def install_only(self, folder: Path) -> None:
        """Install a bundle and leave it on trial."""
        self.installer(report=lambda _: None).run(
            desired_of(folder), FolderFetcher(folder)
        )

    def install(self, folder: Path) -> None:
        """Install a bundle and commit it, as if it had served well."""
        self.install_only(folder)
        self.store.change(lambda state: state.committed())

    def configure(self, tape: Path, **keys: Any) -> Config:
        """Write and read its configuration: one source, which plays a recording.

        Parameters
        ----------
        keys
            Of ``bundle`` and of the source; `mqtt` is a port on this machine.
        """
        bundle = {"trusted_keys": [str(self.key)], "commit_windows": 3}
        source = {"name": "pump", "recording": str(tape), "pace": "fast"}
        port = keys.pop("mqtt", None)
        for key, value in keys.items():
            part = bundle if key in BundleConfig.model_fields else source
            part[key] = value
        values: dict[str, Any] = {
            "device": "press-07",
            "state_dir": str(self.folder / "state"),
            "bundle": bundle,
            "sources": [source],
            "alarm": {"per_week": 100, "raise": "2 of 3", "clear": "0 of 4"},
        }
        if port is not None:
            values["mqtt"] = {"host": "127.0.0.1", "port": port, "tls": False}
        self.file.write_text(yaml.safe_dump(values))
        return load(self.file)

    def configure_again(self, **keys: Any) -> Config:
        """Change some keys of its configuration."""
        values = yaml.safe_load(self.file.read_text())
        for key, value in keys.items():
            part = "bundle" if key in BundleConfig.model_fields else "source"
            (values["bundle"] if part == "bundle" else values["sources"][0])[key] = (
                value
            )
        self.file.write_text(yaml.safe_dump(values))
        return load(self.file)

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.folder / "asd.yaml"

    @property
    def said(self) -> list[tuple[str, str, str | None]]:
        """State, step and reason of each report, each change once."""
        told = [(r.state, r.step, r.reason) for r in self.reports]
        return [
            now
            for before, now in zip([None, *told], told, strict=False)
            if now != before
        ]
