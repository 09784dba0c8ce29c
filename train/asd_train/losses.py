"""Heads that tell the classes apart in training; none of them is exported."""

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional


class LossSpec(BaseModel):
    """Which head, as a recipe writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["arcface", "softmax", "adacos", "subcluster_adacos"] = "arcface"
    scale: float = Field(30.0, gt=0)
    """Factor s of the cosines; `arcface` alone, AdaCos has its own"""
    margin: float = Field(0.5, ge=0, lt=math.pi / 2)
    """Angle m in radian that is added to the target's; `arcface` alone"""
    subclusters: int = Field(16, ge=1, le=1024)
    """Centres of each class; `subcluster_adacos` alone"""
    trainable: bool = True
    """Whether the centres are learnt or stay as drawn; AdaCos alone"""
    dynamic_scale: bool = False
    """Whether the factor follows the batches or stays as derived; AdaCos alone"""


class Head(nn.Module):
    """What every head can do."""

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample, from `forward`'s scores, shape ``(B,)``."""
        raise NotImplementedError

    def mixed_loss(
        self, scores: Tensor, labels: Tensor, others: Tensor, shares: Tensor
    ) -> Tensor:
        """Loss of each sample of a batch with mixtures, shape ``(B,)``.

        For a cross entropy the same as that of the soft label.

        Parameters
        ----------
        scores : tensor, shape ``(B, classes)``
            From `forward`.
        labels, others : tensor of int64, shape ``(B,)``
            Class of each sample, and the one that it is mixed with.
        shares : tensor, shape ``(B,)``
            Weight of the first, 0 to 1.
        """
        first, second = self.loss(scores, labels), self.loss(scores, others)
        return shares * first + (1 - shares) * second


class ArcFace(Head):
    """Additive angular margin (Deng et al. 2019, eq. 3).

    The target's logit is ``s cos(theta + m)``, every other ``s cos(theta)``.
    Past ``theta = pi - m`` the cosine would rise again; there the penalty goes on
    as ``cos(theta) - m sin(m)``, falling with theta.
    """

    def __init__(self, embedding: int, classes: int, scale: float, margin: float):
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes, embedding))
        nn.init.xavier_uniform_(self.centres)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: Tensor) -> Tensor:
        """Cosine to each class, shape ``(B, classes)``."""
        return functional.linear(
            functional.normalize(embeddings), functional.normalize(self.centres)
        )

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample, from `forward`'s cosines, shape ``(B,)``."""
        target = scores.gather(1, labels[:, None])
        sine = torch.sqrt((1 - target.square()).clamp_min(1e-12))
        moved = target * math.cos(self.margin) - sine * math.sin(self.margin)
        guard = target - self.margin * math.sin(math.pi - self.margin)
        moved = torch.where(target > math.cos(math.pi - self.margin), moved, guard)
        logits = scores.scatter(1, labels[:, None], moved) * self.scale
        return functional.cross_entropy(logits, labels, reduction="none")


