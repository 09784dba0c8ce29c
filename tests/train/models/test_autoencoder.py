"""The challenge's autoencoder learns what is normal, the same each time."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from asd_agent.errors import SoundError
from asd_agent.features import units
from asd_train.models.autoencoder import FEATURES, Autoencoder, fit_autoencoder


def _plane(n: int, seed: int) -> NDArray[np.float64]:
    """Points of one plane in 20 dimensions, shape ``(n, 4, 5)``."""
    frame = np.random.default_rng(0).standard_normal((2, 20))
    points = np.random.default_rng(seed).standard_normal((n, 2)) @ frame
    return points.reshape(n, 4, 5)


def test_it_learns_a_plane_and_scores_what_lies_beside_it_higher() -> None:
    errors: list[float] = []
    learnt = fit_autoencoder(
        _plane(600, 1), 0, 30, heard=lambda _, error: errors.append(error)
    )
    assert len(errors) == 30
    assert errors[-1] < 0.2 * errors[0]
    normal = _plane(50, 2)
    beside = normal + np.random.default_rng(3).standard_normal((50, 4, 5))
    assert learnt.score(beside) > 3 * learnt.score(normal)


def test_a_seed_decides_the_result() -> None:
    frames = _plane(100, 1)
    torch.manual_seed(5)
    first, again = fit_autoencoder(frames, 1, 2), fit_autoencoder(frames, 1, 2)
    other = fit_autoencoder(frames, 2, 2)
    assert np.array_equal(first.errors(frames), again.errors(frames))
    assert not np.array_equal(first.errors(frames), other.errors(frames))
    # Nothing is drawn from the generator that others draw from.
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_score_is_the_mean_squared_error() -> None:
    frames = _plane(20, 1)
    learnt = fit_autoencoder(frames, 0, 1)
    flat = torch.from_numpy(frames.reshape(20, 20).astype(np.float32))
    with torch.inference_mode():
        rebuilt = learnt(flat).numpy()
    expected = np.mean((rebuilt - flat.numpy()) ** 2)
    assert learnt.score(frames) == pytest.approx(expected, rel=1e-5)


def test_layers_and_features_are_those_of_the_challenge() -> None:
    widths = [
        (layer.in_features, layer.out_features)
        for layer in Autoencoder(640).layers
        if isinstance(layer, torch.nn.Linear)
    ]
    sides = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    assert widths == list(pairwise(sides))
    assert sum(p.numel() for p in Autoencoder(640).parameters()) == 267_928
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    assert units(FEATURES, 0.1 * noise).shape == (26, 128, 5)


def test_a_single_vector_left_over_ends_no_epoch() -> None:
    learnt = fit_autoencoder(_plane(257, 1), 0, 1)
    assert np.isfinite(learnt.score(_plane(1, 2)))


@pytest.mark.parametrize("shape", [(1, 20), (0, 20), (20,)])
def test_too_little_to_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SoundError, match=r"at least [12]"):
        fit_autoencoder(np.zeros(shape), 0, 1)


def test_other_features_than_those_learnt_are_refused() -> None:
    learnt = fit_autoencoder(_plane(10, 1), 0, 1)
    with pytest.raises(SoundError, match="12 values"):
        learnt.score(np.zeros((3, 12)))
