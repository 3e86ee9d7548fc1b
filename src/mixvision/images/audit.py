"""The audit of the splits: what is in them, what would have leaked, and a check that nothing crosses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mixvision.images.splits import STRATUM, Splits, assign_splits, large_clusters, target_counts
from mixvision.vocabulary import SPLITS

FAR = 0.1  # a category is named if the share of one of its splits is further than this from the target


def audit_splits(manifest: pd.DataFrame) -> pd.DataFrame:
    """One row per domain and category of the kept images.

    Returns:
        columns domain, category, images, clusters, largest_cluster (images), single_object (all images are in one
        cluster, as when one object was turned in front of the camera), train, validation, test, leaks.
    """
    kept = manifest[manifest["status"] == "kept"]
    grouped = kept.groupby(STRATUM)
    sizes = kept.groupby([*STRATUM, "cluster"]).size()
    counts = kept.groupby([*STRATUM, "split"]).size().unstack(fill_value=0).reindex(columns=SPLITS, fill_value=0)
    table = pd.DataFrame(
        {
            "images": grouped.size(),
            "clusters": grouped["cluster"].nunique(),
            "largest_cluster": sizes.groupby(STRATUM).max(),
        }
    )
    table["single_object"] = (table["clusters"] == 1) & (table["images"] > 1)
    return table.join(counts).join(grouped["leaks"].sum().astype(int)).reset_index()


def summarise_audit(manifest: pd.DataFrame, pairs: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """Summarise how the splits treat near-duplicates, one finding per row: columns finding, count, detail.

    Args:
        manifest: with its splits.
        pairs: near-duplicates, columns id_a, id_b.
        splits: the settings by which they were assigned.

    Raises:
        RuntimeError: near-duplicates are in different splits although the splits are grouped.
    """
    kept = manifest[manifest["status"] == "kept"].set_index("id")
    plain = assign_splits(kept.reset_index(), replace(splits, method="plain")).set_index("id")
    crossing = _count_different(kept["split"], pairs)
    if splits.method == "grouped" and (crossing or kept["leaks"].any()):
        raise RuntimeError(f"{crossing} pairs of near-duplicates cross the splits: this is a bug in Mixvision.")
    independent = kept.loc[kept["domain"] == splits.test_only, "cluster"]
    large = large_clusters(kept.reset_index(), splits.largest_cluster)
    large = large[~large["cluster"].isin(independent)]  # an independent test set has no limit
    audit = audit_splits(manifest)
    singles = audit[audit["single_object"]]
    divided = audit[audit["domain"] != splits.test_only]
    without, far = divided[divided["validation"] == 0], _far_from_asked(divided, splits)
    largest = audit.loc[audit["largest_cluster"].idxmax()]
    share = largest["largest_cluster"] / largest["images"]
    findings = [
        ("near-duplicate pairs", len(pairs), ""),
        ("near-duplicate pairs across categories", _count_different(kept["category"], pairs), ""),
        ("near-duplicate pairs across domains", _count_different(kept["domain"], pairs), ""),
        (
            "pairs a plain random split would leak",
            _count_different(plain["split"], pairs),
            f"seed {splits.seed}",
        ),
        ("held-out images a plain random split would leak", int(plain["leaks"].sum()), f"seed {splits.seed}"),
        ("pairs crossing in the splits used", crossing, f"method {splits.method}"),
        ("held-out images leaking in the splits used", int(kept["leaks"].sum()), f"method {splits.method}"),
        (
            "images in the largest cluster",
            int(largest["largest_cluster"]),
            f"{largest['domain']} {largest['category']}, {share:.0%} of its images",
        ),
        ("clusters too large for the splits", len(large), _what_was_done(large, splits)),
        ("categories of a single object", len(singles), _names(singles)),
        ("categories without validation images", len(without), _names(without)),
        ("categories whose splits differ from what was asked", len(far), _names_and_shares(far)),
    ]
    return pd.DataFrame(findings, columns=["finding", "count", "detail"])


def _count_different(values: pd.Series, pairs: pd.DataFrame) -> int:
    return int(np.sum(values[pairs["id_a"]].to_numpy() != values[pairs["id_b"]].to_numpy()))


def _what_was_done(large: pd.DataFrame, splits: Splits) -> str:
    if large.empty:
        return ""
    done = "kept whole in training" if splits.method == "grouped" else "ignored by the plain split"
    named = ", ".join(f"{row.domain} {row.category} {row.share:.0%}" for row in large.itertuples())
    return f"{done}: {named}"


def _far_from_asked(audit: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    asked = target_counts(audit["images"].to_numpy(), splits)
    shares = (audit[list(SPLITS)] - asked).div(audit["images"], axis=0)
    return audit[(shares.abs().round(9) > FAR).any(axis=1)]


def _names_and_shares(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{row.domain} {row.category} ({row.train} train, {row.validation} validation, {row.test} test)"
        for row in rows.itertuples()
    )


def _names(rows: pd.DataFrame) -> str:
    return ", ".join(rows["domain"] + " " + rows["category"])
