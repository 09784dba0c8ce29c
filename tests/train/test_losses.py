"""Heads against their formulas, written out once more in numpy."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from asd_train.losses import (
    AdaCos,
    ArcFace,
    Head,
    LossSpec,
    Softmax,
    build_head,
    fixed_scale,
)


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


KINDS = ("arcface", "softmax", "adacos", "subcluster_adacos")


def _adacos(classes: int, subclusters: int = 1, **switches: bool) -> AdaCos:
    torch.manual_seed(0)
    return AdaCos(3, classes, subclusters, **switches)


def _class_logits(head: AdaCos, embeddings: torch.Tensor) -> np.ndarray:
    """Logarithm of each class's sum of exp(s cos), shape ``(B, classes)``."""
    x = embeddings.detach().double().numpy()
    w = head.centres.detach().double().numpy()
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    sums = np.exp(head.scale.item() * x @ w.T)
    by_class = sums.reshape(len(x), -1, head.subclusters).sum(2)
    return np.asarray(np.log(by_class))


@pytest.mark.parametrize(
    ("centres", "scale"),
    [
        (2, math.sqrt(2) * math.log(2)),
        (3, math.sqrt(2) * math.log(2)),
        (6, math.sqrt(2) * math.log(5)),
        (1000, math.sqrt(2) * math.log(999)),
    ],
)
def test_fixed_scale(centres: int, scale: float) -> None:
    assert fixed_scale(centres) == pytest.approx(scale)


def test_scale_counts_all_centres() -> None:
    assert _adacos(6).scale.item() == pytest.approx(math.sqrt(2) * math.log(5))
    assert _adacos(2, 16).scale.item() == pytest.approx(math.sqrt(2) * math.log(31))


@pytest.mark.parametrize("subclusters", [1, 4])
def test_probability_of_a_class_is_the_sum_of_its_centres(subclusters: int) -> None:
    head, embeddings = _adacos(5, subclusters), torch.randn(7, 3)
    scores, labels = head(embeddings), torch.arange(7) % 5
    logits = _class_logits(head, embeddings)
    assert np.allclose(scores.detach().numpy(), logits, atol=1e-5)
    chance = np.exp(logits[np.arange(7), labels]) / np.exp(logits).sum(1)
    found = head.loss(scores, labels).detach().numpy()
    assert np.allclose(found, -np.log(chance), atol=1e-5)


def test_loss_on_the_centre_in_closed_form() -> None:
    # Two opposite centres: the cosines are 1 and -1, the scale sqrt(2) ln 2.
    head = AdaCos(2, 2)
    with torch.no_grad():
        head.centres.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    loss = head.loss(head(torch.tensor([[5.0, 0.0]])), torch.tensor([0])).item()
    expected = math.log(1 + math.exp(-2 * math.sqrt(2) * math.log(2)))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_fixed_centres_get_no_gradient_and_trainable_ones_do() -> None:
    for trainable in (True, False):
        head = _adacos(4, 3, trainable=trainable)
        embeddings = torch.randn(5, 3, requires_grad=True)
        losses = head.loss(head(embeddings), torch.arange(5) % 4)
        torch.autograd.backward(losses.sum())
        assert embeddings.grad is not None
        assert embeddings.grad.abs().max() > 0
        assert (head.centres.grad is not None) is trainable
        assert list(head.parameters()), "the head says which device it is on"


def test_gradient_is_that_of_finite_differences() -> None:
    head = _adacos(3, 4).double()
    embeddings = torch.randn(2, 3, dtype=torch.double, requires_grad=True)
    labels = torch.tensor([0, 2])
    assert torch.autograd.gradcheck(lambda x: head.loss(head(x), labels), embeddings)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_loss_is_the_sum_of_both_by_their_shares(kind: str) -> None:
    head = build_head(LossSpec.model_validate({"kind": kind}), 3, 4)
    assert isinstance(head, Head)
    scores = head(torch.randn(3, 3))
    labels, others = torch.tensor([0, 1, 2]), torch.tensor([3, 1, 0])
    shares = torch.tensor([1.0, 0.3, 0.25])
    found = head.mixed_loss(scores, labels, others, shares)
    first, second = head.loss(scores, labels), head.loss(scores, others)
    assert torch.allclose(found, shares * first + (1 - shares) * second)
    assert found[0] == first[0]


