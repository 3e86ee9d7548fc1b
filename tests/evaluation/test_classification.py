"""Plain accuracies, their intervals and one model's mistakes against scikit-learn, scipy and counting by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix

from mixvision.evaluation.classification import (
    accuracies,
    accuracies_behind_best,
    accuracy_intervals,
    category_scores,
    confused_pairs,
    paired_difference,
    whole_confusion,
)
from mixvision.evaluation.metrics import join_predictions
from mixvision.evaluation.mistakes import select_predictions
from mixvision.vocabulary import CATEGORY_MEASURES

CATEGORIES = ["cherry", "strawberry", "tomato"]


def make_joined(
    said: dict[str, list[str]], truth: list[str], domains: list[str] | None = None, clusters: list[int] | None = None
) -> pd.DataFrame:
    """Predictions of each trial on the same test images, joined with their manifest."""
    images = range(len(truth))
    manifest = pd.DataFrame({"id": [f"image-{place}" for place in images], "category": truth, "split": "test"})
    manifest = manifest.assign(domain=domains or "real", component=clusters or images, leaks=False, pixel_row=images)
    rows = [
        pd.DataFrame({"trial": trial, "snapshot": "best_validation", "id": manifest["id"], "prediction_1": answers})
        for trial, answers in said.items()
    ]
    return join_predictions(pd.concat(rows, ignore_index=True).assign(probability_1=0.9), manifest)


def make_hits(hits: dict[str, list[bool]], clusters: list[int] | None = None) -> pd.DataFrame:
    """The same for trials that are right or wrong on each of many tomatoes."""
    said = {trial: ["tomato" if hit else "cherry" for hit in list_of_hits] for trial, list_of_hits in hits.items()}
    return make_joined(said, ["tomato"] * len(next(iter(hits.values()))), clusters=clusters)


@pytest.fixture
def random_answers() -> pd.DataFrame:
    """Two hundred images, two thirds of them answered at random."""
    generator = np.random.default_rng(5)
    truth = generator.choice(CATEGORIES, 200)
    said = np.where(generator.random(200) < 1 / 3, truth, generator.choice(CATEGORIES, 200))
    domains = ["nice" if lot < 0.3 else "real" for lot in generator.random(200)]
    return make_joined({"cnn": list(said)}, list(truth), domains)


def test_accuracy_is_that_of_all_images_and_equals_scikit_learns(random_answers):
    row = accuracies(random_answers).iloc[0]
    assert row["images"] == 200
    assert row["top1"] == pytest.approx(accuracy_score(random_answers["category"], random_answers["prediction_1"]))
    for domain, rows in random_answers.groupby("domain"):
        assert row[f"{domain}_top1"] == pytest.approx(accuracy_score(rows["category"], rows["prediction_1"]))


def test_each_trial_weights_and_split_is_counted_by_itself():
    columns = ["trial", "snapshot", "split", "id", "domain", "top1", "top3", "category", "prediction_1"]
    rows = [
        ("cnn", "best_validation", "test", "a", "real", True, True),
        ("cnn", "best_validation", "test", "b", "real", False, True),
        ("cnn", "best_validation", "validation", "c", "real", False, False),
        ("cnn", "last", "test", "a", "real", True, True),
        ("mlp", "last", "test", "a", "real", False, True),
    ]
    rows = [(*row, "tomato", "tomato" if row[5] else "cherry") for row in rows]
    table = accuracies(pd.DataFrame(rows, columns=columns)).set_index(["trial", "snapshot", "split"])
    counted = table[["images", "top1", "top3", "real_worst_category"]]
    assert counted.loc[("cnn", "best_validation", "test")].to_list() == [2, 0.5, 1.0, 0.5]
    assert counted.loc[("cnn", "best_validation", "validation")].to_list() == [1, 0.0, 0.0, 0.0]
    assert table["top1"].to_dict()[("mlp", "last", "test")] == 0
    assert len(table) == 4


def test_every_top_that_was_asked_for_has_its_column():
    joined = make_hits({"cnn": [True, False, False, False]}).drop(columns="top3")
    table = accuracies(joined.assign(top2=[True, True, False, False], top10=True))
    assert table.loc[0, ["top1", "top2", "top10"]].to_list() == [0.25, 0.5, 1.0]
    assert "top3" not in table


def test_one_domain_has_no_accuracy_by_domain_but_its_measures_by_category():
    table = accuracies(make_hits({"cnn": [True, False]}))
    by_category = [f"real_{name}" for name in CATEGORY_MEASURES]
    assert list(table) == ["trial", "snapshot", "split", "images", "top1", "top3", *by_category]


def test_the_interval_of_single_images_is_wilsons():
    interval = accuracy_intervals(make_hits({"cnn": [True] * 60 + [False] * 40})).iloc[0]
    expected = binomtest(60, 100).proportion_ci(0.95, method="wilson")
    assert interval["trial"] == "cnn"
    assert [interval["low"], interval["high"]] == pytest.approx([expected.low, expected.high])


def test_near_duplicates_count_together():
    hits = {"cnn": ([True] * 10 + [False] * 10) * 5}
    alone, together = (
        accuracy_intervals(make_hits(hits, clusters)).iloc[0]
        for clusters in (None, [place // 10 for place in range(100)])
    )
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_intervals_are_of_the_weights_and_split_asked_for():
    tested = make_hits({"cnn": [True] * 20, "mlp": [False] * 20})
    last = tested.assign(snapshot="last", top1=~tested["top1"])
    validated = tested[tested["trial"] == "mlp"].assign(split="validation", top1=True)
    joined = pd.concat([tested, last, validated])
    interval = accuracy_intervals(joined).set_index("trial")
    assert interval.loc["cnn", "low"] > 0.8 and interval.loc["mlp", "high"] < 0.2
    interval = accuracy_intervals(joined, snapshot="last").set_index("trial")
    assert interval.loc["cnn", "high"] < 0.2 and interval.loc["mlp", "low"] > 0.8
    interval = accuracy_intervals(joined, split="validation")
    assert interval["trial"].tolist() == ["mlp"] and interval["low"].item() > 0.8 and interval["high"].item() == 1


def test_no_predictions_have_no_interval():
    assert accuracy_intervals(make_hits({"cnn": [True]}), snapshot="last").empty


def test_difference_is_paired_by_image():
    """One model is right wherever the other is, and on ten images more: pairing leaves those ten alone to chance."""
    hits = {"cnn": [True] * 60 + [False] * 40, "mlp": [True] * 50 + [False] * 50}
    difference, low, high = paired_difference(make_hits(hits), "cnn", "mlp")
    assert difference == pytest.approx(0.1)
    assert [low, high] == pytest.approx(binom(100, 0.1).ppf([0.025, 0.975]) / 100, abs=0.02)


def test_difference_turns_its_sign_with_the_order():
    joined = make_hits({"cnn": [True] * 6 + [False] * 4, "mlp": [True] * 3 + [False] * 7})
    there = paired_difference(joined, "cnn", "mlp")
    back = paired_difference(joined, "mlp", "cnn")
    assert there == pytest.approx([-back[0], -back[2], -back[1]])
    assert paired_difference(joined, "cnn", "cnn") == (0, 0, 0)


def test_difference_to_a_trial_without_predictions_is_refused():
    with pytest.raises(ValueError, match="No predictions of .*'linear'"):
        paired_difference(make_hits({"cnn": [True]}), "cnn", "linear")


def test_difference_is_of_the_weights_and_split_asked_for():
    tested = make_hits({"cnn": [True] * 20, "mlp": [False] * 20})
    last = tested.assign(snapshot="last", top1=~tested["top1"])
    validated = tested.assign(split="validation", top1=True)
    joined = pd.concat([tested, last, validated])
    for arguments, expected in (({}, 1), ({"snapshot": "last"}, -1), ({"split": "validation"}, 0)):
        difference, low, high = paired_difference(joined, "cnn", "mlp", **arguments)
        assert difference == expected and low < expected < high and high - low < 0.7


def test_difference_on_different_images_is_refused():
    joined = make_hits({"cnn": [True] * 3, "mlp": [True] * 3}).iloc[:-1]
    with pytest.raises(ValueError, match="the same images .*'mlp' lacks the prediction of 'image-2'"):
        paired_difference(joined, "cnn", "mlp")


def test_category_scores_equal_scikit_learns_report(random_answers):
    scores = category_scores(select_predictions(random_answers, ["cnn"])).set_index("category")
    report = classification_report(random_answers["category"], random_answers["prediction_1"], output_dict=True)
    assert list(scores.index) == CATEGORIES and list(scores) == ["images", "precision", "recall", "f1"]
    for category, row in scores.iterrows():
        expected = report[category]
        assert row.to_list() == pytest.approx(
            [expected["support"], expected["precision"], expected["recall"], expected["f1-score"]]
        )


def test_a_category_never_predicted_or_never_there_scores_zero():
    selected = make_joined({"cnn": ["cherry", "plum"]}, ["cherry", "tomato"])
    scores = category_scores(selected).set_index("category")
    assert scores.loc["tomato"].to_list() == [1, 0, 0, 0]
    assert scores.loc["plum"].to_list() == [0, 0, 0, 0]
    assert scores.loc["cherry"].to_list() == [1, 1, 1, 1]


def test_confused_pairs_come_most_frequent_first_and_ties_by_name():
    truth = ["tomato"] * 4 + ["cherry"] * 2 + ["strawberry"] * 2
    said = ["cherry", "cherry", "tomato", "strawberry", "cherry", "tomato", "cherry", "strawberry"]
    pairs = confused_pairs(make_joined({"cnn": said}, truth))
    assert pairs.to_dict("split")["data"] == [
        ["tomato", "cherry", 2, 0.5],
        ["cherry", "tomato", 1, 0.5],
        ["strawberry", "cherry", 1, 0.5],
        ["tomato", "strawberry", 1, 0.25],
    ]
    pd.testing.assert_frame_equal(confused_pairs(make_joined({"cnn": said}, truth), count=2), pairs.head(2))
    pairs = confused_pairs(make_joined({"cnn": ["tomato", "strawberry"]}, ["cherry"] * 2))
    assert pairs["prediction"].to_list() == ["strawberry", "tomato"]


def test_a_model_without_mistakes_confuses_nothing():
    pairs = confused_pairs(make_joined({"cnn": CATEGORIES}, CATEGORIES))
    assert pairs.empty
    assert list(pairs) == ["category", "prediction", "images", "share"]


def test_whole_confusion_counts_all_domains_and_equals_scikit_learns(random_answers):
    counts = whole_confusion(random_answers, [*CATEGORIES, "plum"])
    expected = confusion_matrix(
        random_answers["category"], random_answers["prediction_1"], labels=[*CATEGORIES, "plum"]
    )
    assert counts.to_numpy().tolist() == expected.tolist()
    assert counts.to_numpy().sum() == 200
    assert (list(counts.index), counts.index.name, counts.columns.name) == (
        [*CATEGORIES, "plum"],
        "category",
        "prediction",
    )


def test_the_distance_to_the_best_is_the_paired_difference_of_the_same_images():
    generator = np.random.default_rng(2)
    hits = {name: list(generator.random(150) < chance) for name, chance in (("a", 0.6), ("b", 0.5), ("best", 0.7))}
    joined = make_hits(hits)
    behind = accuracies_behind_best(joined, "best").set_index("trial")
    for name in ("a", "b"):
        _, low, high = paired_difference(joined, "best", name)
        assert behind.loc[name, ["behind_low", "behind_high"]].tolist() == pytest.approx([low, high], abs=1e-9)
    assert behind.loc["best"].tolist() == [0, 0, False]
    assert accuracies_behind_best(joined, "missing").empty
