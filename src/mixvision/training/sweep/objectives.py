"""What a stack minimises besides the L2 penalty: the cross-entropy, or one that treats domains or earlier training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mixvision.training.pool import ImagePool
from mixvision.training.sweep.batches import Batches

FISHER_IMAGES = 200  # of the earlier training set, by which weights are weighed
TEMPERATURE = 2.0  # of the earlier answers that are to be kept, as in the paper


@dataclass(frozen=True)
class Batch:
    """What an objective may look at: a batch of B images for each of K networks.

    Attributes:
        cross_entropy: of each image ``(K, B)``.
        logits: ``(K, B, C)``.
        features: inputs of the head ``(K, B, F)``; None unless the objective needs them.
        is_real: whether each image is real, bool ``(K, B)``.
        learner: what is trained.
        inputs: of the learner.
    """

    cross_entropy: Tensor
    logits: Tensor
    features: Tensor | None
    is_real: Tensor
    learner: nn.Module
    inputs: Tensor


@dataclass(frozen=True)
class Origin:
    """What an objective is made of, before the first step.

    Attributes:
        strengths: how much each of K trials' objectives adds; the unit is the objective's own.
        learner: what is trained, with its first weights.
        domain_counts: nice and real images of each training set ``(K, 2)``.
        earlier: for each trial, positions in the pool of images of the training that led to the first weights.
    """

    strengths: Sequence[float]
    learner: nn.Module
    domain_counts: Tensor
    earlier: Sequence[Tensor]


class Objective(nn.Module):
    """The mean cross-entropy, and the base of all others.

    Every buffer has one row per trial, like all that a stack keeps. Buffers that can be computed anew are not part of
    checkpoints.

    Shapes: a batch to losses ``(K,)``.
    """

    strength: Tensor
    needs_features = False

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        strengths = torch.tensor(list(origin.strengths), dtype=torch.get_default_dtype())
        self.register_buffer("strength", strengths, persistent=False)

    def start(self, learner: nn.Module, inputs: Callable[[Tensor], Tensor], labels: Tensor) -> None:
        """Called once before the first step of a run, also of one that continues a killed one.

        Args:
            learner: what is trained, with its present weights.
            inputs: function from positions ``(K, B)`` to the learner's inputs.
            labels: of all images of the pool.
        """

    def forward(self, batch: Batch) -> Tensor:
        return batch.cross_entropy.mean(1)


class DomainWeights(Objective):
    """Each image counts by the inverse of its domain's size, so that both domains weigh the same in a training set."""

    weights: Tensor

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        weights = origin.domain_counts.sum(1, keepdim=True) / (2 * origin.domain_counts)
        self.register_buffer("weights", weights.to(self.strength.dtype), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        return (batch.cross_entropy * self.weights.gather(1, batch.is_real.long())).mean(1)


class GroupDRO(Objective):
    """Distributionally robust optimisation over the two domains (Sagawa et al., 2020, algorithm 1).

    A domain with a higher loss gets more weight: ``q_d`` grows by the factor ``exp(strength * loss_d)`` and is
    normalised; the loss is ``sum_d q_d loss_d``.
    """

    q: Tensor

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        self.register_buffer("q", torch.full((len(self.strength), 2), 0.5, dtype=self.strength.dtype))

    def forward(self, batch: Batch) -> Tensor:
        losses = torch.stack([_mean_where(batch.cross_entropy, part) for part in (~batch.is_real, batch.is_real)], 1)
        raised = self.q * torch.exp(self.strength[:, None] * losses.detach())
        self.q = raised / raised.sum(1, keepdim=True)
        return (self.q * losses).sum(1)


class Coral(Objective):
    """Deep CORAL (Sun and Saenko, 2016, equation 1): the covariances of both domains' features shall be alike.

    Adds ``strength * ||C_nice - C_real||^2 / (4 F^2)`` with the Frobenius norm. Each batch must hold as many nice as
    real images, the nice ones first.
    """

    needs_features = True

    def forward(self, batch: Batch) -> Tensor:
        assert batch.features is not None
        nice, real = (_covariance(half) for half in batch.features.chunk(2, dim=1))
        distance = (nice - real).square().sum((1, 2)) / (4 * batch.features.shape[2] ** 2)
        return batch.cross_entropy.mean(1) + self.strength * distance


class _LooksBack(Objective):
    """Keeps the first weights, those that an earlier training led to."""

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        first = origin.learner.state_dict()
        self.names = {name: f"first_{name.replace('.', '_')}" for name in first}
        for name, value in first.items():
            self.register_buffer(self.names[name], value.detach().clone(), persistent=False)

    def first(self) -> dict[str, Tensor]:
        """The first weights and statistics by their names in the learner."""
        return {name: getattr(self, own) for name, own in self.names.items()}


class ElasticWeights(_LooksBack):
    """Elastic weight consolidation (Kirkpatrick et al., 2017, equation 3): weights that mattered before move less.

    Adds ``strength / 2 * sum_i F_i (w_i - w*_i)^2`` with the diagonal of the empirical Fisher information of the first
    weights ``w*``: the mean squared gradient of the cross-entropy of single images, at their true categories, over
    images of the earlier training set (:data:`FISHER_IMAGES` at most).
    """

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        count = min(FISHER_IMAGES, *map(len, origin.earlier))
        self.images: Tensor
        self.register_buffer("images", torch.stack([images[:count] for images in origin.earlier]), persistent=False)

    def start(self, learner: nn.Module, inputs: Callable[[Tensor], Tensor], labels: Tensor) -> None:
        first, names = self.first(), [name for name, _ in learner.named_parameters()]
        information = {name: torch.zeros_like(first[name]) for name in names}
        weights = {name: value.clone().requires_grad_(name in information) for name, value in first.items()}
        learner.eval()
        for number in range(self.images.shape[1]):
            positions = self.images[:, number : number + 1]
            logits = functional_call(learner, weights, (inputs(positions),))
            loss = F.cross_entropy(logits.flatten(0, 1), labels[positions].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss, [weights[name] for name in names])
            for name, gradient in zip(names, gradients, strict=True):
                information[name] += gradient.square() / self.images.shape[1]
        for name, value in information.items():
            self.register_buffer(self.names[name].replace("first_", "information_", 1), value, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        first = self.first()
        moved = [
            (self._information(name) * (weight - first[name]).square()).reshape(len(weight), -1).sum(1)
            for name, weight in batch.learner.named_parameters()
        ]
        return batch.cross_entropy.mean(1) + self.strength / 2 * torch.stack(moved).sum(0)

    def _information(self, name: str) -> Tensor:
        return getattr(self, self.names[name].replace("first_", "information_", 1))


class EarlierAnswers(_LooksBack):
    """Learning without forgetting (Li and Hoiem, 2016, equation 2): the new images are also answered as before.

    Adds ``strength`` times the cross-entropy between the softened answers (:data:`TEMPERATURE`) of the first weights
    and those of the present ones, on the images of the batch. Both domains have the same categories, so there is one
    head, which learns the new images' categories as well.
    """

    def forward(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            before = functional_call(batch.learner.eval(), self.first(), (batch.inputs,)).div(TEMPERATURE).softmax(-1)
        batch.learner.train()
        kept = -(before * (batch.logits / TEMPERATURE).log_softmax(-1)).sum(-1).mean(1)
        return batch.cross_entropy.mean(1) + self.strength * kept


OBJECTIVES: dict[str, type[Objective]] = {
    "cross_entropy": Objective,
    "domain_weights": DomainWeights,
    "group_dro": GroupDRO,
    "coral": Coral,
    "elastic_weights": ElasticWeights,
    "earlier_answers": EarlierAnswers,
}


def objective_of(trials: pd.DataFrame, learner: nn.Module, batches: Sequence[Batches], pool: ImagePool) -> Objective:
    """The objective of a stack.

    Args:
        trials: K rows; ``objective``, the same for all (the cross-entropy without such a column), and ``strength``.
        learner: what is trained, with its first weights.
        batches: which images each trial sees, and those of the training before, if any.
        pool: the images.
    """
    name = trials["objective"].iloc[0] if "objective" in trials else "cross_entropy"
    strengths = trials["strength"] if "strength" in trials else [0.0] * len(trials)
    of_domains = [pool.is_real[torch.from_numpy(own.images)].long().bincount(minlength=2) for own in batches]
    earlier = [torch.from_numpy(own.earlier) for own in batches if own.earlier is not None]
    return OBJECTIVES[name](Origin(list(strengths), learner, torch.stack(of_domains), earlier))


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Means of the chosen values of each row, ``(K,)``; 0 where there are none."""
    return (values * chosen).sum(1) / chosen.sum(1).clamp(min=1)


def _covariance(features: Tensor) -> Tensor:
    """Covariances of features ``(K, B, F)``: ``(K, F, F)``."""
    centred = features - features.mean(1, keepdim=True)
    return centred.transpose(1, 2) @ centred / (features.shape[1] - 1)
