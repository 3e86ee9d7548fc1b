"""The same trials under two splits of the same images: the one that the study uses, and a plain random one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from mixvision.evaluation.by_category import category_metrics
from mixvision.evaluation.intervals import difference_of_independent, score_intervals
from mixvision.evaluation.metrics import summarise, trial_metrics
from mixvision.evaluation.selection import best_label
from mixvision.evaluation.tested import in_one_setting
from mixvision.images.manifest import split_manifest
from mixvision.images.splits import STRATUM, Splits
from mixvision.training.mixtures import require_both_domains
from mixvision.vocabulary import BEST_VALIDATION, CATEGORY_MEASURES, DOMAINS, TEST, VALIDATION, category_metric

PREFIX = "plain-"  # of the names of trials, so that those of both splits can be told apart in one run
SIDES = ("used", "plain")  # the splits that the study uses, and the plain one


@dataclass(frozen=True)
class SplitResults:
    """What one way to split the images led to.

    Attributes:
        manifest: one row per image, with its split.
        trials: one row per trial: ``trial``, ``ratio``, ``seed``.
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
    """

    manifest: pd.DataFrame
    trials: pd.DataFrame
    joined: pd.DataFrame


def require_other_splits(splits: Splits) -> None:
    """Refuse plain splits, which leave nothing to compare with plain ones.

    Raises:
        ValueError: the study's own splits are plain.
    """
    if splits.method == "plain":
        raise ValueError(
            "This pipeline compares the study's splits with plain random ones, but ingestion.splits.method is plain "
            "already: set it to grouped or published."
        )


def split_plainly(unsplit: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """The manifest with a plain random split of the same shares and seed.

    Raises:
        ValueError: the images to train on are all of one domain.
    """
    require_both_domains(unsplit[(unsplit["status"] == "kept") & (unsplit["domain"] != splits.test_only)])
    return split_manifest(unsplit, replace(splits, method="plain"))


def plain_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The same trials under names of their own."""
    return trials.assign(trial=PREFIX + trials["trial"])


