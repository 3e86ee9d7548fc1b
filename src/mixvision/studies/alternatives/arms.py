"""The arms of the comparison: which models to train, and which images each of them is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixvision.parameter_types import require_types
from mixvision.training.mixtures import Mixtures, choose_training_sets, shares_of
from mixvision.training.pool import BATCHES_PER_EPOCH
from mixvision.vocabulary import DOMAINS, NICE, REAL

MIX, ADDED, TOGETHER, IN_TURN = "fixed-size mix", "nice + real", "all images together", "nice, then real"
APPROACHES = (MIX, ADDED, TOGETHER, IN_TURN)
ONLY, FIRST, SECOND = "only", "first", "second"  # phases of a training
DOMAIN_STATISTICS = "domain_statistics"  # an arm with a network of its own rather than an objective
CROSS_ENTROPY = "cross_entropy"
FEWEST_IN_BATCH = 4


@dataclass(frozen=True)
class Alternatives:
    """Which arms are compared. Each strength is an arm; an empty list leaves the method out.

    Attributes:
        ratios: fixed-size mixes, per cent of real images, as in mixed training.
        added: all nice images and this share of the real ones, per cent; 100 is all images together.
        group_dro: step sizes of group DRO.
        coral: strengths of Deep CORAL.
        share: of the arms that train on nice images first, per cent of the iterations that this takes.
        replay: per cent of nice images in the second training.
        elastic_weights: strengths of elastic weight consolidation.
        earlier_answers: strengths of learning without forgetting.
        learning_rate: initial learning rate.
        l2: factor on half the sum of squared weights.
    """

    ratios: tuple[int, ...] = (0, 25, 50, 75, 100)
    added: tuple[int, ...] = (10, 25, 50, 100)
    group_dro: tuple[float, ...] = (0.1,)
    coral: tuple[float, ...] = (1.0,)
    share: int = 50
    replay: tuple[int, ...] = (5, 10, 20, 50)
    elastic_weights: tuple[float, ...] = (100.0,)
    earlier_answers: tuple[float, ...] = (1.0,)
    learning_rate: float = 0.004
    l2: float = 0.5

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("ratios", "added", "group_dro", "coral", "replay", "elastic_weights", "earlier_answers"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {list(values)}; list each value only once.")
            if any(value <= 0 for value in values) and name != "ratios":
                raise ValueError(f"{name} is {list(values)}; give numbers above 0.")
        Mixtures(ratios=self.ratios, learning_rate=self.learning_rate, l2=self.l2)
        for name, most in (("added", 100), ("replay", 99)):
            if any(value > most for value in getattr(self, name)):
                raise ValueError(f"{name} is {list(getattr(self, name))}; each is a share up to {most} per cent.")
        if not 1 <= self.share <= 99:
            raise ValueError(f"share is {self.share}; give a whole number of per cent from 1 to 99.")


def list_arms(alternatives: Alternatives, seeds: Sequence[int], iterations: int) -> pd.DataFrame:
    """One row per model.

    Returns:
        ``trial``, ``arm`` (its name for people), ``approach`` (one of :data:`APPROACHES`), ``seed``, ``learning_rate``,
        ``l2``, ``real`` (per cent: of the mix, or of the real images), ``objective`` and ``strength``
        (:mod:`mixvision.training.sweep.objectives`), ``balanced`` (batches of as many nice as real images),
        ``trainable`` ("all" or "head", in the second training), ``replay``, ``begin`` (iterations of the training on
        nice images alone) and ``iterations`` (those after them).

    Raises:
        ValueError: ``share`` leaves one of both trainings without a step.
    """
    begin = round(iterations * alternatives.share / 100)
    if not 0 < begin < iterations:
        raise ValueError(
            f"iterations is {iterations}: too few for a share of {alternatives.share} per cent, which leaves one of "
            "both trainings without an iteration. Raise iterations, or change share."
        )
    arms = [*_mixes(alternatives), *_together(alternatives), *_in_turn(alternatives)]
    defaults = {"real": 100, "objective": CROSS_ENTROPY, "strength": 0.0, "balanced": False}
    defaults |= {"trainable": "all", "replay": 0}
    rows = []
    for seed in seeds:
        for arm in arms:
            first = begin if arm["approach"] == IN_TURN else 0
            name = f"{arm['trial']}-seed-{seed}"
            settings = {"learning_rate": alternatives.learning_rate, "l2": alternatives.l2}
            length = {"begin": first, "iterations": iterations - first}
            rows.append({**defaults, **arm, "trial": name, "seed": seed, **settings, **length})
    columns = ["trial", "arm", "approach", "seed", "learning_rate", "l2", *defaults, "begin", "iterations"]
    return pd.DataFrame(rows)[columns]


def choose_images(manifest: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The training images of every model.

    Fixed-size mixes have those of mixed training. All others see every nice image, and the real ones, or a share of
    them, category by category; a higher share adds images to a lower one. A replay adds nice images to the second
    training until they make up its share.

    Returns:
        One row per image, trial and phase ("only"; "first" and "second"): ``trial``, ``phase``, ``id``.

    Raises:
        ValueError: the training images are all of one domain.
    """
    mixes = trials[trials["approach"] == MIX]
    mixed = choose_training_sets(manifest, mixes.assign(ratio=mixes["real"]), balance=True)
    train = manifest[(manifest["status"] == "kept") & (manifest["split"] == "train")]
    parts = [mixed.assign(phase=ONLY)]
    for trial in trials[trials["approach"] != MIX].to_dict("records"):
        nice = np.sort(train.loc[train["domain"] == NICE, "id"])
        real = _share_of_real(train, trial["real"], trial["seed"])
        if trial["approach"] != IN_TURN:
            parts.append(_rows(trial, ONLY, [*nice, *real]))
            continue
        count = min(len(nice), round(len(real) * trial["replay"] / (100 - trial["replay"])))
        replayed = np.random.default_rng([trial["seed"], 2]).permutation(nice)[:count]
        parts += [_rows(trial, FIRST, nice), _rows(trial, SECOND, [*real, *replayed])]
    sets = pd.concat(parts, ignore_index=True)[["trial", "phase", "id"]]
    return sets.sort_values(["trial", "phase", "id"], ignore_index=True)


