"""The measures in which every category counts alike, against hand computation and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from mixvision.evaluation.by_category import category_columns, category_metrics


def make_joined(domain: str, truth: str, said: str, **keys: str) -> pd.DataFrame:
    """One image per letter of the truth, with what was said of it."""
    keys = {"trial": "t", "snapshot": "best_validation", "split": "test"} | keys
    table = pd.DataFrame({"category": list(truth), "prediction_1": list(said)}).assign(domain=domain, **keys)
    return table.assign(top1=table["category"] == table["prediction_1"])


def measures(joined: pd.DataFrame, domain: str = "real") -> list[float]:
    (row,) = category_metrics(joined).to_dict("records")
    return [row[f"{domain}_{name}"] for name in ("worst_category", "balanced_accuracy", "macro_f1")]


def test_measures_equal_those_computed_by_hand():
    """Recalls 3/4 (a) and 1/2 (b); of the five said to be a or b 3 of 4 and 1 of 2 are: F1 3/4 and 1/2."""
    assert measures(make_joined("real", "aaaabb", "aaabab")) == pytest.approx([0.5, 0.625, 0.625])


def test_a_category_that_is_never_predicted_counts_as_none_recognised():
    """c is said to be a: recalls 1, 1 and 0; F1 4/5 (two of three said to be a are), 1 and 0."""
    assert measures(make_joined("real", "aabbc", "aabba")) == pytest.approx([0.0, 2 / 3, (0.8 + 1 + 0) / 3])


def test_a_category_without_test_images_does_not_count_but_to_say_it_is_wrong():
    """Nothing is a c, which is said of one b: recalls 1 and 1/2; F1 1 and 2/3."""
    assert measures(make_joined("real", "aabb", "aabc")) == pytest.approx([0.5, 0.75, (1 + 2 / 3) / 2])


@pytest.mark.parametrize("left_out", ["", "e", "ab"])
def test_measures_equal_scikit_learns(left_out):
    generator = np.random.default_rng(7)
    truth = generator.choice(list("abcde"), 300, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    truth = truth[~np.isin(truth, list(left_out))]
    said = np.where(generator.random(len(truth)) < 0.5, truth, generator.choice(list("abcd"), len(truth)))
    labels = sorted(set(truth))
    expected = [
        min(recall_score(truth, said, labels=labels, average=None)),
        recall_score(truth, said, labels=labels, average="macro"),
        f1_score(truth, said, labels=labels, average="macro", zero_division=0),
    ]
    found = measures(make_joined("real", "".join(truth), "".join(said)))
    assert found == pytest.approx(expected)
    if not left_out:
        assert found[1] == pytest.approx(balanced_accuracy_score(truth, said))


def test_domains_trials_snapshots_and_splits_are_measured_apart():
    parts = [
        make_joined("nice", "ab", "aa"),
        make_joined("real", "ab", "ab"),
        make_joined("real", "ab", "bb", split="validation"),
        make_joined("real", "ab", "ba", snapshot="last"),
        make_joined("nice", "ab", "ab", trial="u"),
    ]
    found = category_metrics(pd.concat(parts, ignore_index=True))
    worst = found[["nice_worst_category", "real_worst_category"]]
    assert worst.loc[("t", "best_validation", "test")].to_list() == [0, 1]
    assert found.loc[("t", "best_validation", "validation"), "real_balanced_accuracy"] == 0.5
    assert found.loc[("t", "last", "test"), "real_balanced_accuracy"] == 0
    assert worst.loc[("u", "best_validation", "test"), "nice_worst_category"] == 1
    assert found.loc[("u", "best_validation", "test"), ["real_worst_category", "real_macro_f1"]].isna().all()


def test_no_predictions_make_no_rows():
    found = category_metrics(make_joined("real", "", ""))
    assert found.empty and "nice_macro_f1" in found


def test_columns_of_a_split_name_it_and_leave_out_domains_without_images():
    joined = pd.concat([make_joined("real", "ab", "aa"), make_joined("nice", "ab", "ab", split="validation")])
    columns = category_columns(category_metrics(joined).reset_index(), "test")
    assert list(columns) == [f"real_test_{name}" for name in ("worst_category", "balanced_accuracy", "macro_f1")]
    assert columns.loc["t"].to_list() == pytest.approx([0, 0.5, 1 / 3])