def compare_test_images(manifest: pd.DataFrame, plain_manifest: pd.DataFrame) -> pd.DataFrame:
    """The test images of both splits, without the categories that only one of them tests.

    Returns:
        One row per domain: ``domain``; ``categories``, how many are compared; ``left_out``, the names of the others;
        ``used_images``; ``used_components``, how many components these form; ``used_leaks``, the share of them that
        leak; and the same of the plain split, ``plain_images``...
    """
    kept = manifest[manifest["status"] == "kept"]
    tested = _tested_by_both(manifest, plain_manifest)
    rows = []
    for domain in DOMAINS:
        own = [images[images["domain"] == domain] for images in tested]
        compared = set(own[0]["category"])
        others = sorted(set(kept.loc[kept["domain"] == domain, "category"]) - compared)
        row = {"domain": domain, "categories": len(compared), "left_out": ", ".join(others)}
        for side, images in zip(SIDES, own, strict=True):
            row |= {
                f"{side}_images": len(images),
                f"{side}_components": images["component"].nunique(),
                f"{side}_leaks": images["leaks"].mean(),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def compare_accuracies(used: SplitResults, plain: SplitResults) -> pd.DataFrame:
    """Top-1 accuracy of every ratio under both splits, at the snapshot chosen on validation.

    The intervals count images by components, and cover the seeds where there are several. The two test sets are drawn
    from the same images, but are treated as independent in the interval of the difference.

    Args:
        used, plain: the results under the splits that the study uses, and under the plain one.

    Returns:
        One row per ratio and domain: ``ratio``, ``domain``, ``trials`` (how many seeds finished under both splits;
        these are averaged), ``used_top1`` with the bounds ``used_low`` and ``used_high`` of the central 95%,
        ``plain_top1``, ``plain_low``, ``plain_high``, ``<side>_<measure>`` for each of :data:`CATEGORY_MEASURES`
        (:func:`mixvision.evaluation.by_category.category_metrics`), ``difference`` (plain minus used),
        ``difference_low``, ``difference_high``, ``used_best`` and ``plain_best`` (whether it is the ratio with the
        highest performance on the validation images), and the columns of :func:`compare_test_images`.

    Raises:
        ValueError: no trial finished under both splits.
    """
    pairs = _finished_in_both(used, plain)
    tested = _tested_by_both(used.manifest, plain.manifest)
    predicted = [
        side.joined[(side.joined["snapshot"] == BEST_VALIDATION) & side.joined["id"].isin(images["id"])]
        for side, images in zip((used, plain), tested, strict=True)
    ]
    rows = []
    for ratio, seeds in pairs.groupby("ratio"):
        for domain in DOMAINS:
            row = {"ratio": ratio, "domain": domain, "trials": len(seeds)}
            for side, images in zip(SIDES, predicted, strict=True):
                own = images[(images["domain"] == domain) & images["trial"].isin(seeds[f"{side}_trial"])]
                row |= {f"{side}_top1": own["top1"].mean(), side: in_one_setting(own, list(seeds[f"{side}_trial"]))}
                found = category_metrics(own).mean()  # over the seeds
                row |= {f"{side}_{name}": found[category_metric(domain, name)] for name in CATEGORY_MEASURES}
            rows.append(row)
    table = _with_intervals(pd.DataFrame(rows))
    for side, results in zip(SIDES, (used, plain), strict=True):
        table[f"{side}_best"] = table["ratio"] == _best_ratio(results, table["ratio"])
    return table.merge(compare_test_images(used.manifest, plain.manifest), on="domain")


def _tested_by_both(*manifests: pd.DataFrame) -> list[pd.DataFrame]:
    """The test images of each manifest whose category is tested in all of them, in the same domain."""
    tested = [manifest[(manifest["status"] == "kept") & (manifest["split"] == TEST)] for manifest in manifests]
    strata = [pd.MultiIndex.from_frame(images[STRATUM]) for images in tested]
    return [images[own.isin(strata[0]) & own.isin(strata[1])] for images, own in zip(tested, strata, strict=True)]


def _finished_in_both(used: SplitResults, plain: SplitResults) -> pd.DataFrame:
    """The trials with predictions under both splits: ``ratio``, ``seed``, ``used_trial``, ``plain_trial``."""
    finished = [side.trials[side.trials["trial"].isin(side.joined["trial"])] for side in (used, plain)]
    pairs = finished[0].merge(finished[1], on=["ratio", "seed"], suffixes=("_used", "_plain"))
    if pairs.empty:
        raise ValueError("No model finished its training under both splits, so there is nothing to compare.")
    return pairs.rename(columns={f"trial_{side}": f"{side}_trial" for side in SIDES})


def _best_ratio(results: SplitResults, ratios: pd.Series) -> int:
    """The one of these ratios with the highest performance on the validation images, at best_validation."""
    summary = summarise(trial_metrics(results.joined), results.trials)
    validated = summary[(summary["split"] == VALIDATION) & (summary["snapshot"] == BEST_VALIDATION)]
    return int(best_label(validated[validated["ratio"].isin(ratios)].set_index("ratio")["performance_top1"]))


def _with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the intervals of both sides' accuracies, of what was :class:`Tested`, and of their difference."""
    for _, rows in table.groupby("domain"):
        for side in SIDES:
            table.loc[rows.index, [f"{side}_low", f"{side}_high"]] = score_intervals(list(rows[side]))
    used, plain = (table[[f"{side}_{part}" for part in ("top1", "low", "high")]].to_numpy() for side in SIDES)
    low, high = difference_of_independent(plain, used)
    table = table.assign(difference=plain[:, 0] - used[:, 0], difference_low=low, difference_high=high)
    return table.drop(columns=list(SIDES))
