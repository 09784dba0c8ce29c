"""ArcFace against its formula, written out once more in numpy."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from asd_train.losses import ArcFace, LossSpec, Softmax, build_head


def _reference(cosines: np.ndarray, label: int, scale: float, margin: float) -> float:
    theta = np.arccos(cosines.astype(np.float64))
    logits = scale * np.cos(theta)
    logits[label] = (
        scale * np.cos(theta[label] + margin)
        if theta[label] + margin < np.pi
        else scale * (np.cos(theta[label]) - margin * np.sin(margin))
    )
    shifted = logits - logits.max()
    return float(np.log(np.exp(shifted).sum()) - shifted[label])


@pytest.mark.parametrize("target", [-0.999, -0.9, -0.5, 0.0, 0.4, 0.95, 0.999])
def test_margin_is_on_the_target_alone(target: float) -> None:
    head = ArcFace(4, 3, scale=30.0, margin=0.5)
    cosines = torch.tensor([[target, 0.3, -0.2]])
    found = head.loss(cosines, torch.tensor([0])).item()
    expected = _reference(cosines[0].numpy(), 0, 30.0, 0.5)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_loss_falls_with_the_angle_even_past_the_turning_point() -> None:
    head = ArcFace(4, 2, scale=1.0, margin=0.5)
    angles = torch.linspace(0.02, math.pi - 0.02, 200)
    scores = torch.stack([torch.cos(angles), torch.zeros(200)], dim=1)
    losses = head.loss(scores, torch.zeros(200, dtype=torch.long))
    assert (losses.diff() > 0).all()


def test_gradient_is_finite_on_and_opposite_the_centre() -> None:
    head = ArcFace(2, 2, scale=30.0, margin=0.5)
    with torch.no_grad():
        head.centres.copy_(torch.eye(2))
    embeddings = torch.tensor([[3.0, 0.0], [-3.0, 0.0]], requires_grad=True)
    loss = head.loss(head(embeddings), torch.tensor([0, 0])).sum()
    (slope,) = torch.autograd.grad(loss, [embeddings])
    assert torch.isfinite(slope).all()


def test_cosines_do_not_depend_on_the_length() -> None:
    head = ArcFace(8, 5, scale=30.0, margin=0.5)
    embeddings = torch.randn(4, 8)
    assert torch.allclose(head(embeddings), head(7 * embeddings), atol=1e-6)
    assert head(embeddings).abs().max() <= 1 + 1e-6


def test_no_margin_is_scaled_softmax() -> None:
    head = ArcFace(8, 5, scale=10.0, margin=0.0)
    scores, labels = head(torch.randn(6, 8)), torch.arange(6) % 5
    plain = functional.cross_entropy(10 * scores, labels, reduction="none")
    assert torch.allclose(head.loss(scores, labels), plain, atol=1e-5)


def test_recipe_decides_the_head() -> None:
    assert isinstance(build_head(LossSpec(), 8, 3), ArcFace)
    head = build_head(LossSpec(kind="softmax"), 8, 3)
    assert isinstance(head, Softmax)
    scores = head(torch.randn(2, 8))
    assert scores.shape == (2, 3)
    assert head.loss(scores, torch.tensor([0, 2])).shape == (2,)
