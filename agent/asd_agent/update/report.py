"""How far an update of this device is: what is told of it, at every step."""

from dataclasses import dataclass
from typing import Literal

State = Literal[
    "downloading",
    "verifying",
    "testing",
    "trial",
    "committed",
    "rejected",
    "rolled_back",
]
"""`rejected`: it never ran; `rolled_back`: it ran, and the one before runs again"""
Step = Literal["fetch", "verify", "self-test", "re-learn", "switch", "trial", "commit"]
"""What was being done"""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of an update."""

    id: str
    """Bundle that is spoken of, not always the one that runs"""
    version: int
    """Its version; 0: not known"""
    state: State
    step: Step
    reason: str | None = None
    """One word for what went wrong, as `BundleError.reason`"""
    detail: str | None = None
    """A sentence for a person; holds no path of this device"""
    bytes: int = 0
    """Bytes of the bundle that are here, files that were here before included"""
    total: int = 0
    """Bytes of the whole bundle; 0: not known"""
    windows: int = 0
    """Healthy windows since the switch"""
    needed: int = 0
    """Healthy windows after which the bundle stays"""