class Softmax(Head):
    """Plain cross entropy on a linear layer."""

    def __init__(self, embedding: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(embedding, classes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logit of each class, shape ``(B, classes)``."""
        scores: Tensor = self.linear(embeddings)
        return scores

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample, from `forward`'s logits, shape ``(B,)``."""
        return functional.cross_entropy(scores, labels, reduction="none")


def fixed_scale(centres: int) -> float:
    """Factor of the cosines for so many centres (Zhang et al. 2019, fixed AdaCos).

    ``sqrt(2) ln(n - 1)``. Two centres would get 0, with which nothing is learnt:
    they get the factor of three.
    """
    return math.sqrt(2) * math.log(max(centres, 3) - 1)


class AdaCos(Head):
    """Scaled cosines without margin, the factor derived and not tuned.

    Sources: Zhang et al., "AdaCos", CVPR 2019; with several centres a class
    Wilkinghoff, "Sub-cluster AdaCos", IJCNN 2021: the probability of a class is the
    sum of that of its centres. Its logit is therefore the logarithm of the sum of
    ``exp(s cos(theta))`` over its centres; with one centre this is AdaCos.

    Parameters
    ----------
    embedding, classes : int
    subclusters : int
        Centres of each class.
    trainable : bool
        False: the centres stay as they are drawn, evenly on the sphere.
    dynamic : bool
        Let the factor follow the batches (`mixed_loss`).
    """

    scale: Tensor

    def __init__(
        self,
        embedding: int,
        classes: int,
        subclusters: int = 1,
        *,
        trainable: bool = True,
        dynamic: bool = False,
    ):
        super().__init__()
        self.subclusters, self.dynamic = subclusters, dynamic
        centres = torch.randn(classes * subclusters, embedding)
        # A parameter even where it stays: the head has a device and a dtype then.
        self.centres = nn.Parameter(
            functional.normalize(centres), requires_grad=trainable
        )
        scale = torch.tensor(fixed_scale(classes * subclusters))
        self.register_buffer("scale", scale)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logit of each class, shape ``(B, classes)``."""
        cosines = functional.linear(
            functional.normalize(embeddings), functional.normalize(self.centres)
        )
        shape = (len(cosines), -1, self.subclusters)
        # A copy, for the factor may be set anew before the backward pass needs it.
        by_class = (self.scale.clone() * cosines).reshape(shape)
        return torch.logsumexp(by_class, 2)

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample, from `forward`'s logits, shape ``(B,)``."""
        return functional.cross_entropy(scores, labels, reduction="none")

    def mixed_loss(
        self, scores: Tensor, labels: Tensor, others: Tensor, shares: Tensor
    ) -> Tensor:
        """As that of every head; a dynamic factor is then set for the next batch."""
        losses = super().mixed_loss(scores, labels, others, shares)
        if self.dynamic and self.training:
            self._follow(scores.detach(), labels, others, shares)
        return losses

    @torch.no_grad()
    def _follow(
        self, scores: Tensor, labels: Tensor, others: Tensor, shares: Tensor
    ) -> None:
        """Set the factor by a batch (Zhang et al. 2019, dynamic AdaCos).

        ``s' = ln(B) / cos(min(pi/4, theta))``: B is the sum of ``exp(s cos)`` over
        the centres of the classes that a sample is not of, mean over the batch;
        theta is the median angle to the own class. Two readings are ours: with
        mixtures each class counts by the part that is not its own, and the angle
        to a class of several centres is that of the log of their mean ``exp``.
        """
        scores = scores.float()
        own = torch.zeros_like(scores)
        own.scatter_add_(1, labels[:, None], shares[:, None].float())
        own.scatter_add_(1, others[:, None], 1 - shares[:, None].float())
        # Logarithms until the end: exp(s cos) of many centres is a large number.
        rest = scores + torch.log((1 - own).clamp_min(1e-12))
        log_b = torch.logsumexp(rest.flatten(), 0) - math.log(len(scores))
        cosines = (scores - math.log(self.subclusters)) / self.scale
        angles = (own * torch.acos(cosines.clamp(-1, 1))).sum(1)
        narrowest = torch.cos(angles.median().clamp_max(math.pi / 4))
        # As in `fixed_scale`: a factor of nothing teaches nothing.
        self.scale.copy_((log_b / narrowest).clamp_min(fixed_scale(3)))


def build_head(
    spec: LossSpec, embedding: int, classes: int
) -> ArcFace | Softmax | AdaCos:
    """Build the head of a recipe."""
    if spec.kind == "arcface":
        return ArcFace(embedding, classes, spec.scale, spec.margin)
    if spec.kind == "softmax":
        return Softmax(embedding, classes)
    return AdaCos(
        embedding,
        classes,
        spec.subclusters if spec.kind == "subcluster_adacos" else 1,
        trainable=spec.trainable,
        dynamic=spec.dynamic_scale,
    )
