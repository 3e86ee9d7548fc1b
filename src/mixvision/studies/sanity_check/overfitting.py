"""A sanity check for any model: it must be able to overfit a few images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.models.stacked import MovingNorm
from mixvision.training.config import Arithmetic, is_number
from mixvision.training.sweep.schedules import batch_norm_momentum

EVALUATE_EVERY = 10


@dataclass(frozen=True)
class Overfitting:
    """What a model has to overfit, and how.

    Attributes:
        images: how many, of two categories.
        steps: the maximum number of Adam steps.
        learning_rate: of Adam.
        seed: of the choice of images.
    """

    images: int = 32
    steps: int = 300
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (("images", 2), ("steps", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < lowest:
                raise ValueError(f"{name} is {value!r}; give a whole number of {lowest} or more.")
        if not is_number(self.learning_rate) or self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate!r}; give a number above 0.")


def choose_images(manifest: pd.DataFrame, overfitting: Overfitting) -> pd.DataFrame:
    """Choose rows of the manifest: training images of the two largest categories, half of each.

    Raises:
        ValueError: they have too few images, or there is only one category.
    """
    train = manifest[(manifest["status"] == "kept") & (manifest["split"] == "train")].sort_values("id")
    generator = np.random.default_rng(overfitting.seed)
    wanted = overfitting.images // 2, overfitting.images - overfitting.images // 2
    largest = train["category"].value_counts().head(2)
    if len(largest) < 2:
        raise ValueError("The sanity check needs training images of two categories, but the manifest has only one.")
    chosen = []
    for (category, available), count in zip(largest.items(), wanted, strict=True):
        if available < count:
            raise ValueError(
                f"overfitting.images is {overfitting.images}, but {category!r} has only {available} training images of "
                f"the {count} needed: lower it, or add images."
            )
        rows = generator.permutation(np.flatnonzero(train["category"] == category))[:count]
        chosen.append(train.iloc[rows])
    return pd.concat(chosen)


def overfit(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    overfitting: Overfitting,
    arithmetic: Arithmetic,
) -> dict[str, float]:
    """Train a network on a few images as one batch, without dropout, until it classifies all of them correctly.

    It is evaluated every 10 steps and at the end, and stops when all predictions are right or the loss is not finite.

    Args:
        network: a plain network or a stack of one. It is moved to the device, trained in place and left in evaluation
            mode.
        images: floats in [0, 1], ``(n, 3, S, S)``.
        labels: ``(n,)``.
        overfitting: steps and learning rate.
        arithmetic: device and precision.

    Returns:
        ``steps`` taken, and ``accuracy`` (a fraction) and ``cross_entropy`` on the images at the end.
    """
    network.to(arithmetic.device, arithmetic.dtype)
    images, labels = images.to(arithmetic.device, arithmetic.dtype), labels.to(arithmetic.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=overfitting.learning_rate)
    for step in range(1, overfitting.steps + 1):
        _training_mode(network, step - 1)
        optimizer.zero_grad()
        with arithmetic.autocast():
            loss = F.cross_entropy(_logits(network, images), labels)
        loss.backward()
        optimizer.step()
        if step % EVALUATE_EVERY == 0 or step == overfitting.steps:
            with arithmetic.autocast():
                accuracy, cross_entropy = _evaluate(network, images, labels)
            if accuracy == 1 or not math.isfinite(cross_entropy):
                break
    return {"steps": step, "accuracy": accuracy, "cross_entropy": cross_entropy}


def _training_mode(network: nn.Module, iteration: int) -> None:
    """Dropout stays off; our own normalisation follows the images as fast as in the study's training."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
        if isinstance(module, MovingNorm):
            module.momentum = batch_norm_momentum(iteration)


@torch.no_grad()
def _evaluate(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = _logits(network.eval(), images)
    right = (logits.argmax(-1) == labels) & logits.isfinite().all(-1)  # the largest of NaNs is the first
    return right.float().mean().item(), F.cross_entropy(logits, labels).item()


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    return network(images).flatten(0, -2)  # a stack of one gives (1, n, categories)
