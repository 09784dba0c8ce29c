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

    kind: Literal["arcface", "softmax"] = "arcface"
    scale: float = Field(30.0, gt=0)
    """Factor s of the cosines; `arcface` alone"""
    margin: float = Field(0.5, ge=0, lt=math.pi / 2)
    """Angle m in radian that is added to the target's; `arcface` alone"""


class ArcFace(nn.Module):
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


class Softmax(nn.Module):
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


def build_head(spec: LossSpec, embedding: int, classes: int) -> ArcFace | Softmax:
    """Build the head of a recipe."""
    if spec.kind == "arcface":
        return ArcFace(embedding, classes, spec.scale, spec.margin)
    return Softmax(embedding, classes)
