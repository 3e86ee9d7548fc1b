"""What networks say of held-out images, how often they are right, and the best of it so far."""

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
    """Weights of each trial at some iteration, and what they predicted for the held-out images.

    Shapes: score and iteration ``(K,)``; each weight ``(K, ...)``; top and probability ``(K, held-out images, k)``.
    """

    score: Tensor
    iteration: Tensor
    weights: dict[str, Tensor]
    top: Tensor
    probability: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Snapshot:
        """The same change of every tensor: to another device, or to some of the trials."""
        weights = {name: change(value) for name, value in self.weights.items()}
        return Snapshot(change(self.score), change(self.iteration), weights, change(self.top), change(self.probability))

    def improve(self, candidate: Snapshot) -> None:
        """Take over the trials in which the candidate scores higher."""
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
    """The three most probable categories of images and their probabilities, ``(K, images, k)`` each.

    ``inputs`` gives what the network takes of the images at some positions; k is smaller with fewer categories.
    """
    network.eval()
    tops = []
    for part in positions.split(batch):
        probabilities = network(inputs(part)).softmax(-1)
        tops.append(probabilities.topk(min(TOP, probabilities.shape[-1]), dim=-1))
    return torch.cat([top.indices for top in tops], 1), torch.cat([top.values for top in tops], 1)


def measure(correct: Tensor, is_real: Tensor) -> dict[str, Tensor]:
    """Top-1 and top-3 accuracy on each domain and their performance, ``sqrt(nice * real)``.

    Shapes: correct ``(K, images, 3)``, fewer than 3 where there are fewer categories; is_real ``(images,)``; each
    measure ``(K,)``. An empty domain gives NaN.
    """
    hits = {"top1": correct[..., 0], "top3": correct.any(-1)}
    measured = {}
    for name, hit in hits.items():
        for domain, chosen in zip(DOMAINS, (~is_real, is_real), strict=True):
            measured[f"{domain}_{name}"] = hit[:, chosen].float().mean(1)
        measured[f"performance_{name}"] = (measured[f"nice_{name}"] * measured[f"real_{name}"]).sqrt()
    return measured


def prediction_table(trial: str, snapshot: str, pool: ImagePool, top: Tensor, probability: Tensor) -> pd.DataFrame:
    """One row a held-out image of the pool; top and probability ``(images, k)``, most probable first."""
    named = np.array(pool.categories)[top.cpu().numpy()]
    probabilities = probability.float().cpu().numpy()
    columns = {"trial": trial, "snapshot": snapshot, "id": pool.ids[pool.all_held_out.cpu().numpy()]}
    columns |= {f"prediction_{k + 1}": named[:, k] for k in range(named.shape[1])}
    columns |= {f"probability_{k + 1}": probabilities[:, k] for k in range(named.shape[1])}
    return pd.DataFrame(columns)
