"""Predictions of held-out images, their accuracy, and the best snapshots so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mixvision.training.pool import ImagePool
from mixvision.vocabulary import DOMAINS

TOP = 3  # predictions kept for each image


@dataclass
class Snapshot:
    """Weights of each trial at some iteration, and their predictions of the held-out images.

    Shapes: score and iteration ``(K,)``; each weight ``(K, ...)``; top and probability ``(K, held-out images, k)``.
    """

    score: Tensor
    iteration: Tensor
    weights: dict[str, Tensor]
    top: Tensor
    probability: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Snapshot:
        """Apply a function to every tensor, to move them to another device or to select trials."""
        weights = {name: change(value) for name, value in self.weights.items()}
        return Snapshot(change(self.score), change(self.iteration), weights, change(self.top), change(self.probability))

    def improve(self, candidate: Snapshot) -> None:
        """Take over the candidate's trials that score higher than here; in place."""
        better = candidate.score > self.score

        def choose(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(better.view(-1, *[1] * (new.dim() - 1)), new, old)

        self.score = choose(candidate.score, self.score)
        self.iteration = choose(candidate.iteration, self.iteration)
        self.weights = {name: choose(new, self.weights[name]) for name, new in candidate.weights.items()}
        self.top = choose(candidate.top, self.top)
        self.probability = choose(candidate.probability, self.probability)


def predict(
    network: nn.Module, inputs: Callable[[Tensor], Tensor], positions: Tensor, batch: int
) -> tuple[Tensor, Tensor]:
    """Predict the most probable categories of images with K networks.

    Args:
        network: from inputs to logits ``(K, images, categories)``; it is put into evaluation mode.
        inputs: function from positions ``(n,)`` to the network's inputs for these images.
        positions: of the images to predict, int64 ``(images,)``.
        batch: number of images predicted at a time.

    Returns:
        The k most probable categories as int64 and their probabilities, both ``(K, images, k)``, most probable first;
        k is 3, or the number of categories if that is smaller.
    """
    network.eval()
    tops = []
    for part in positions.split(batch):
        probabilities = network(inputs(part)).softmax(-1)
        tops.append(probabilities.topk(min(TOP, probabilities.shape[-1]), dim=-1))
    return torch.cat([top.indices for top in tops], 1), torch.cat([top.values for top in tops], 1)


def measure(correct: Tensor, is_real: Tensor) -> dict[str, Tensor]:
    """Measure top-1 and top-3 accuracy on each domain, and their performance ``sqrt(nice * real)``.

    Shapes: correct ``(K, images, 3)``, or fewer than 3 if there are fewer categories; is_real ``(images,)``; each
    measure ``(K,)``. Accuracies are fractions, NaN for a domain without images.
    """
    hits = {"top1": correct[..., 0], "top3": correct.any(-1)}
    measured = {}
    for name, hit in hits.items():
        for domain, chosen in zip(DOMAINS, (~is_real, is_real), strict=True):
            measured[f"{domain}_{name}"] = hit[:, chosen].float().mean(1)
        measured[f"performance_{name}"] = (measured[f"nice_{name}"] * measured[f"real_{name}"]).sqrt()
    return measured


def prediction_table(trial: str, snapshot: str, pool: ImagePool, top: Tensor, probability: Tensor) -> pd.DataFrame:
    """Table of predictions, one row per held-out image of the pool.

    Args:
        trial, snapshot: which model predicted.
        pool: the images.
        top, probability: its k most probable categories of ``pool.all_held_out`` and their probabilities,
            ``(images, k)`` each, most probable first.

    Returns:
        ``trial``, ``snapshot``, ``id``, ``prediction_1``... ``prediction_k`` (names), ``probability_1``...
        ``probability_k``.
    """
    named = np.array(pool.categories)[top.cpu().numpy()]
    probabilities = probability.float().cpu().numpy()
    columns = {"trial": trial, "snapshot": snapshot, "id": pool.ids[pool.all_held_out.cpu().numpy()]}
    columns |= {f"prediction_{k + 1}": named[:, k] for k in range(named.shape[1])}
    columns |= {f"probability_{k + 1}": probabilities[:, k] for k in range(named.shape[1])}
    return pd.DataFrame(columns)
