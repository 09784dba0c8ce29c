"""k-means: the same centroids each time, and good ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from asd_agent.scoring.kmeans import k_means


def inertia(rows: np.ndarray, centroids: np.ndarray) -> float:
    squares = ((rows[:, None].astype(np.float64) - centroids[None]) ** 2).sum(axis=2)
    return float(squares.min(axis=1).sum())


def test_groups_that_are_far_apart_are_found() -> None:
    rng = np.random.default_rng(0)
    centres = 10 * rng.normal(size=(5, 8))
    rows = np.concatenate([c + 0.1 * rng.normal(size=(40, 8)) for c in centres])
    found = k_means(rows.astype(np.float32), 5)
    wanted = rows.reshape(5, 40, 8).mean(axis=1)
    for centre in wanted:
        assert np.linalg.norm(found - centre, axis=1).min() < 1e-4


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 60), count=st.integers(1, 8), seed=st.integers(0, 999))
def test_each_centroid_is_the_mean_of_the_rows_nearest_to_it(
    n: int, count: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    found = k_means(rows, count)
    assert len(found) == min(n, count)
    assert found.tobytes() == k_means(rows, count).tobytes()
    nearest = ((rows[:, None] - found[None]) ** 2).sum(axis=2).argmin(axis=1)
    for place in np.unique(nearest):
        mean = rows[nearest == place].mean(axis=0)
        np.testing.assert_allclose(found[place], mean, atol=1e-5)


def test_it_is_about_as_good_as_scikit_learn() -> None:
    rows = np.random.default_rng(1).normal(size=(500, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    reference = KMeans(16, n_init=1, random_state=0).fit(rows)
    assert inertia(rows, k_means(rows, 16)) < 1.05 * reference.inertia_


def test_rows_that_repeat_give_no_more_centroids_than_there_are() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    found = k_means(rows, 10)
    np.testing.assert_array_equal(np.unique(found, axis=0), np.eye(3)[::-1])
