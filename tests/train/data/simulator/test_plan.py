"""What a simulated data set is planned to hold."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_train.data.simulator import KINDS
from asd_train.data.simulator.plan import SEVERITIES, Order, Take, takes


def _faulty(order: Order, kind: str, domain: str) -> list[Take]:
    every = takes(order, kind, 0)
    return [t for t in every if t.label == "anomaly" and t.domain == domain]


@given(
    kind=st.sampled_from(sorted(KINDS)),
    layout=st.sampled_from(["2021", "2022"]),
    train=st.integers(1, 60),
    quarter=st.integers(1, 20),
    section=st.integers(0, 5),
)
def test_counts_add_up_and_names_are_unique(
    kind: str, layout: str, train: int, quarter: int, section: int
) -> None:
    order = Order((kind,), 1, train, 4 * quarter, layout="2021")
    if layout == "2022":
        order = Order((kind,), 1, train, 4 * quarter)
    every = takes(order, kind, section)
    assert len(every) == order.clips
    assert len({(t.folder, t.name(section)) for t in every}) == order.clips
    assert every == takes(order, kind, section)
    assert sum(t.fault is not None for t in every) == 2 * quarter


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("domain", ["source", "target"])
def test_every_fault_comes_from_faint_to_grave(kind: str, domain: str) -> None:
    order = Order((kind,), 1, 10, 400, layout="2021")
    faulty = _faulty(order, kind, domain)
    counts = Counter(t.fault for t in faulty)
    assert set(counts) == set(KINDS[kind].faults)
    assert max(counts.values()) - min(counts.values()) <= 1
    grades = sorted(t.severity for t in faulty)
    assert (grades[0], grades[-1]) == pytest.approx(SEVERITIES[kind])
    ratios = np.array(grades[1:]) / np.array(grades[:-1])
    assert np.ptp(ratios) < 1e-9
    # The number in the name tells nothing of the severity.
    order_of = np.corrcoef(range(len(faulty)), [t.severity for t in faulty])[0, 1]
    assert abs(order_of) < 0.3


def test_faulty_and_normal_clips_share_their_operating_points() -> None:
    for section in range(3):
        every = takes(Order(("fan",), 1, 6, 24, layout="2021"), "fan", section)
        points = {
            label: Counter(
                (t.domain, t.point)
                for t in every
                if t.split == "test" and t.label == label
            )
            for label in ("normal", "anomaly")
        }
        assert points["normal"] == points["anomaly"]
