"""Trains the trials of one stack together, as one network, with Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lightning
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.models.stacked import MovingNorm
from mixvision.training import schedules
from mixvision.training.data import BATCHES_PER_EPOCH, DOMAINS, ImagePool, draw_order
from mixvision.training.observers import observers
from mixvision.training.optimizer import StackedSGD

BuildNetwork = Callable[[Sequence[torch.Generator]], nn.Module]
TOP = 3  # predictions kept for each image


@dataclass
class Snapshot:
    """The best weights of each trial so far, and what they predicted for the held-out images.

    Shapes: score and iteration ``(K,)``; each weight ``(K, ...)``; top and probability ``(K, held-out images, k)``.
    """

    score: Tensor
    iteration: Tensor
    weights: dict[str, Tensor]
    top: Tensor
    probability: Tensor

    def to(self, device: torch.device) -> Snapshot:
        return Snapshot(
            self.score.to(device),
            self.iteration.to(device),
            {name: value.to(device) for name, value in self.weights.items()},
            self.top.to(device),
            self.probability.to(device),
        )

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


class Stack(lightning.LightningModule):
    """K trials with training sets of one size, trained as one network for a number of iterations.

    Args:
        build_network: makes the stacked network from the trials' random generators.
        trials: K rows with trial, seed, learning_rate and l2.
        training_sets: for each trial, the positions of its training images in the pool; all equally many.
        pool: the images.
        iterations: steps to train.
        evaluate_every: iterations between two evaluations; the last iteration is always evaluated.

    After training, ``history`` holds a row per trial, evaluation and split; ``snapshots`` the weights and
    predictions named "last", "best_validation" and "best_test"; ``failures`` why trials ended early.
    """

    def __init__(
        self,
        build_network: BuildNetwork,
        trials: pd.DataFrame,
        training_sets: list[np.ndarray],
        pool: ImagePool,
        iterations: int,
        evaluate_every: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.trials, self.training_sets, self.pool = trials, training_sets, pool
        self.iterations, self.evaluate_every = iterations, evaluate_every
        self.network = build_network([torch.Generator().manual_seed(seed) for seed in trials["seed"]])
        self.plateau = schedules.Plateau(len(trials))
        self.register_buffer("loss_sum", torch.zeros(len(trials)))
        self.iteration = 0
        self.order: Tensor | None = None
        self.history: list[dict] = []
        self.snapshots: dict[str, Snapshot] = {}
        self.failures: dict[str, str] = {}

    def configure_optimizers(self) -> StackedSGD:
        return StackedSGD(self.network.parameters())

    def on_fit_start(self) -> None:
        """Bring to the device what Lightning does not know of: the images, the settings, restored snapshots."""
        self.images = self.pool.to(self.device)
        self.held_out = self.images.all_held_out
        self.learning_rates = self.loss_sum.new_tensor(self.trials["learning_rate"].tolist())
        self.l2 = self.loss_sum.new_tensor(self.trials["l2"].tolist())
        self.snapshots = {name: snapshot.to(self.device) for name, snapshot in self.snapshots.items()}

    def on_fit_end(self) -> None:
        del self.images

    def training_step(self, *_) -> None:
        losses = self._losses(self._next_batch())
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(losses.sum())
        losses = losses.detach()
        decay = schedules.learning_rate_decay(self.iteration)
        optimizer.optimizer.rates = self.learning_rates * self.plateau(losses) * decay
        optimizer.optimizer.momentum = schedules.momentum(self.iteration)
        optimizer.step()
        self.loss_sum += losses
        self.iteration += 1
        if self.iteration % self.evaluate_every == 0 or self.iteration == self.iterations:
            self._evaluate()

    def _next_batch(self) -> Tensor:
        epoch, batch = divmod(self.iteration, BATCHES_PER_EPOCH)
        if self.order is None or batch == 0:
            drawn = [
                draw_order(images, seed, epoch)
                for images, seed in zip(self.training_sets, self.trials["seed"], strict=True)
            ]
            self.order = torch.from_numpy(np.stack(drawn, axis=1)).to(self.device)
        return self.order[batch]

    def _losses(self, positions: Tensor) -> Tensor:
        """Cross-entropy plus l2 / 2 times the sum of squared weights: positions ``(K, B)`` to losses ``(K,)``."""
        rate = schedules.norm_rate(self.iteration)
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, MovingNorm):
                module.rate = rate
        logits = self.network(self.images.gather(positions))
        labels = self.images.labels[positions]
        cross_entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        weights = [value for name, value in self.network.named_parameters() if name.endswith("weight")]
        squares = torch.stack([weight.flatten(1).square().sum(1) for weight in weights]).sum(0)
        return cross_entropy.view_as(labels).mean(1) + self.l2 / 2 * squares

    @torch.no_grad()
    def _evaluate(self) -> None:
        """Predict every held-out image, add to the history, and keep the weights that are best so far."""
        top, probability = self._predict()
        correct = top == self.images.labels[self.held_out, None]
        losses = self.loss_sum / ((self.iteration - 1) % self.evaluate_every + 1)
        self.loss_sum.zero_()
        rows, begin = [], 0
        weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        for split, positions in self.images.held_out.items():
            here = slice(begin, begin + len(positions))
            measured = measure(correct[:, here], self.images.is_real[positions])
            rows += self._rows(split, losses, measured)
            iteration = torch.full_like(losses, self.iteration)
            candidate = Snapshot(measured["performance_top1"], iteration, weights, top, probability)
            self.snapshots.setdefault(f"best_{split}", candidate)
            self.snapshots[f"best_{split}"].improve(candidate)
            begin = here.stop
        self.snapshots["last"] = candidate
        self.history += rows
        for observer in observers:
            observer.evaluated(rows)
        self._note_failures(losses)
        best = torch.nan_to_num(self.snapshots["best_validation"].score).max()
        self.log("best_validation_performance", best, prog_bar=True, logger=False)

    def _predict(self) -> tuple[Tensor, Tensor]:
        """The k most probable categories of every held-out image and their probabilities, ``(K, images, k)``."""
        self.network.eval()
        outputs = []
        for positions in self.held_out.split(2 * self.order.shape[-1]):
            images = self.images.gather(positions).repeat(1, len(self.trials), 1, 1)
            probabilities = self.network(images.contiguous(memory_format=torch.channels_last)).softmax(-1)
            outputs.append(probabilities.topk(min(TOP, len(self.pool.categories)), dim=-1))
        return torch.cat([o.indices for o in outputs], 1), torch.cat([o.values for o in outputs], 1)

    def _rows(self, split: str, losses: Tensor, measured: dict[str, Tensor]) -> list[dict]:
        table = torch.stack([losses, *measured.values()], dim=1).tolist()
        return [
            {"trial": trial, "iteration": self.iteration, "split": split}
            | dict(zip(["loss", *measured], row, strict=True))
            for trial, row in zip(self.trials["trial"], table, strict=True)
            if trial not in self.failures
        ]

    def _note_failures(self, losses: Tensor) -> None:
        for trial, loss in zip(self.trials["trial"], losses.tolist(), strict=True):
            if not math.isfinite(loss) and trial not in self.failures:
                self.failures[trial] = (
                    f"The training loss is {loss} by iteration {self.iteration}: the training diverged. "
                    "Lower learning_rate (or l2)."
                )
                for observer in observers:
                    observer.failed(trial, self.failures[trial])
        self.trainer.should_stop = len(self.failures) == len(self.trials)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["stack"] = {
            "iteration": self.iteration,
            "history": self.history,
            "snapshots": {name: vars(snapshot) for name, snapshot in self.snapshots.items()},
            "failures": self.failures,
        }

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        saved = checkpoint["stack"]
        self.iteration, self.history, self.failures = saved["iteration"], saved["history"], saved["failures"]
        self.snapshots = {name: Snapshot(**fields) for name, fields in saved["snapshots"].items()}
        for observer in observers:
            observer.evaluated(self.history)
            for trial, reason in self.failures.items():
                observer.failed(trial, reason)


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
