"""Every number of the comparison against one that is computed image by image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixvision.images.splits import Splits
from mixvision.studies.leakage.comparison import (
    SplitResults,
    compare_accuracies,
    compare_test_images,
    plain_trials,
    require_other_splits,
    split_plainly,
)

COMPARED = {"nice": {"Apple", "Banana"}, "real": {"Apple", "Banana"}}


def hits_by_component(results: SplitResults, ratio: int, domain: str) -> list[np.ndarray]:
    """For every component of the compared test images, the hits of each image, averaged over the trials of a ratio."""
    trials = set(results.trials.loc[results.trials["ratio"] == ratio, "trial"])
    hits: dict[int, dict[str, list[bool]]] = {}
    for row in results.joined.itertuples():
        tested = row.split == "test" and row.domain == domain and row.category in COMPARED[domain]
        if tested and row.snapshot == "best_validation" and row.trial in trials:
            hits.setdefault(row.component, {}).setdefault(row.id, []).append(row.prediction_1 == row.category)
    return [np.array([np.mean(values) for values in images.values()]) for images in hits.values()]


@pytest.fixture(scope="module")
def comparison(used, plain) -> pd.DataFrame:
    return compare_accuracies(used, plain)


def test_accuracies_and_intervals_equal_those_computed_image_by_image(used, plain, comparison):
    assert len(comparison) == 6 and (comparison["trials"] == 2).all()
    for row in comparison.itertuples():
        ends = {}
        for side, results in (("used", used), ("plain", plain)):
            components = hits_by_component(results, row.ratio, row.domain)
            accuracy = np.concatenate(components).mean()
            assert getattr(row, f"{side}_top1") == pytest.approx(accuracy)
            low, high = getattr(row, f"{side}_low"), getattr(row, f"{side}_high")
            most = 4 * (accuracy * (1 - accuracy) / len(components) * 2) ** 0.5
            assert low <= accuracy <= high and high - low > 0
            assert high - low < most or accuracy in (0, 1)
            ends[side] = accuracy - low, high - accuracy
        assert row.difference == pytest.approx(row.plain_top1 - row.used_top1)
        (down, up), (used_down, used_up) = ends["plain"], ends["used"]
        bounds = row.difference - np.hypot(down, used_up), row.difference + np.hypot(up, used_down)
        assert (row.difference_low, row.difference_high) == pytest.approx(bounds)
    nice = comparison[comparison["domain"] == "nice"]
    assert (nice["difference_low"] > 0).sum() == 2


def test_the_best_ratio_of_each_split_is_that_of_its_validation_images(comparison):
    assert set(comparison.loc[comparison["used_best"], "ratio"]) == {50}
    assert set(comparison.loc[comparison["plain_best"], "ratio"]) == {100}


def test_only_categories_tested_under_both_splits_count(used, plain):
    table = compare_test_images(used.manifest, plain.manifest).set_index("domain")
    assert table["left_out"].to_dict() == {"nice": "Kiwi", "real": "Plum"}
    assert table["categories"].to_dict() == {"nice": 2, "real": 2}
    for side, results in (("used", used), ("plain", plain)):
        for domain in ("nice", "real"):
            rows = results.manifest.to_dict("records")
            own = [row for row in rows if row["split"] == "test" and row["domain"] == domain]
            own = [row for row in own if row["category"] in COMPARED[domain]]
            seen = {row["component"] for row in rows if row["split"] != "test"}
            leaking = [row for row in own if row["component"] in seen]
            assert table.loc[domain, f"{side}_images"] == len(own)
            assert table.loc[domain, f"{side}_components"] == len({row["component"] for row in own})
            assert table.loc[domain, f"{side}_leaks"] == pytest.approx(len(leaking) / len(own))
    assert table["used_leaks"].to_dict() == {"nice": 0, "real": 0}
    assert table["plain_leaks"].to_dict() == {"nice": 1, "real": 0}


def test_only_seeds_that_finished_under_both_splits_are_averaged(used, plain):
    failed = replace(
        plain, joined=plain.joined[~plain.joined["trial"].isin(["plain-0-0", "plain-100-0", "plain-100-1"])]
    )
    table = compare_accuracies(used, failed).set_index(["ratio", "domain"])
    assert set(table.index.get_level_values("ratio")) == {0, 50}
    assert table["trials"].to_dict() == {(0, "nice"): 1, (0, "real"): 1, (50, "nice"): 2, (50, "real"): 2}
    one = replace(used, trials=used.trials[used.trials["trial"] == "0-1"])
    expected = np.concatenate(hits_by_component(one, 0, "nice")).mean()
    assert table.loc[(0, "nice"), "used_top1"] == pytest.approx(expected)
    assert table["plain_best"].any()


def test_nothing_to_compare_is_refused(used, plain):
    failed = replace(plain, joined=plain.joined[plain.joined["trial"] == "plain-0-0"])
    other = replace(used, joined=used.joined[used.joined["trial"] == "50-0"])
    with pytest.raises(ValueError, match="No model finished its training under both splits"):
        compare_accuracies(other, failed)


def make_unsplit(domains=("nice", "real")) -> pd.DataFrame:
    """Ten images of a category and domain, the nice ones in series of two, and one excluded file."""
    rows = [
        (domain, f"{place:02d}", place // 2 if domain == "nice" else 10 + place)
        for domain in domains
        for place in range(10)
    ]
    table = pd.DataFrame(rows, columns=["domain", "name", "component"])
    table = table.assign(
        category="Apple", id=table["domain"] + "/" + table["name"], cluster=table.index, group="", published=""
    )
    excluded = table.tail(1).assign(id="nice/torn", component=-1, cluster=-1)
    table = pd.concat([table.assign(status="kept"), excluded.assign(status="excluded")], ignore_index=True)
    return table.assign(split="", leaks=False)


def test_the_plain_split_has_the_shares_of_the_study_and_divides_series():
    unsplit = make_unsplit()
    manifest = split_plainly(unsplit, Splits(method="grouped", test=0.4, validation=0.2, seed=1))
    assert unsplit["split"].eq("").all()
    kept = manifest[manifest["status"] == "kept"]
    counts = kept.groupby(["domain", "split"]).size().to_dict()
    sizes = {"train": 4, "validation": 2, "test": 4}
    assert counts == {(domain, split): size for domain in ("nice", "real") for split, size in sizes.items()}
    nice = kept[kept["domain"] == "nice"]
    assert (nice.groupby("component")["split"].nunique() == 2).any() and nice["leaks"].any()
    assert manifest.loc[manifest["status"] == "excluded", "split"].tolist() == [""]


def test_plain_splits_are_not_compared_with_plain_splits():
    with pytest.raises(ValueError, match="ingestion.splits.method is plain already: set it to grouped or published"):
        require_other_splits(Splits(method="plain"))
    for method in ("grouped", "published"):
        require_other_splits(Splits(method=method))


@pytest.mark.parametrize(("domains", "test_only"), [(["nice"], None), (["nice", "real"], "real")])
def test_a_single_domain_to_train_on_is_refused_as_in_mixed_training(domains, test_only):
    with pytest.raises(
        ValueError, match="This pipeline needs images of both domains to train on.*none of the domain 'real'"
    ):
        split_plainly(make_unsplit(domains), Splits(test_only=test_only))


def test_plain_trials_are_the_same_under_other_names():
    trials = pd.DataFrame({"trial": ["ratio-050-seed-0"], "ratio": [50], "seed": [0], "l2": [0.1]})
    expected = {"trial": ["plain-ratio-050-seed-0"], "ratio": [50], "seed": [0], "l2": [0.1]}
    assert plain_trials(trials).to_dict("list") == expected
