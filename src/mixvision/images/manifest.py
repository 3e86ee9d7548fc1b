"""The manifest: one row per file found in either domain, kept or excluded and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.images.categories import Categories, common_categories, large_categories
from mixvision.images.components import components_of
from mixvision.images.duplicates import Duplicates, clusters_of, exact_duplicates
from mixvision.images.outliers import Outliers, find_outliers
from mixvision.images.pairs import find_pairs
from mixvision.images.splits import Splits, assign_splits
from mixvision.images.store import ImageStore
from mixvision.schema.tables import EXCLUDED_FILES, MANIFEST


def build_manifest(
    nice: ImageStore,
    real: ImageStore,
    categories: Categories,
    outliers: Outliers,
    duplicates: Duplicates,
    folder: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join both inventories, decide every exclusion, and find out which images belong together; splits come later.

    A store without files stands for a domain that the study does not have; the rest works as with two domains.
    Exclusions are made in this order: files outside the layout and undecodable ones, categories of one domain only,
    outliers, exact duplicates, categories with too few images.

    Args:
        nice, real: the decoded images.
        categories, outliers, duplicates: what is left out, and what counts as a near-duplicate.
        folder: where `find_pairs` keeps what it finds.

    Returns:
        the manifest, sorted by id, with split "" and leaks False everywhere; and the pairs of
        near-duplicates, columns id_a, id_b.

    Raises:
        ValueError: the categories do not match or hold too few images.
    """
    manifest = pd.concat([nice.inventory, real.inventory], ignore_index=True)
    manifest["id"] = manifest["domain"] + "/" + manifest["path"]
    manifest["status"] = np.where(manifest["reason"] == "", "kept", "excluded")
    manifest = manifest.sort_values("id", ignore_index=True)
    names = {domain: set(store.inventory["category"]) - {""} for domain, store in (("nice", nice), ("real", real))}
    domains = [domain for domain, found in names.items() if found]
    common = common_categories(names["nice"], names["real"], categories)
    unmatched = manifest.loc[~manifest["category"].isin(common), "id"]
    _exclude(manifest, pd.Series("category in one domain only", index=unmatched, dtype=object))
    _exclude(manifest, find_outliers(_kept(manifest), outliers))
    _exclude(manifest, exact_duplicates(_kept(manifest)))
    kept = _kept(manifest)
    small = kept.loc[~kept["category"].isin(large_categories(kept, common, domains, categories)), "id"]
    _exclude(manifest, pd.Series("category with too few images", index=small, dtype=object))
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
    manifest: pd.DataFrame, unmapped: Mapping[str, Mapping[str, int]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The excluded files with their reasons, and how many there are.

    Args:
        unmapped: by domain, the folders that the mapping leaves out, with their numbers of files; these files are not
            in the manifest.

    Returns:
        columns id, domain, category, path, reason; and columns domain, kind (of reason), files.
    """
    excluded = manifest[manifest["status"] == "excluded"]
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
