"""Mixed training: which models to train, and which images each of them is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixvision.images.categories import NEEDS_BOTH
from mixvision.training.config import is_number
from mixvision.vocabulary import DOMAINS


@dataclass(frozen=True)
class Mixtures:
    """The models of a mixed-training study: every ratio with every seed.

    Attributes:
        ratios: shares of real images in the training set, whole per cent from 0 to 100.
        seeds: one model of each ratio is trained per seed, which decides its images, first weights and batches.
        balance: reduce the larger domain to the size of the smaller in each category, so that a ratio changes the
            mixture and not the amount of training data.
        learning_rate: initial learning rate (the study's best: 0.004).
        l2: factor on half the sum of squared weights (the study's best: 0.5).
    """

    ratios: tuple[int, ...] = tuple(range(0, 101, 10))
    seeds: tuple[int, ...] = (0,)
    balance: bool = True
    learning_rate: float = 0.004
    l2: float = 0.5

    def __post_init__(self) -> None:
        for name in ("ratios", "seeds"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not values or not all(type(v) is int for v in values):
                raise ValueError(f"{name} is {values!r}; give a list of one or more whole numbers.")
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values!r}; list each value only once.")
            object.__setattr__(self, name, tuple(values))
        if not all(0 <= ratio <= 100 for ratio in self.ratios):
            raise ValueError(f"ratios is {list(self.ratios)}; each is a share of real images from 0 to 100 per cent.")
        if min(self.seeds) < 0:
            raise ValueError(f"the parameter seeds is {list(self.seeds)}; give numbers of 0 or more.")
        if type(self.balance) is not bool:
            raise ValueError(f"balance is {self.balance!r}; give true or false.")
        if not is_number(self.learning_rate) or self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate!r}; give a number above 0, such as 0.004.")
        if not is_number(self.l2) or self.l2 < 0:
            raise ValueError(f"l2 is {self.l2!r}; give a number of 0 or more, such as 0.5.")


def list_trials(mixtures: Mixtures) -> pd.DataFrame:
    """List the models to train, one row per model: trial (its name), ratio, seed, learning_rate, l2."""
    return pd.DataFrame(
        [
            {
                "trial": f"ratio-{ratio:03d}-seed-{seed}",
                "ratio": ratio,
                "seed": seed,
                "learning_rate": mixtures.learning_rate,
                "l2": mixtures.l2,
            }
            for seed in mixtures.seeds
            for ratio in mixtures.ratios
        ]
    )


def require_both_domains(images: pd.DataFrame) -> None:
    """Refuse images of a single domain, which leave nothing to mix.

    Raises:
        ValueError: names the missing domain, what to set, and the pipelines that work without it.
    """
    for domain in DOMAINS:
        if not (images["domain"] == domain).any():
            raise ValueError(NEEDS_BOTH.format(domain=domain))


def choose_training_sets(manifest: pd.DataFrame, trials: pd.DataFrame, balance: bool) -> pd.DataFrame:
    """Choose x% of the real training images and (100 - x)% of the nice ones, category by category.

    Rounding errors are balanced across categories, so the whole set has the ratio. A seed orders the images in the same
    way for all ratios: a higher ratio adds real images to those of a lower one and removes nice ones, so neighbouring
    models differ as little as possible.

    Args:
        manifest: one row per image: id, domain, category, status, split.
        trials: one row per trial: trial, ratio, seed.
        balance: see :class:`Mixtures`. Without it, the shares are taken of each domain's own number of images.

    Returns:
        One row per trial and image: trial, id; sorted by both.

    Raises:
        ValueError: the training images are all of one domain.
    """
    train = manifest[(manifest["status"] == "kept") & (manifest["split"] == "train")]
    require_both_domains(train)
    chosen = []
    for trial in trials.itertuples():
        generator = np.random.default_rng([trial.seed, 0])
        nice, real = [], []
        for _, category in train.groupby("category"):
            ids = [np.sort(category.loc[category["domain"] == domain, "id"]) for domain in DOMAINS]
            shuffled = [generator.permutation(own) for own in ids]
            smaller = min(map(len, shuffled)) if balance else None
            nice.append(shuffled[0][:smaller])
            real.append(shuffled[1][:smaller])
        from_real = shares_of([len(images) for images in real], trial.ratio)
        if balance:
            from_nice = [len(images) - count for images, count in zip(nice, from_real, strict=True)]
        else:
            from_nice = shares_of([len(images) for images in nice], 100 - trial.ratio)
        for images, count in zip(nice + real, [*from_nice, *from_real], strict=True):
            chosen += [(trial.trial, image) for image in images[:count]]
    return pd.DataFrame(chosen, columns=["trial", "id"]).sort_values(["trial", "id"], ignore_index=True)


def shares_of(sizes: list[int], per_cent: int) -> list[int]:
    """That share of each size, rounded so that their sum is the share of the total: largest remainders round up."""
    exact = np.array(sizes) * per_cent
    counts = exact // 100
    short = round(exact.sum() / 100) - counts.sum()
    counts[np.argsort(-(exact % 100), kind="stable")[:short]] += 1
    return counts.tolist()
