"""The manifest: one row per file found in either domain, kept or excluded and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.images.categories import (
    LEAVE_OUT,
    TOO_FEW,
    Categories,
    common_categories,
    few_images,
    large_categories,
    shared_categories,
)
from mixvision.images.components import components_of
from mixvision.images.duplicates import Duplicates, clusters_of, exact_duplicates
from mixvision.images.outliers import Outliers, find_outliers
from mixvision.images.pairs import find_pairs
from mixvision.images.splits import Splits, assign_splits
from mixvision.images.store import ImageStore
from mixvision.schema.tables import EXCLUDED_FILES, MANIFEST, SELECTED_IMAGES
from mixvision.vocabulary import DOMAINS


def select_images(nice: ImageStore, real: ImageStore, categories: Categories, outliers: Outliers) -> pd.DataFrame:
    """Join both inventories and decide every exclusion; whether enough is left is checked by `require_images`.

    A store without files stands for a domain that the study does not have; the rest works as with two domains.
    Exclusions are made in this order: files outside the layout and undecodable ones, categories of one domain only,
    outliers, exact duplicates, categories with too few images if these are left out.

    Args:
        nice, real: the decoded images.
        categories, outliers: what is left out.

    Returns:
        one row per file, sorted by id: the columns of the manifest up to published.
    """
    images = pd.concat([nice.inventory, real.inventory], ignore_index=True)
    images["id"] = images["domain"] + "/" + images["path"]
    images["status"] = np.where(images["reason"] == "", "kept", "excluded")
    images = images.sort_values("id", ignore_index=True)
    names = _names(images)
    common = shared_categories(names["nice"], names["real"])
    unmatched = images.loc[~images["category"].isin(common), "id"]
    _exclude(images, pd.Series("category in one domain only", index=unmatched, dtype=object))
    _exclude(images, find_outliers(_kept(images), outliers))
    _exclude(images, exact_duplicates(_kept(images)))
    if categories.too_few == LEAVE_OUT:
        kept = _kept(images)
        domains = [domain for domain, found in names.items() if found]
        few = {category for category, _, _ in few_images(kept, common, domains, categories.minimum)}
        small = kept.loc[kept["category"].isin(few), "id"]
        _exclude(images, pd.Series(TOO_FEW, index=small, dtype=object))
    return images[SELECTED_IMAGES.names]


def require_images(selected: pd.DataFrame, categories: Categories) -> None:
    """Check that enough categories have enough images; warn of those that are left out.

    Args:
        selected: from :func:`select_images`.
        categories: how many are enough.

    Raises:
        ValueError: the categories do not match or hold too few images; the message says why images were excluded.
    """
    names = _names(selected)
    common = common_categories(names["nice"], names["real"], categories)
    large_categories(selected, common, [domain for domain, found in names.items() if found], categories)


def build_manifest(
    selected: pd.DataFrame, nice: ImageStore, real: ImageStore, duplicates: Duplicates, folder: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find out which of the selected images belong together; splits come later.

    Args:
        selected: from :func:`select_images`.
        nice, real: the decoded images.
        duplicates: what counts as a near-duplicate.
        folder: where `find_pairs` keeps what it finds.

    Returns:
        the manifest, sorted by id, with split "" and leaks False everywhere; and the pairs of
        near-duplicates, columns id_a, id_b.
    """
    manifest = selected.copy()
    kept = _kept(manifest)
    pairs = find_pairs(kept, nice, real, duplicates, folder)
    kept = kept.assign(cluster=clusters_of(len(kept), pairs))
    manifest["cluster"] = manifest["component"] = np.int64(-1)
    manifest.loc[kept.index, "cluster"] = kept["cluster"]
    manifest.loc[kept.index, "component"] = components_of(_with_copies(kept, manifest))[: len(kept)]
    ids = kept["id"].to_numpy()
    manifest = manifest.assign(split="", leaks=False)[MANIFEST.names]
    return manifest, pd.DataFrame({"id_a": ids[pairs[:, 0]], "id_b": ids[pairs[:, 1]]}, dtype=str)


def split_manifest(manifest: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """The manifest with its kept images assigned to splits; see `assign_splits`."""
    kept = assign_splits(_kept(manifest), splits)
    manifest = manifest.copy()
    manifest.loc[kept.index, ["split", "leaks"]] = kept[["split", "leaks"]]
    return manifest


def excluded_files(
    images: pd.DataFrame, unmapped: Mapping[str, Mapping[str, int]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The excluded files with their reasons, and how many there are.

    Args:
        images: a manifest, or the images of :func:`select_images`.
        unmapped: by domain, the folders that the mapping leaves out, with their numbers of files; these files are not
            in the manifest.

    Returns:
        columns id, domain, category, path, reason; and columns domain, kind (of reason), files.
    """
    excluded = images[images["status"] == "excluded"]
    kind = excluded["reason"].str.split(":").str[0].rename("kind")
    counts = excluded.groupby(["domain", kind]).size().rename("files").reset_index()
    folders = [
        (domain, f"folder not in the mapping: {folder}", files)
        for domain, found in unmapped.items()
        for folder, files in found.items()
    ]
    if folders:
        counts = pd.concat([counts, pd.DataFrame(folders, columns=counts.columns)], ignore_index=True)
    return excluded[EXCLUDED_FILES.names].reset_index(drop=True), counts


def _names(images: pd.DataFrame) -> dict[str, set[str]]:
    """The categories found in each domain."""
    return {domain: set(images.loc[images["domain"] == domain, "category"]) - {""} for domain in DOMAINS}


def _kept(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[manifest["status"] == "kept"]


def _with_copies(kept: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """The kept images, then their exact copies in the same clusters: a copy's group shows what the kept image does."""
    copies = manifest[manifest["reason"].str.startswith("exact duplicate")]
    clusters = copies["pixels_sha256"].map(kept.drop_duplicates("pixels_sha256").set_index("pixels_sha256")["cluster"])
    return pd.concat([kept, copies.assign(cluster=clusters).dropna(subset="cluster")])


def _exclude(manifest: pd.DataFrame, reasons: pd.Series) -> None:
    """Exclude, in place, the kept rows that the index of `reasons` names; others keep their first reason."""
    rows = manifest["id"].isin(reasons.index) & (manifest["status"] == "kept")
    manifest.loc[rows, "reason"] = manifest.loc[rows, "id"].map(reasons)
    manifest.loc[rows, "status"] = "excluded"