def test_mixed_loss_of_a_cross_entropy_is_that_of_the_soft_label() -> None:
    head, shares = _adacos(4, 2), torch.tensor([0.7, 0.2])
    scores = head(torch.randn(2, 3))
    labels, others = torch.tensor([0, 1]), torch.tensor([3, 2])
    soft = torch.zeros(2, 4)
    for row in range(2):
        soft[row, labels[row]] += shares[row]
        soft[row, others[row]] += 1 - shares[row]
    expected = functional.cross_entropy(scores, soft, reduction="none")
    found = head.mixed_loss(scores, labels, others, shares)
    assert torch.allclose(found, expected, atol=1e-6)


def test_dynamic_scale_follows_its_formula() -> None:
    head, embeddings = _adacos(40, dynamic=True), torch.randn(9, 3)
    labels, ones = torch.arange(9), torch.ones(9)
    logits, before = _class_logits(head, embeddings), head.scale.item()
    own = logits[np.arange(9), labels]
    b = np.mean(np.exp(logits).sum(1) - np.exp(own))
    theta = np.median(np.arccos(np.clip(own / before, -1, 1)))
    head.mixed_loss(head(embeddings), labels, labels, ones)
    expected = np.log(b) / np.cos(min(np.pi / 4, theta))
    assert head.scale.item() == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(before, rel=1e-2)


def test_dynamic_scale_of_mixtures_weighs_both_classes() -> None:
    head, embeddings = _adacos(20, 2, dynamic=True), torch.randn(3, 3)
    labels, others = torch.tensor([0, 1, 2]), torch.tensor([5, 1, 7])
    shares = torch.tensor([0.25, 0.5, 1.0])
    logits, before = _class_logits(head, embeddings), head.scale.item()
    own = np.zeros((3, 20))
    for row in range(3):
        own[row, labels[row]] += shares[row].item()
        own[row, others[row]] += 1 - shares[row].item()
    b = np.mean((np.exp(logits) * (1 - own)).sum(1))
    angles = np.arccos(np.clip((logits - np.log(2)) / before, -1, 1))
    theta = np.median((own * angles).sum(1))
    head.mixed_loss(head(embeddings), labels, others, shares)
    expected = np.log(b) / np.cos(min(np.pi / 4, theta))
    assert head.scale.item() == pytest.approx(expected, rel=1e-4)


def test_scale_moves_only_in_training_and_where_it_is_asked_to() -> None:
    labels, ones = torch.arange(3), torch.ones(3)
    still, asleep = _adacos(5), _adacos(5, dynamic=True).eval()
    for head in (still, asleep):
        head.mixed_loss(head(torch.randn(3, 3)), labels, labels, ones)
        assert head.scale.item() == pytest.approx(fixed_scale(5))
    assert not still.scale.requires_grad


@pytest.mark.parametrize("classes", [1, 2])
def test_few_classes_keep_a_scale_and_stay_finite(classes: int) -> None:
    head = _adacos(classes, dynamic=True)
    labels = torch.zeros(6, dtype=torch.long)
    for _ in range(5):
        scores = head(torch.randn(6, 3))
        losses = head.mixed_loss(scores, labels, labels, torch.ones(6))
        assert torch.isfinite(losses).all()
        assert fixed_scale(3) <= head.scale.item() < 20


def test_a_checkpoint_holds_the_scale() -> None:
    head = _adacos(9, 2, dynamic=True)
    labels = torch.arange(9)
    head.mixed_loss(head(torch.randn(9, 3)), labels, labels, torch.ones(9))
    again = _adacos(9, 2, dynamic=True)
    assert again.scale != head.scale
    again.load_state_dict(head.state_dict())
    assert again.scale == head.scale


def test_recipe_decides_the_centres() -> None:
    plain = build_head(LossSpec(kind="adacos"), 8, 3)
    many = build_head(LossSpec(kind="subcluster_adacos", trainable=False), 8, 3)
    assert isinstance(plain, AdaCos)
    assert isinstance(many, AdaCos)
    assert plain.centres.shape == (3, 8)
    assert many.centres.shape == (48, 8)
    assert not many.centres.requires_grad
    assert many(torch.randn(2, 8)).shape == (2, 3)
