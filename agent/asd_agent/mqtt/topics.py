"""The MQTT topics of one device, and of the files that all devices share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of all that a device publishes and reads; docs/mqtt.md is the contract."""

    root: str
    """First level or levels, shared by the whole plant, such as ``factory``"""
    device: str
    """Name of this device"""

    @property
    def anomaly(self) -> str:
        """Every decision of every source: QoS 1, not retained."""
        return self._of("anomaly")

    @property
    def status(self) -> str:
        """``online`` or ``offline``, the last will: QoS 1, retained."""
        return self._of("status")

    @property
    def info(self) -> str:
        """What runs here: QoS 1, retained."""
        return self._of("info")

    @property
    def health(self) -> str:
        """How it runs: QoS 1, retained."""
        return self._of("health")

    @property
    def bundle_desired(self) -> str:
        """What this device shall run; it reads this: QoS 1, retained."""
        return self._of("bundle", "desired")

    @property
    def bundle_state(self) -> str:
        """How far the update of this device is: QoS 1, retained."""
        return self._of("bundle", "state")

    def member(self, sha256: str) -> str:
        """One file of a bundle under its SHA-256, for every device: QoS 1, retained."""
        return f"{self.root}/bundles/{sha256}"

    def state(self, source: str) -> str:
        """Present state of one source: QoS 1, retained."""
        return self._of(source, "state")

    def coverage(self, source: str) -> str:
        """How much of the newest days one source was heard: QoS 1, retained."""
        return self._of(source, "coverage")

    def spectrum(self, source: str) -> str:
        """How one source sounds, for people to look at: QoS 0, not retained."""
        return self._of(source, "spectrum")

    def _of(self, *levels: str) -> str:
        return "/".join((self.root, self.device, *levels))
