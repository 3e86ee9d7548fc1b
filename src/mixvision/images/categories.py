"""The categories of a study: those with enough images in each of its domains, one or two."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from mixvision.parameter_types import require_choice, require_types

logger = logging.getLogger(__name__)

LEAVE_OUT = "leave out"
WAYS = (LEAVE_OUT, "error")
TOO_FEW = "category with too few images"
REASONS_NAMED = 3
NO_IMAGES = (
    "The study has no images: set nice.source, real.source or both in its globals.yml, or give --params=nice=<folder, "
    "archive or URL>, or the same for real."
)
NEEDS_BOTH = (
    "This pipeline needs images of both domains to train on, but the study has none of the domain {domain!r}: set "
    "{domain}.source in its globals.yml or give --params={domain}=<folder, archive or URL> (and leave "
    "splits.test_only at null), or run the pipelines baselines or transfer, which need only one domain."
)
SAME_SOURCE = (
    "nice.source and real.source are the same, {source}: give each domain its own images, or set one of them to null "
    "in the study's globals.yml (the pipelines baselines and transfer need only one domain)."
)


@dataclass(frozen=True)
class Categories:
    """Which categories are accepted.

    Args:
        unmatched: "leave out" categories that only one of two domains has, with a warning that names them, or
            "error".
        minimum: the fewest kept images a category may have in each domain, 1 or more. Splits need more: see `Splits`.
        too_few: "error", or "leave out" categories with fewer images, with a warning that names them.
    """

    unmatched: str = "leave out"
    minimum: int = 10
    too_few: str = "error"

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("unmatched", "too_few"):
            require_choice(name, getattr(self, name), WAYS)
        if self.minimum < 1:
            raise ValueError(f"minimum is {self.minimum} images, but must be 1 or more.")


def shared_categories(nice: Collection[str], real: Collection[str]) -> list[str]:
    """The categories that both domains have, or those of the only domain, sorted."""
    return sorted(set(nice) & set(real) if nice and real else set(nice) | set(real))


def common_categories(nice: Collection[str], real: Collection[str], categories: Categories) -> list[str]:
    """The categories that both domains have, or those of the only domain, sorted.

    Args:
        nice, real: the categories found in each domain; if there are none, the study does not have the domain.
        categories: how to treat those that only one of two domains has.

    Raises:
        ValueError: both domains are absent, fewer than two categories are left, or some are unmatched and the study
            forbids it.
    """
    if not nice or not real:
        return _categories_of_one_domain(nice, real)
    common = shared_categories(nice, real)
    unmatched = _name_unmatched("nice", nice, real) + _name_unmatched("real", real, nice)
    named = "; ".join(unmatched)
    if len(common) < 2:
        raise ValueError(
            f"Too few categories are in both domains: {len(common)}, but at least two are needed. "
            "Give the folders of both domains the same names, or map them by a file of names (mapping, below the "
            f"domain in globals.yml).{f' In one domain only: {named}.' if unmatched else ''}"
        )
    if unmatched and categories.unmatched == "error":
        raise ValueError(
            f"Some categories are in one domain only: {named}. Rename or map them, "
            'or set categories.unmatched to "leave out".'
        )
    if unmatched:
        logger.warning("Left out categories that are in one domain only: %s.", named)
    return common


def few_images(
    kept: pd.DataFrame, common: Collection[str], domains: Collection[str], minimum: int
) -> list[tuple[str, str, int]]:
    """Category, domain and number of images, wherever these are fewer than the minimum.

    Args:
        kept: columns domain, category.
        common: the categories to look at.
        domains: those of the study.
        minimum: how many are enough.
    """
    counts = kept.groupby(["domain", "category"]).size()
    places = [(category, domain) for domain in domains for category in sorted(common)]
    numbers = [(category, domain, int(counts.get((domain, category), 0))) for category, domain in places]
    return [place for place in numbers if place[2] < minimum]


def large_categories(
    images: pd.DataFrame, common: Collection[str], domains: Collection[str], categories: Categories
) -> list[str]:
    """The categories that have enough kept images in every domain, sorted.

    Args:
        images: columns domain, category, status, reason.
        common: the categories to look at.
        domains: those of the study.
        categories: how many images are enough, and how to treat a category with fewer.

    Raises:
        ValueError: some have fewer images than the minimum and may not be left out, or fewer than two would remain;
            the message names every such category and domain, and why images were excluded.
    """
    counted = images[(images["status"] == "kept") | (images["reason"] == TOO_FEW)]
    few = few_images(counted, common, domains, categories.minimum)
    large = sorted(set(common) - {category for category, _, _ in few})
    if few and (categories.too_few == "error" or len(large) < 2):
        names = ", ".join(f"{domain} {name!r} ({count}{_why(images, domain, name)})" for name, domain, count in few)
        if _are_copies(images):
            raise ValueError(
                "Every file of one domain is a copy of one of the other: are both sources the same folder? Give each "
                "domain its own images."
            )
        raise ValueError(
            f"Too few usable images, below categories.minimum = {categories.minimum}: {names}. "
            'Add images, lower the minimum, or set categories.too_few to "leave out" (at least two categories must '
            "remain). "
            "excluded_files.csv in the study's ingestion reports lists every excluded file."
        )
    if few:
        names = ", ".join(f"{domain} {category!r} ({count})" for category, domain, count in few)
        logger.warning("Left out categories with fewer than %d images in a domain: %s.", categories.minimum, names)
    return large


def _are_copies(images: pd.DataFrame) -> bool:
    """Whether all files of a domain are exact duplicates of those of the other."""
    copies = [
        reason.startswith(f"exact duplicate: of {'real' if domain == 'nice' else 'nice'}/")
        for domain, reason in zip(images["domain"], images["reason"], strict=True)
    ]
    return bool(pd.Series(copies, images.index, dtype=bool).groupby(images["domain"]).all().any())


def _why(images: pd.DataFrame, domain: str, category: str) -> str:
    """Why images of a category were excluded: "; excluded: 24 unsupported image: JPEG XL"."""
    here = (images["domain"] == domain) & (images["category"] == category) & (images["status"] == "excluded")
    reasons = images.loc[here & (images["reason"] != TOO_FEW), "reason"]
    if reasons.empty:
        return ""
    kinds = reasons.groupby(reasons.str.split(":").str[0]).agg(["size", "first"]).sort_values("size", ascending=False)
    named = [f"{count} {first}" for count, first in kinds.head(REASONS_NAMED).itertuples(index=False)]
    return f"; excluded: {', '.join(named)}" + (", ..." if len(kinds) > REASONS_NAMED else "")


def _categories_of_one_domain(nice: Collection[str], real: Collection[str]) -> list[str]:
    if not nice and not real:
        raise ValueError(NO_IMAGES)
    domain, found = ("nice", nice) if nice else ("real", real)
    if len(found) < 2:
        raise ValueError(
            f"The images of the only domain, {domain!r}, are all in the category {next(iter(found))!r}, but at "
            "least two categories are needed: put images in one folder per category."
        )
    return sorted(found)


def _name_unmatched(domain: str, names: Collection[str], others: Collection[str]) -> list[str]:
    folded = {other.casefold(): other for other in others}
    sentences = []
    for name in sorted(set(names) - set(others)):
        near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
        hint = f" (did you mean {folded[near[0]]!r}?)" if near else ""
        sentences.append(f"only {domain} has {name!r}{hint}")
    return sentences
