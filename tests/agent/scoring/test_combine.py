"""Several members as one: as often wrong as promised, however they depend."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.scoring.calibration import Calibration, Calibrations
from asd_agent.scoring.combine import Combine, HeldOut, joint, statistic

BOTH: tuple[Combine, ...] = ("min_p", "fisher")


def draw(rng: np.random.Generator, n: int, depend: float, members: int) -> np.ndarray:
    """Scores of windows by members that hear the same, shape ``(members, n)``."""
    common = rng.normal(size=n)
    own = rng.normal(size=(members, n))
    found: np.ndarray = np.exp(depend * common + np.sqrt(1 - depend**2) * own)
    return found


def p_values(
    calibration: np.ndarray, fresh: np.ndarray, combine: Combine
) -> np.ndarray:
    """Joint p-values of fresh windows; both of shape ``(members, windows)``."""
    held_out = [HeldOut(scores[:, None], 1e-3) for scores in calibration]
    of_each = [Calibration(1e-3).fit(scores) for scores in calibration]
    together = joint(held_out, combine).of(1)
    found = []
    for window in fresh.T:
        parts = [c.p_value(s) for c, s in zip(of_each, window, strict=True)]
        found.append(together.p_value(statistic(parts, combine)))
    return np.array(found)


@pytest.mark.parametrize("combine", BOTH)
@pytest.mark.parametrize("depend", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("members", [2, 3])
def test_a_normal_window_is_a_hit_as_often_as_promised(
    combine: Combine, depend: float, members: int
) -> None:
    rng = np.random.default_rng(7)
    trials, n = 1200, 39
    found = np.concatenate(
        [
            p_values(
                draw(rng, n, depend, members), draw(rng, 1, depend, members), combine
            )
            for _ in range(trials)
        ]
    )
    for alpha in (0.05, 0.2, 0.5):
        spread = 3 * np.sqrt(alpha * (1 - alpha) / trials)
        assert abs(np.mean(found <= alpha) - alpha) < spread


@pytest.mark.parametrize("combine", BOTH)
@pytest.mark.parametrize("depend", [0.0, 0.9])
def test_the_extrapolated_tail_keeps_its_promise(
    combine: Combine, depend: float
) -> None:
    def exponential(n: int) -> np.ndarray:
        normal = np.log(draw(rng, n, depend, 2))
        above = [[math.erfc(z / math.sqrt(2)) / 2 for z in row] for row in normal]
        found: np.ndarray = -np.log(np.array(above))
        return found

    rng = np.random.default_rng(8)
    alpha, trials, fresh = 0.004, 60, 1000
    hits = sum(
        int((p_values(exponential(60), exponential(fresh), combine) <= alpha).sum())
        for _ in range(trials)
    )
    assert hits / (trials * fresh) < 1.5 * alpha


@pytest.mark.parametrize("combine", BOTH)
def test_what_only_one_member_hears_is_found_without_a_factor(
    combine: Combine,
) -> None:
    """Two members that agree cost nothing: one p-value, not twice it."""
    rng = np.random.default_rng(9)
    scores = draw(rng, 99, 1.0, 1)
    twice = np.concatenate([scores, scores])
    alone = Calibration(1e-3).fit(scores[0])
    fresh = draw(rng, 200, 1.0, 1)
    found = p_values(twice, np.concatenate([fresh, fresh]), combine)
    wanted = np.array([alone.p_value(score) for score in fresh[0]])
    whole = wanted > alone.resolution
    np.testing.assert_allclose(found[whole], wanted[whole])


def test_statistics_by_hand() -> None:
    assert statistic([0.01, 0.1], "min_p") == pytest.approx(2)
    assert statistic([0.01, 0.1], "fisher") == pytest.approx(3)
    assert statistic([1.0, 1.0], "min_p") == 0
    assert np.copysign(1, statistic([1.0, 1.0], "fisher")) == 1
    assert statistic([0.0, 1.0], "min_p") == pytest.approx(300)


@settings(max_examples=60)
@given(
    st.lists(st.floats(1e-12, 1), min_size=1, max_size=4),
    st.integers(0, 3),
    st.floats(0.01, 0.99),
)
def test_less_normal_for_one_is_never_more_normal_for_all(
    parts: list[float], which: int, factor: float
) -> None:
    worse = list(parts)
    worse[which % len(parts)] *= factor
    for combine in BOTH:
        assert statistic(worse, combine) >= statistic(parts, combine)
        assert statistic(parts[::-1], combine) == pytest.approx(
            statistic(parts, combine)
        )


def test_only_windows_that_all_members_know_count() -> None:
    scores = np.random.default_rng(1).gamma(2, 1, (2, 20, 3))
    scores[0, :15, 2] = np.nan
    scores[1, 10:, 1] = np.nan
    scores[1, 16:, 2] = np.nan
    known = joint([HeldOut(s, 1e-3) for s in scores], "min_p")
    assert [len(known.of(units).scores) for units in (1, 2, 3)] == [20, 10, 10]
    with pytest.raises(ValueError, match="at least 2"):
        joint([HeldOut(s, 1e-3) for s in scores[:, 10:, 1:2]], "min_p")


@pytest.mark.parametrize("combine", BOTH)
def test_two_windows_are_enough_and_sound_that_repeats_is_no_error(
    combine: Combine,
) -> None:
    for scores in (np.array([[1.0], [2.0]]), np.full((9, 1), 0.5)):
        known: Calibrations = joint([HeldOut(scores, 1e-3)] * 2, combine)
        assert known.of(1).p_value(0.0) == 1
        assert 0 < known.of(1).p_value(30.0) < 0.01
        assert np.isfinite(known.of(1).threshold(1e-6))
