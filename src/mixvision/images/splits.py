"""Splits that cannot leak: stratified by domain and category, near-duplicates together on one side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixvision.vocabulary import DOMAINS, SPLITS

METHODS = ("grouped", "plain")
STRATUM = ["domain", "category"]


@dataclass(frozen=True)
class Splits:
    """How the kept images are divided, in every domain and category alike.

    Args:
        method: "grouped" keeps clusters of near-duplicates whole; "plain" ignores them (as published studies
            often do).
        test: share of the images for testing, between 0 and 1, or a whole number of 1 or more: that many images of
            every category of every domain.
        validation: the same for validation; two shares must sum to less than 1.
        seed: 0 or more; the same seed gives the same splits.
        largest_cluster: a cluster with more than this share of a category's images is kept whole in training.
        test_only: "nice" or "real" to make all images of that domain an independent test set. Every cluster that
            holds one of them ("plain": only they) is then for testing; all other images are divided as above.
    """

    method: str = "grouped"
    test: float = 0.4
    validation: float = 0.1
    seed: int = 0
    largest_cluster: float = 0.5
    test_only: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}, but must be one of {METHODS}.")
        for name in ("test", "validation"):
            value = getattr(self, name)
            if not (0 < value < 1 or (value >= 1 and value % 1 == 0)):
                raise ValueError(
                    f"{name} is {value}, but must be a share between 0 and 1, or a whole number of images, 1 or more."
                )
        if self.test < 1 and 1 - self.test <= self.validation < 1:
            raise ValueError(f"validation is {self.validation}, but must be below 1 - test, {1 - self.test:g}.")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but must be 0 or more.")
        if not 0 < self.largest_cluster <= 1:
            raise ValueError(f"largest_cluster is {self.largest_cluster}, but must be a share above 0 and at most 1.")
        if self.test_only not in (None, *DOMAINS):
            raise ValueError(f"test_only is {self.test_only!r}, but must be one of {DOMAINS}, or null.")


def assign_splits(pictures: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """Return a copy of the table with the columns split and leaks.

    Clusters of several images are placed first, from the largest to the smallest, each into a split drawn at random
    among those with room for it, in proportion to the room left; single images, drawn at random, then fill every
    split up to its target. A cluster that fits nowhere goes where most room is left. A category of at least three
    clusters that has no validation images then gives up its smallest cluster for validation. Images that an
    independent test set (`Splits.test_only`) claims take no part in this.

    Args:
        pictures: kept images, columns id, domain, category, cluster.

    Returns:
        split: "train", "validation" or "test"; leaks: a held-out image whose cluster is also in training, or a test
        image whose cluster is also in validation, which chooses the iteration (possible with the plain split only).

    Raises:
        ValueError: a category is left without training or test images, or a domain without validation images; or all
            images belong to the domain that is for testing only.
    """
    claimed = _claimed_for_testing(pictures, splits)
    chosen = np.full(len(pictures), SPLITS.index("test"))
    chosen[~claimed] = _divide(pictures[~claimed], splits)
    result = pictures.assign(split=np.array(SPLITS)[chosen])
    _require_every_split(result[result["domain"] != splits.test_only])
    train, validation, test = (result["split"] == split for split in SPLITS)
    in_train, in_validation = (result["cluster"].isin(result.loc[split, "cluster"]) for split in (train, validation))
    return result.assign(leaks=(~train & in_train) | (test & in_validation))


def large_clusters(pictures: pd.DataFrame, largest_cluster: float) -> pd.DataFrame:
    """Clusters with more than this share of a category's images: columns domain, category, cluster, images, share."""
    images = pictures.groupby([*STRATUM, "cluster"]).size().rename("images").reset_index()
    share = images["images"] / images.groupby(STRATUM)["images"].transform("sum")
    return images.assign(share=share)[(share > largest_cluster) & (images["images"] > 1)].reset_index(drop=True)


def target_counts(sizes: np.ndarray, splits: Splits) -> np.ndarray:
    """Target numbers of each stratum's images in train, validation and test: int (strata, 3), rows sum to the sizes."""
    test = np.minimum(_count(splits.test, sizes), sizes)
    validation = np.maximum(_count(splits.validation, sizes), sizes - test > 1)
    validation = np.minimum(validation, sizes - test)
    return np.column_stack([sizes - test - validation, validation, test])


def _count(asked: float, sizes: np.ndarray) -> np.ndarray:
    return np.rint(sizes * asked).astype(int) if asked < 1 else np.full_like(sizes, int(asked))


def _claimed_for_testing(pictures: pd.DataFrame, splits: Splits) -> np.ndarray:
    """Which images an independent test set claims: its own and, if clusters are kept whole, their near-duplicates."""
    independent = pictures["domain"] == splits.test_only
    if len(pictures) and independent.all():
        raise ValueError(
            f"All images belong to the domain {splits.test_only!r}, which splits.test_only keeps for testing, so none "
            "are left for training: give images of the other domain, or set splits.test_only to null."
        )
    if splits.method == "grouped":
        independent = pictures["cluster"].isin(pictures.loc[independent, "cluster"])
    return independent.to_numpy()


