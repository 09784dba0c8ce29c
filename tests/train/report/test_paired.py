"""Differences of evaluations: the score of the evaluator, and its spread."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asd_train.report.folder import Evaluation
from asd_train.report.paired import comparable, differences, scores

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("protocol", "domains"),
    [(2021, ("source", "target")), (2023, ("source", "target"))],
)
def test_the_first_value_is_the_official_score(
    make: Make, protocol: int, domains: tuple[str, ...]
) -> None:
    found = Evaluation.open(make(protocol=protocol, domains=domains))
    official = found.summary.overall.official
    values = scores(found, 3)
    assert values is not None
    assert values.shape == (4,)
    assert values[0] == pytest.approx(official, abs=1e-9)


def test_a_run_does_not_differ_from_itself(make: Make) -> None:
    one, other = Evaluation.open(make("a")), Evaluation.open(make("b"))
    (difference,) = differences([one, other], 50)
    assert difference is not None
    assert (difference.value, difference.interval) == (0, (0, 0))
    assert difference.better == 0.5


def test_what_is_clearly_better_is_so_in_every_replicate(make: Make) -> None:
    one = Evaluation.open(make("a", contrast=1.0))
    other = Evaluation.open(make("b", contrast=4.0, noise=1))
    (difference,) = differences([one, other], 100)
    assert difference is not None
    assert 0 < difference.interval[0] <= difference.value <= difference.interval[1]
    assert difference.better == 1


def test_pairs_spread_less_than_evaluations_on_their_own(make: Make) -> None:
    one = Evaluation.open(make("a"))
    other = Evaluation.open(make("b", noise=1))
    a, b = scores(one, 200), scores(other, 200)
    assert a is not None
    assert b is not None
    apart = np.sqrt(a[1:].var() + b[1:].var())
    assert (b - a)[1:].std() < 0.9 * apart


def test_the_order_of_the_clips_does_not_matter(make: Make) -> None:
    run, same = make("a"), make("b")
    path = same / "evaluation" / "scores.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[::-1]]) + "\n")
    one, other = Evaluation.open(run), Evaluation.open(same)
    np.testing.assert_allclose(scores(one, 20), scores(other, 20))  # type: ignore[arg-type]


def test_other_clips_or_rules_cannot_be_compared(make: Make) -> None:
    one = Evaluation.open(make("a"))
    fewer = Evaluation.open(make("b", clips=10))
    later = Evaluation.open(make("c", protocol=2023))
    assert not comparable(one, fewer)
    assert not comparable(one, later)
    assert differences([one, fewer, later], 5) == [None, None]
