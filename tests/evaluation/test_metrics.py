"""Accuracies against hand computation and torchmetrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from mixvision.evaluation.metrics import (
    highest_on_test,
    join_predictions,
    mark_independent,
    performance,
    summarise,
    trial_metrics,
)


def make_manifest() -> pd.DataFrame:
    """Two nice and four real test images, one real validation image, one training image."""
    rows = [
        ("nice/1", "nice", "a", "test", False),
        ("nice/2", "nice", "b", "test", True),
        ("real/1", "real", "a", "test", False),
        ("real/2", "real", "b", "test", False),
        ("real/3", "real", "c", "test", True),
        ("real/4", "real", "d", "test", False),
        ("real/5", "real", "d", "validation", False),
        ("real/6", "real", "d", "train", False),
    ]
    manifest = pd.DataFrame(rows, columns=["id", "domain", "category", "split", "leaks"])
    return manifest.assign(component=range(len(rows)), pixel_row=range(len(rows)))


def make_predictions(said: dict[str, str], trial: str = "t", weights: str = "last") -> pd.DataFrame:
    """``said`` gives the first three predictions of each image as letters, most probable first."""
    rows = [(trial, weights, id_, *letters, 0.5, 0.3, 0.2) for id_, letters in said.items()]
    columns = [
        "prediction_1",
        "prediction_2",
        "prediction_3",
        "probability_1",
        "probability_2",
        "probability_3",
    ]
    return pd.DataFrame(rows, columns=["trial", "snapshot", "id", *columns])


SAID = {
    "nice/1": "abc",
    "nice/2": "abc",
    "real/1": "abc",
    "real/2": "cdb",
    "real/3": "abd",
    "real/4": "dbc",
    "real/5": "abc",
}


def test_accuracies_equal_those_counted_by_hand():
    table = trial_metrics(join_predictions(make_predictions(SAID), make_manifest())).set_index("split")
    test = table.loc["test"]
    assert (test.nice_top1, test.real_top1, test.nice_top3, test.real_top3) == (0.5, 0.5, 1.0, 0.75)
    assert test.performance_top1 == pytest.approx(0.5)
    assert test.performance_top3 == pytest.approx(np.sqrt(0.75))
    assert (test.nice_images, test.real_images) == (2, 4)


def test_a_domain_without_images_has_no_accuracy():
    validation = (
        trial_metrics(join_predictions(make_predictions(SAID), make_manifest())).set_index("split").loc["validation"]
    )
    assert np.isnan(validation.nice_top1) and np.isnan(validation.performance_top1)
    assert (validation.nice_images, validation.real_images, validation.real_top1) == (0, 1, 0)


def test_a_study_of_one_domain_has_no_accuracy_on_the_other():
    said = {id_: letters for id_, letters in SAID.items() if id_.startswith("real")}
    table = trial_metrics(join_predictions(make_predictions(said), make_manifest())).set_index("split")
    assert table.loc["test", ["real_top1", "real_top3"]].to_list() == [0.5, 0.75]
    absent = table[["nice_top1", "nice_top3", "performance_top1", "performance_top3"]]
    assert absent.isna().all(axis=None) and set(absent.dtypes) == {np.dtype("float64")}
    assert table["nice_images"].to_list() == [0, 0] and table["nice_images"].dtype == "int64"


def test_leaking_images_can_be_left_out():
    joined = join_predictions(make_predictions(SAID), make_manifest())
    test = trial_metrics(joined, without_leaks=True).set_index("split").loc["test"]
    assert (test.nice_images, test.real_images) == (1, 3)
    assert (test.nice_top1, test.real_top1, test.real_top3) == (1.0, pytest.approx(2 / 3), 1.0)


def test_top_1_and_top_3_equal_torchmetrics():
    generator = np.random.default_rng(0)
    logits = torch.from_numpy(generator.normal(size=(300, 7)))
    truth = torch.from_numpy(generator.integers(0, 7, 300))
    letters = np.array(list("abcdefg"))
    ids = [f"{('nice', 'real')[n % 2]}/{n}" for n in range(300)]
    manifest = pd.DataFrame({"id": ids, "domain": [i[:4] for i in ids], "category": letters[truth]})
    manifest = manifest.assign(split="test", leaks=False, component=range(300), pixel_row=range(300))
    first = letters[logits.argsort(dim=1, descending=True)[:, :3].numpy()]
    predictions = make_predictions({id_: "".join(said) for id_, said in zip(ids, first, strict=True)})
    row = trial_metrics(join_predictions(predictions, manifest)).iloc[0]
    for start, domain in enumerate(("nice", "real")):
        for k in (1, 3):
            scores, labels = logits[start::2], truth[start::2]
            expected = multiclass_accuracy(scores, labels, num_classes=7, top_k=k, average="micro")
            assert row[f"{domain}_top{k}"] == pytest.approx(float(expected))


def test_two_categories_have_two_predictions():
    predictions = make_predictions({"nice/1": "abc", "real/2": "abc"}).drop(columns=["prediction_3", "probability_3"])
    joined = join_predictions(predictions, make_manifest())
    assert list(joined["top1"]) == [True, False]
    assert joined["top3"].all()


def test_other_tops_can_be_asked_for():
    joined = join_predictions(make_predictions(SAID), make_manifest(), tops=(2,)).set_index("id")
    assert [column for column in joined if column.startswith("top")] == ["top1", "top2"]
    assert joined["top1"].to_dict() == {id_: id_ in ("nice/1", "real/1", "real/4") for id_ in SAID}
    assert joined["top2"].to_dict() == {id_: id_ not in ("real/2", "real/3", "real/5") for id_ in SAID}
    joined = join_predictions(make_predictions(SAID), make_manifest(), tops=(1, 5)).set_index("id")
    assert joined["top5"].to_dict() == {id_: id_ not in ("real/3", "real/5") for id_ in SAID}


def test_a_domain_that_is_all_test_beside_one_that_is_trained_on_is_independent():
    manifest = make_manifest()
    marked = mark_independent(manifest)
    assert marked["split"].tolist() == ["independent"] * 2 + ["test"] * 4 + ["validation", "train"]
    assert manifest["split"].tolist()[:2] == ["test", "test"]  # as it was
    joined = join_predictions(make_predictions(SAID), marked)
    assert joined.groupby("split").size().to_dict() == {"independent": 2, "test": 4, "validation": 1}
    left_out = pd.DataFrame({"id": ["nice/3"], "domain": "nice", "category": "a", "split": ""})
    with_one = mark_independent(pd.concat([manifest, left_out]))
    assert with_one["split"].tolist() == [*marked["split"], ""]


def test_no_other_domain_is_independent():
    manifest = make_manifest()
    tested, real = manifest.assign(split="test"), manifest[manifest["domain"] == "real"]
    trained = manifest.assign(split=manifest["split"].mask(manifest["id"] == "nice/1", "train"))
    for images in (tested, real, trained):
        pd.testing.assert_frame_equal(mark_independent(images), images)


def test_no_predictions_give_an_empty_table():
    table = trial_metrics(join_predictions(make_predictions(SAID).head(0), make_manifest()))
    assert table.empty and "performance_top1" in table


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        (
            ["nice/9"],
            "1 predictions are of images that are not in the manifest, the first of them 'nice/9'. The images or",
        ),
        (["real/6"], "1 predictions are of images that are not held out .*, the first of them 'real/6'"),
        (["nice/1", "nice/1"], "1 predictions appear twice .*, the first of them 'nice/1'"),
    ],
)
def test_impossible_predictions_are_refused(ids, complaint):
    predictions = pd.concat([make_predictions({id_: said}) for id_, said in zip(ids, ("abc", "bca"), strict=False)])
    with pytest.raises(ValueError, match=complaint):
        join_predictions(predictions, make_manifest())


def test_performance_is_the_geometric_mean():
    assert performance(0.9648, 0.2271) == pytest.approx(0.4681, abs=5e-5)


def test_summary_averages_the_seeds_of_a_ratio():
    joined = join_predictions(
        pd.concat([make_predictions(SAID, "one"), make_predictions(SAID | {"real/2": "bcd"}, "two")]),
        make_manifest(),
    )
    trials = pd.DataFrame({"trial": ["one", "two"], "ratio": [30, 30]})
    row = summarise(trial_metrics(joined), trials).set_index("split").loc["test"]
    assert (row.ratio, row.trials) == (30, 2)
    assert row.real_top1 == pytest.approx((0.5 + 0.75) / 2)
    assert row.real_top1_std == pytest.approx(0.25 / np.sqrt(2))


def test_summary_of_one_seed_has_no_deviation():
    metrics = trial_metrics(join_predictions(make_predictions(SAID), make_manifest()))
    row = summarise(metrics, pd.DataFrame({"trial": ["t"], "ratio": [0]})).iloc[0]
    assert row.trials == 1 and np.isnan(row.real_top1_std)


def test_the_highest_accuracy_on_test_is_found_for_each_domain_by_itself():
    history = pd.DataFrame(
        [
            ("a", 1, "test", 0.9, 0.2),
            ("a", 2, "test", 0.7, 0.4),
            ("a", 2, "validation", 1.0, 1.0),
            ("b", 1, "test", 0.5, 0.6),
            ("c", 1, "test", 0.3, 0.1),
        ],
        columns=["trial", "iteration", "split", "nice_top1", "real_top1"],
    )
    trials = pd.DataFrame({"trial": ["a", "b", "c"], "ratio": [0, 0, 50]})
    highest = highest_on_test(history, trials)
    assert list(highest.columns) == ["ratio", "highest_nice_top1", "highest_real_top1"]
    assert highest.to_numpy().tolist() == [[0, pytest.approx(0.7), 0.5], [50, 0.3, 0.1]]


def test_summary_refuses_unknown_trials():
    metrics = trial_metrics(join_predictions(make_predictions(SAID), make_manifest()))
    with pytest.raises(ValueError, match="table of trials lacks 't', the first of 1 trials"):
        summarise(metrics, pd.DataFrame({"trial": ["other"], "ratio": [0]}))


def test_summary_refuses_a_trial_of_two_settings():
    metrics = trial_metrics(join_predictions(make_predictions(SAID), make_manifest()))
    with pytest.raises(ValueError, match="not unique"):
        summarise(metrics, pd.DataFrame({"trial": ["t", "t"], "ratio": [0, 10]}))
