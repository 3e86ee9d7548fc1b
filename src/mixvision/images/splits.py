"""Splits that cannot leak: stratified by domain and category, near-duplicates and groups together on one side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mixvision.images.components import components_of
from mixvision.images.division import TEST, TRAIN, VALIDATION, divide, units_of
from mixvision.parameter_types import require_choice, require_types
from mixvision.vocabulary import DOMAINS, SPLITS

METHODS = ("grouped", "plain", "published")
ON_SINGLE_GROUP = ("refuse", "train", "divide")
STRATUM = ["domain", "category"]


@dataclass(frozen=True)
class Splits:
    """How the kept images are divided, in every domain and category alike.

    Args:
        method: "grouped" keeps components whole, which are near-duplicates and groups linked together; "plain" ignores
            them (as published studies often do). "published" takes the splits that a published data set comes with as
            they are, and counts what leaks: images without one are divided as by "grouped". Of a domain that is
            published without validation images, some training images are for validation; without test images, those for
            validation are for testing.
        test: share of the images for testing, between 0 and 1, or a whole number of 1 or more: that many images of
            every category of every domain.
        validation: the same for validation; two shares must sum to less than 1.
        seed: 0 or more; the same seed gives the same splits.
        largest_cluster: a component with more than this share of a category's images is too large to be held out, and
            is kept whole in training.
        on_single_group: what to do with a category of a domain of which therefore nothing is left to be tested, such
            as one whose images are a single group. "refuse" is an error. "train" accepts that it is trained on and
            not tested. "divide" splits a group that holds all images of a category, but not its near-duplicates, and
            counts what leaks.
        test_only: "nice" or "real" to make all images of that domain an independent test set. Every component that
            holds one of them ("plain": only they) is then for testing; all other images are divided as above.
    """

    method: str = "grouped"
    test: float = 0.4
    validation: float = 0.1
    seed: int = 0
    largest_cluster: float = 0.5
    on_single_group: str = "refuse"
    test_only: str | None = None

    def __post_init__(self) -> None:
        require_types(self)
        require_choice("method", self.method, METHODS)
        require_choice("on_single_group", self.on_single_group, ON_SINGLE_GROUP)
        require_choice("test_only", self.test_only, (*DOMAINS, None))
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


def assign_splits(pictures: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """Return a copy of the table with the columns split and leaks.

    Components too large to be held out go to training. The others of several images follow, from the largest to the
    smallest: each has a fixed order of preference among the splits, drawn in proportion to the targets, and takes the
    first with room for it; if it fits nowhere, it goes where most room is left. Single images, in a fixed random order,
    then fill every split up to its target. At last a category that got nothing in a split gives up the smallest
    component that it can spare. Images that an independent test set (`Splits.test_only`) claims take no part in this.

    All that is drawn depends on the seed and the ids alone. So the order of the rows and the machine make no
    difference, and another image changes nothing in categories that no component links with its own. In its own
    category it moves at most three others if no two images there belong together; otherwise it may move components.

    Each split has its target in a category up to the size of the category's largest component, unless components are
    too large, link categories or were given up.

    Args:
        pictures: kept images, columns id, domain, category, cluster, group, component.

    Returns:
        split: "train", "validation" or "test"; leaks: a held-out image whose component is also in training, or a test
        image whose component is also in validation, which chooses the iteration (possible with the plain split, and if
        a single group is divided).

    Raises:
        ValueError: a category is left without training images or, unless on_single_group is "train", test images, or a
            domain without validation or test images; or all images belong to the domain that is for testing only.
    """
    result = _assign(pictures, splits)
    _require_every_split(result[result["domain"] != splits.test_only], splits)
    return result


def plain_splits(pictures: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """As `assign_splits`, but a plain random split, whatever it leaves empty: what the audit compares with."""
    return _assign(pictures, replace(splits, method="plain"))


def of_single_components(pictures: pd.DataFrame, splits: Splits) -> np.ndarray:
    """Which images belong to a category that has a single component in their domain, which is not for testing only."""
    components = pictures.groupby(STRATUM)["component"].transform("nunique")
    return ((components == 1) & (pictures["domain"] != splits.test_only)).to_numpy()


def large_components(pictures: pd.DataFrame, largest_cluster: float) -> pd.DataFrame:
    """Components with more than this share of a category: columns domain, category, component, images, share."""
    images = pictures.groupby([*STRATUM, "component"]).size().rename("images").reset_index()
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


def _assign(pictures: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    single = of_single_components(pictures, splits)
    chosen = _fixed(pictures, splits)
    free = chosen < 0
    chosen[free] = _divide(pictures[free], single[free], splits)
    if splits.method == "published":
        _choose_validation(chosen, pictures, splits)
    component = pictures["component"]
    in_train, in_validation = (component.isin(component[chosen == split]) for split in (TRAIN, VALIDATION))
    leaks = ((chosen != TRAIN) & in_train) | ((chosen == TEST) & in_validation)
    return pictures.assign(split=np.array(SPLITS)[chosen], leaks=leaks)


def _fixed(pictures: pd.DataFrame, splits: Splits) -> np.ndarray:
    """The position in SPLITS of every image whose split is not drawn, or -1: int (n,)."""
    claimed = _claimed_for_testing(pictures, splits)
    if splits.method != "published":
        return np.where(claimed, TEST, -1)
    names = pictures["published"]
    if not names.any():
        raise ValueError(
            'method is "published", but no source names splits: let its layout do so, as in "{split}/{category}/**", '
            "or give a table by the source's setting split."
        )
    for domain in DOMAINS:
        own = pictures["domain"] == domain
        if not (names[own] == "test").any():
            names = names.mask(own & (names == "validation"), "test")
    fixed = names.map({"": -1} | {split: position for position, split in enumerate(SPLITS)})
    fixed = fixed.mask(claimed, TEST)
    known = fixed[fixed >= 0].groupby(pictures["component"]).min()  # training, if it is in several
    return fixed.where(fixed >= 0, pictures["component"].map(known).fillna(-1)).to_numpy(int, copy=True)


def _choose_validation(chosen: np.ndarray, pictures: pd.DataFrame, splits: Splits) -> None:
    """Give domains that are published without validation images some of their training images, in place."""
    published = pictures["published"] != ""
    for domain in pictures.loc[published, "domain"].unique():
        own = (published & (pictures["domain"] == domain)).to_numpy()
        if not (chosen[own] == VALIDATION).any():
            training = np.flatnonzero(own & (chosen == TRAIN))
            chosen[training] = _divide(pictures.iloc[training], np.zeros(len(training), bool), splits, tested=False)


def _claimed_for_testing(pictures: pd.DataFrame, splits: Splits) -> np.ndarray:
    """Which images an independent test set claims: its own and, if components are kept whole, all of theirs."""
    independent = pictures["domain"] == splits.test_only
    if len(pictures) and independent.all():
        raise ValueError(
            f"All images belong to the domain {splits.test_only!r}, which splits.test_only keeps for testing, so none "
            "are left for training: give images of the other domain, or set splits.test_only to null."
        )
    if splits.method != "plain":
        independent = pictures["component"].isin(pictures.loc[independent, "component"])
    return independent.to_numpy()


def _divide(pictures: pd.DataFrame, single: np.ndarray, splits: Splits, tested: bool = True) -> np.ndarray:
    """A position in SPLITS for every image, int ``(n,)``.

    Args:
        pictures: what is divided.
        single: which images are of a category of a single component.
        splits: the settings.
        tested: False for training and validation only.
    """
    whole = splits.method != "plain"
    together = pd.factorize(pictures["component"])[0] if whole else np.arange(len(pictures))
    if whole and splits.on_single_group == "divide":
        apart = len(pictures) + components_of(pictures.assign(group=pictures["group"].mask(single, "")))
        divided = np.isin(together, together[single])
        together = pd.factorize(np.where(divided, apart, together))[0]
    strata = pictures.groupby(STRATUM, sort=True).ngroup().to_numpy()
    units = units_of(together, strata, pictures["id"].to_list(), splits.seed)
    targets = target_counts(np.bincount(strata), splits)
    if not tested:
        targets += np.outer(targets[:, TEST], [1, 0, -1])
    return divide(units, targets, splits.largest_cluster, whole)[together]


def _require_every_split(pictures: pd.DataFrame, splits: Splits) -> None:
    counts = pictures.groupby([*STRATUM, "split"]).size().unstack(fill_value=0).reindex(columns=SPLITS, fill_value=0)
    components = pictures.groupby(STRATUM)["component"].nunique()
    single = (components == 1) & (counts.sum(axis=1) > 1) & (splits.method == "grouped")
    for split in ("train", "test"):
        empty = counts.index[counts[split] == 0]
        if len(empty) and not (split == "test" and splits.on_single_group == "train"):
            why = ", ".join(
                f"{domain} {category!r} ({counts.loc[(domain, category)].sum()} images"
                + (", all of one group or near-duplicates)" if single[domain, category] else ")")
                for domain, category in empty
            )
            raise ValueError(f"No {split} image is left for {why}. {_remedy(bool(single[empty].all()), splits)}")
    for split in ("validation", "test"):
        held = counts[split].groupby("domain").sum()
        if (held == 0).any():
            domains = ", ".join(held.index[held == 0])
            found = pictures[pictures["domain"].isin(held.index[held == 0])].groupby("domain")["component"].nunique()
            advice = f"add other pictures, or raise splits.{split}."
            if splits.method == "grouped" and found.max() < len(SPLITS):
                advice = (
                    f"its images are of only {found.max()} groups (or near-duplicates), which are not divided over "
                    f"{len(SPLITS)} splits. Add images of others, or correct the source's group in globals.yml."
                )
            raise ValueError(f"No {split} image is left in {domains}: {advice}")


def _remedy(single: bool, splits: Splits) -> str:
    """What to do about categories; `single` says whether each of them has a single component of images."""
    if splits.method == "published":
        return "The published splits have none: correct their names, or let ingestion.splits.method be grouped."
    if single:
        return (
            "Add images of other objects, or set ingestion.splits.on_single_group to train (without testing the "
            "category) or divide (its test images then leak). If these do show different objects, correct the source's "
            "group, or set ingestion.duplicates.altered_copies to false if they were taken for near-duplicates."
        )
    return (
        "There are too few images, or nearly all are of one group or near-duplicates of each other. Add other "
        "pictures, leave the category out, raise splits.largest_cluster, hold out fewer images with splits.test and "
        "splits.validation, train on the category without testing it with splits.on_single_group, or accept leaks "
        "with splits.method = plain."
    )
