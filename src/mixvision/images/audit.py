"""The audit of the splits: what is in them, what would have leaked, and a check that nothing crosses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.images.splits import (
    STRATUM,
    Splits,
    large_components,
    of_single_components,
    plain_splits,
    target_counts,
)
from mixvision.vocabulary import SPLITS

FAR = 0.1  # a category is named if the share of one of its splits is further than this from the target


def audit_splits(manifest: pd.DataFrame) -> pd.DataFrame:
    """One row per domain and category of the kept images.

    Returns:
        columns domain, category, images, clusters, largest_cluster (images), components, largest_component (images),
        single_object (all images are in one component, as when one object was turned in front of the camera), train,
        validation, test, leaks.
    """
    kept = manifest[manifest["status"] == "kept"]
    grouped = kept.groupby(STRATUM)
    counts = kept.groupby([*STRATUM, "split"]).size().unstack(fill_value=0).reindex(columns=SPLITS, fill_value=0)
    table = pd.DataFrame({"images": grouped.size()})
    for unit in ("cluster", "component"):
        table[f"{unit}s"] = grouped[unit].nunique()
        table[f"largest_{unit}"] = kept.groupby([*STRATUM, unit]).size().groupby(STRATUM).max()
    table["single_object"] = (table["components"] == 1) & (table["images"] > 1)
    return table.join(counts).join(grouped["leaks"].sum().astype(int)).reset_index()


def summarise_audit(
    manifest: pd.DataFrame, pairs: pd.DataFrame, leaks: pd.DataFrame, splits: Splits, search: str = ""
) -> pd.DataFrame:
    """Summarise how the splits treat near-duplicates, one finding per row: columns finding, count, detail.

    Args:
        manifest: with its splits.
        pairs: near-duplicates, columns id_a, id_b.
        leaks: of `list_leaks`.
        splits: the settings by which they were assigned.
        search: how near-duplicates were looked for, in words; see `pairs.describe_search`.

    Raises:
        RuntimeError: near-duplicates are in different splits although the splits are grouped.
    """
    kept = manifest[manifest["status"] == "kept"].set_index("id")
    plain = plain_splits(kept.reset_index(), splits).set_index("id")
    crossing = _count_different(kept["split"], pairs)
    _require_whole(kept, crossing, splits)
    independent = kept.loc[kept["domain"] == splits.test_only, "component"]
    large = large_components(kept.reset_index(), splits.largest_cluster)
    large = large[~large["component"].isin(independent)]  # an independent test set has no limit
    audit = audit_splits(manifest)
    singles = audit[audit["single_object"]]
    divided = audit[audit["domain"] != splits.test_only]
    untested, without = (divided[divided[split] == 0] for split in ("test", "validation"))
    published = kept.loc[kept["published"] != "", "domain"] if splits.method == "published" else []
    drawn = divided[~divided["domain"].isin(published)]
    far = _far_from_asked(drawn, splits)
    largest = audit.loc[audit["largest_cluster"].idxmax()]
    share = largest["largest_cluster"] / largest["images"]
    findings = [
        ("near-duplicate pairs", len(pairs), search),
        ("near-duplicate pairs across categories", _count_different(kept["category"], pairs), ""),
        ("near-duplicate pairs across domains", _count_different(kept["domain"], pairs), ""),
        (
            "pairs a plain random split would leak",
            _count_different(plain["split"], pairs),
            f"seed {splits.seed}",
        ),
        ("held-out images a plain random split would leak", int(plain["leaks"].sum()), f"seed {splits.seed}"),
        ("pairs crossing in the splits used", crossing, f"method {splits.method}"),
        ("held-out images leaking in the splits used", len(leaks), _kinds(leaks, splits)),
        (
            "images in the largest cluster",
            int(largest["largest_cluster"]),
            f"{largest['domain']} {largest['category']}, {share:.0%} of its images",
        ),
        ("images with a group", int((kept["group"] != "").sum()), f"{_count_groups(kept)} groups"),
        ("groups with images of several categories", *_over_categories(kept)),
        ("held-out images of a group that a plain random split would train on", _seen(plain), f"seed {splits.seed}"),
        ("held-out images of a group trained on in the splits used", _seen(kept), f"method {splits.method}"),
        ("clusters or groups too large for the splits", len(large), _what_was_done(large, singles, splits)),
        ("categories of a single object or group", len(singles), _what_was_done_with(singles, splits)),
        ("categories without test images", len(untested), _names(untested)),
        ("categories without validation images", len(without), _names(without)),
        ("categories whose splits differ from what was asked", len(far), _names_and_shares(far)),
        ("images in another split than asked", *_deviation(drawn, splits)),
        ("images in another split than published", *_moved(kept, splits)),
    ]
    return pd.DataFrame(findings, columns=["finding", "count", "detail"])


def _count_different(values: pd.Series, pairs: pd.DataFrame) -> int:
    return int(np.sum(values[pairs["id_a"]].to_numpy() != values[pairs["id_b"]].to_numpy()))


def _require_whole(kept: pd.DataFrame, crossing: int, splits: Splits) -> None:
    """Refuse splits that divide what they should not; crossing is the number of such pairs of near-duplicates."""
    crossed = kept.groupby("component")["split"].nunique() > 1
    if splits.on_single_group == "divide":
        crossed = crossed.drop(kept.loc[of_single_components(kept, splits), "component"].unique())
    if splits.method == "grouped" and (crossing or crossed.any()):
        raise RuntimeError(
            f"{crossing} pairs of near-duplicates and {crossed.sum()} components cross the splits: "
            "this is a bug in Mixvision."
        )


def _kinds(leaks: pd.DataFrame, splits: Splits) -> str:
    kinds = "".join(f", {count} {kind}" for kind, count in leaks["kind"].value_counts().items())
    return f"method {splits.method}{kinds}"


def _count_groups(kept: pd.DataFrame) -> int:
    return len(kept.loc[kept["group"] != "", ["domain", "group"]].drop_duplicates())


def _over_categories(kept: pd.DataFrame) -> tuple[int, str]:
    """How many groups have images of several categories, and an example: few objects are of two kinds, but days are."""
    grouped = kept[kept["group"] != ""]
    categories = grouped.groupby(["domain", "group"])["category"].nunique()
    several = categories[categories > 1]
    return len(several), f"such as {several.index[0][1]}, with {several.iloc[0]} categories" if len(several) else ""


def _seen(kept: pd.DataFrame) -> int:
    """How many held-out images have others of their group in training."""
    group = pd.MultiIndex.from_frame(kept[["domain", "group"]])
    training = (kept["split"] == "train").to_numpy()
    return int((~training & (kept["group"] != "").to_numpy() & group.isin(group[training])).sum())


def _what_was_done_with(singles: pd.DataFrame, splits: Splits) -> str:
    if splits.method != "grouped":
        return _names(singles)
    independent = singles["domain"] == splits.test_only
    done = "kept in training, not tested" if splits.on_single_group == "train" else "divided, and leaking"
    parts = (("for testing only", singles[independent]), (done, singles[~independent]))
    return "; ".join(f"{what}: {_names(rows)}" for what, rows in parts if len(rows))


def _deviation(audit: pd.DataFrame, splits: Splits) -> tuple[int, str]:
    """How many images would have to move to meet the targets, and the shares of each domain beside theirs."""
    wanted = audit[["domain"]].assign(
        **dict(zip(SPLITS, target_counts(audit["images"].to_numpy(), splits).T, strict=True))
    )
    too_many = (audit[list(SPLITS)] - wanted[list(SPLITS)]).clip(lower=0).to_numpy().sum()
    got, asked = (table.groupby("domain")[list(SPLITS)].sum() for table in (audit, wanted))
    shares = (table.div(asked.sum(axis=1), axis=0) for table in (got, asked))
    return int(too_many), "; ".join(
        f"{domain} " + ", ".join(f"{split} {has[split]:.1%} of {wants[split]:.1%}" for split in SPLITS)
        for (domain, has), (_, wants) in zip(*(table.iterrows() for table in shares), strict=True)
    )


def _what_was_done(large: pd.DataFrame, singles: pd.DataFrame, splits: Splits) -> str:
    done = "kept whole in training" if splits.method == "grouped" else f"method {splits.method} ignores them"
    divided = pd.Series(False, index=large.index)
    if splits.method == "grouped" and splits.on_single_group == "divide":
        named = set(zip(singles["domain"], singles["category"], strict=True))
        divided = pd.Series([(row.domain, row.category) in named for row in large.itertuples()], index=large.index)
    parts = ((done, large[~divided]), ("divided", large[divided]))
    return "; ".join(
        f"{what}: " + ", ".join(f"{row.domain} {row.category} {row.share:.0%}" for row in rows.itertuples())
        for what, rows in parts
        if len(rows)
    )


def _moved(kept: pd.DataFrame, splits: Splits) -> tuple[int, str]:
    """How many images are not in the split that a data set publishes, and from where to where they went."""
    if splits.method != "published":
        return 0, ""
    moved = kept[(kept["published"] != "") & (kept["published"] != kept["split"])]
    ways = moved.groupby(["domain", "published", "split"]).size()
    return len(moved), "; ".join(f"{domain} {begin} used for {end}: {n}" for (domain, begin, end), n in ways.items())


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