def _divide(pictures: pd.DataFrame, splits: Splits) -> np.ndarray:
    """A position in SPLITS for every image, int ``(n,)``."""
    generator = np.random.default_rng(splits.seed)
    strata = pictures.groupby(STRATUM, sort=True).ngroup().to_numpy()
    cluster = pictures["cluster"].to_numpy()
    room = target_counts(np.bincount(strata), splits)
    chosen = np.full(len(pictures), -1)
    if splits.method == "grouped":
        _place_clusters(chosen, cluster, strata, room, splits, generator)
    _place_singles(chosen, strata, room, generator)
    if splits.method == "grouped":
        _fill_empty_validation(chosen, cluster, strata, splits, generator)
    return chosen


def _place_clusters(
    chosen: np.ndarray,
    cluster: np.ndarray,
    strata: np.ndarray,
    room: np.ndarray,
    splits: Splits,
    generator: np.random.Generator,
) -> None:
    """Place every cluster of two or more images whole; updates `chosen` and `room` in place."""
    stratum_sizes = np.bincount(strata)
    several = [members for members in pd.Series(cluster).groupby(cluster).indices.values() if len(members) > 1]
    order = generator.permutation(len(several))
    for members in sorted((several[i] for i in order), key=len, reverse=True):
        touched, needed = np.unique(strata[members], return_counts=True)
        if (needed > splits.largest_cluster * stratum_sizes[touched]).any():
            split = 0
        else:
            split = _draw(room[touched], needed, generator)
        chosen[members] = split
        room[touched, split] -= needed


def _draw(room: np.ndarray, needed: np.ndarray, generator: np.random.Generator) -> int:
    """A split for a cluster that needs `needed` (strata,) images of `room` (strata, 3)."""
    weights = np.where((room >= needed[:, None]).all(axis=0), room.sum(axis=0), 0)
    if not weights.any():
        return int(room.sum(axis=0).argmax())
    return int(generator.choice(len(SPLITS), p=weights / weights.sum()))


def _place_singles(chosen: np.ndarray, strata: np.ndarray, room: np.ndarray, generator: np.random.Generator) -> None:
    """Fill the room left with the images not yet placed, at random; the rest goes to training."""
    free = generator.permutation(np.flatnonzero(chosen < 0))
    for stratum, positions in pd.Series(free).groupby(strata[free]).indices.items():
        members = free[positions]
        _, validation, test = np.maximum(room[stratum], 0)
        chosen[members] = 0
        chosen[members[:test]] = 2
        chosen[members[test : test + validation]] = 1


def _fill_empty_validation(
    chosen: np.ndarray, cluster: np.ndarray, strata: np.ndarray, splits: Splits, generator: np.random.Generator
) -> None:
    """Give categories without validation images their smallest cluster that can be spared.

    Clusters larger than the validation target are never placed there otherwise.
    """
    for stratum in np.setdiff1d(strata, strata[chosen == 1]):
        clusters, sizes = np.unique(cluster[strata == stratum], return_counts=True)
        if len(clusters) < 3:
            continue
        order = generator.permutation(len(clusters))
        for name in sorted(order, key=sizes.__getitem__):
            members = np.flatnonzero(cluster == clusters[name])
            if _can_be_spared(members, chosen, strata, splits):
                chosen[members] = 1
                break


def _can_be_spared(members: np.ndarray, chosen: np.ndarray, strata: np.ndarray, splits: Splits) -> bool:
    """Whether a cluster may leave its split: all its strata keep other images there, and it is not too large."""
    touched, needed = np.unique(strata[members], return_counts=True)
    beside = np.bincount(strata[chosen == chosen[members[0]]])[touched]
    allowed = splits.largest_cluster * np.bincount(strata)[touched]
    return bool((needed < beside).all() and (needed <= allowed).all())


def _require_every_split(pictures: pd.DataFrame) -> None:
    counts = pictures.groupby([*STRATUM, "split"]).size().unstack(fill_value=0).reindex(columns=SPLITS, fill_value=0)
    for split in ("train", "test"):
        empty = [f"{domain} {category!r}" for domain, category in counts.index[counts[split] == 0]]
        if empty:
            raise ValueError(
                f"No {split} image is left for {', '.join(empty)}: there are too few images, or nearly all are "
                "near-duplicates of each other. Add other pictures, leave the category out, lower "
                "duplicates.difference, raise splits.largest_cluster, hold out fewer images with splits.test and "
                "splits.validation, or accept leaks with splits.method = plain."
            )
    held = counts["validation"].groupby("domain").sum()
    if (held == 0).any():
        raise ValueError(
            f"No validation image is left in {', '.join(held.index[held == 0])}: add other pictures, "
            "or raise splits.validation."
        )
