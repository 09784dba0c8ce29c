"""No attack gets a bundle into a device."""

import pytest

from faults.attacks import carried_out
from faults.offers import ATTACKS

MOST_MB = 64.0
"""Memory that a refusal may take; the largest offer claims a terabyte"""


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str) -> None:
    reasons, _ = ATTACKS[name]
    refusal = carried_out(name)
    assert refusal.reason in reasons, refusal.text
    assert refusal.peak_mb < MOST_MB
    assert "\n" not in refusal.text or refusal.reason in {"differs", "broken"}
