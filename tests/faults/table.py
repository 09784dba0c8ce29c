"""The fault table: what goes wrong at which step, and what becomes of it.

After Mender's table of state transitions. The rows are entered by `faults.arriving`,
`faults.testing`, `faults.switching` and `faults.lost_broker`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from faults.plant import Plant

FAULTS = (
    "exception",
    "SIGKILL",
    "hang",
    "NaN scores",
    "disk full",
    "truncated transfer",
    "broker lost",
    "wrong hash",
)
STEPS = ("fetch", "verify", "self-test", "re-learn", "switch", "trial", "commit")

NO_CODE = "hashes a bounded number of plain files; nothing of the bundle is run"
NOTHING_SCORED = "nothing is scored in it"
ALL_HERE = "every file is here and was hashed: nothing is transferred any more"
ONE_WRITE = "is one small write to the disk; nothing of the bundle is run in it"

IMPOSSIBLE: dict[tuple[str, str], str] = {
    ("hang", "verify"): NO_CODE,
    ("hang", "commit"): ONE_WRITE,
    ("NaN scores", "fetch"): NOTHING_SCORED,
    ("NaN scores", "verify"): NOTHING_SCORED,
    ("NaN scores", "switch"): NOTHING_SCORED,
    ("NaN scores", "commit"): "after the last window of the trial nothing is asked",
    ("truncated transfer", "self-test"): ALL_HERE,
    ("truncated transfer", "re-learn"): ALL_HERE,
    ("truncated transfer", "switch"): ALL_HERE,
    ("truncated transfer", "trial"): ALL_HERE,
    ("truncated transfer", "commit"): ALL_HERE,
}
"""Why a fault cannot occur in a step"""


@dataclass(frozen=True)
class Row:
    """One fault at one step."""

    fault: str
    step: str
    says: str
    act: Callable[[Plant], None]
    runs: str
    state: str
    reason: str | None = None


ROWS: list[Row] = []


def row(
    fault: str, step: str, says: str, *, runs: str, told: str
) -> Callable[[Callable[[Plant], None]], Callable[[Plant], None]]:
    """Enter a function into the table; `told` is a state, or a state and a reason."""
    state, _, reason = told.partition(" ")

    def enter(act: Callable[[Plant], None]) -> Callable[[Plant], None]:
        ROWS.append(Row(fault, step, says, act, runs, state, reason or None))
        return act

    return enter