def batch_size(manifest: pd.DataFrame) -> int:
    """Images in a batch of every arm: a twentieth of a fixed-size mix, rounded down to an even number, at least 4.

    So a balanced batch has two images of each domain or more, without which there is no covariance.
    """
    trial = pd.DataFrame({"trial": ["mix"], "ratio": [50], "seed": [0]})
    images = len(choose_training_sets(manifest, trial, balance=True))
    return max(FEWEST_IN_BATCH, images // BATCHES_PER_EPOCH // 2 * 2)


def count_images(training_sets: pd.DataFrame, trials: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """How many different images of each domain every arm sees: ``arm``, ``nice_images``, ``real_images`` (largest)."""
    domains = manifest.set_index("id")["domain"]
    seen = training_sets.drop_duplicates(["trial", "id"])
    seen = seen.assign(domain=domains.loc[seen["id"]].to_numpy(dtype=object))
    counts = seen.groupby(["trial", "domain"]).size().unstack(fill_value=0).reindex(columns=DOMAINS, fill_value=0)
    of_arms = counts.join(trials.set_index("trial")["arm"]).groupby("arm").max().astype("int64")
    return of_arms.add_suffix("_images").reset_index()


def _mixes(alternatives: Alternatives) -> list[dict[str, Any]]:
    return [
        {"trial": f"mix-{ratio:03d}", "arm": f"mix, {ratio}% real", "approach": MIX, "real": ratio}
        for ratio in alternatives.ratios
    ]


def _together(alternatives: Alternatives) -> list[dict[str, Any]]:
    added = [
        {
            "trial": f"nice-and-{share:03d}",
            "arm": f"all nice + {share}% of real" if share < 100 else "all images",
            "approach": ADDED if share < 100 else TOGETHER,
            "real": share,
        }
        for share in alternatives.added
    ]
    both: list[dict[str, Any]] = [
        {"trial": "balanced", "arm": "balanced batches", "balanced": True},
        {"trial": "weights", "arm": "weights by domain", "objective": "domain_weights"},
        {"trial": "statistics", "arm": "statistics by domain", "objective": DOMAIN_STATISTICS, "balanced": True},
        *_strengths("group-dro", "group DRO", "group_dro", alternatives.group_dro),
        *_strengths("coral", "CORAL", "coral", alternatives.coral),
    ]
    return [*added, *({"approach": TOGETHER} | arm for arm in both)]


def _in_turn(alternatives: Alternatives) -> list[dict[str, Any]]:
    arms: list[dict[str, Any]] = [
        {"trial": "then-real", "arm": "fine-tuned on real"},
        {"trial": "then-real-head", "arm": "fine-tuned on real, head only", "trainable": "head"},
        *(
            {"trial": f"replay-{share:02d}", "arm": f"fine-tuned, {share}% replayed", "replay": share}
            for share in alternatives.replay
        ),
        *_strengths("ewc", "fine-tuned, EWC", "elastic_weights", alternatives.elastic_weights),
        *_strengths("lwf", "fine-tuned, LwF", "earlier_answers", alternatives.earlier_answers),
    ]
    return [arm | {"approach": IN_TURN, "balanced": False} for arm in arms]


def _strengths(trial: str, arm: str, objective: str, strengths: Sequence[float]) -> list[dict[str, Any]]:
    """An arm for each strength, with batches of as many nice as real images, which CORAL needs."""
    return [
        {
            "trial": f"{trial}-{strength:g}",
            "arm": f"{arm} {strength:g}",
            "objective": objective,
            "strength": float(strength),
            "balanced": True,
        }
        for strength in strengths
    ]


def _share_of_real(train: pd.DataFrame, per_cent: int, seed: int) -> list[str]:
    generator = np.random.default_rng([seed, 0])
    real = train[train["domain"] == REAL]
    shuffled = [generator.permutation(np.sort(own["id"])) for _, own in real.groupby("category")]
    counts = shares_of([len(own) for own in shuffled], per_cent)
    return [image for own, count in zip(shuffled, counts, strict=True) for image in own[:count]]


def _rows(trial: dict[str, Any], phase: str, ids: Sequence[str] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"trial": trial["trial"], "phase": phase, "id": list(ids)})
