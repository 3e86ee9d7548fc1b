"""Confusions, accuracies by category and the most confident mistakes of a small set counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.metrics import join_predictions
from mixvision.evaluation.mistakes import (
    category_accuracy,
    confident_mistakes,
    confusion_counts,
    hardest_images,
    hits_and_misses,
    select_predictions,
)

ROWS = [
    ("one", "last", "test", "nice/1", "nice", "a", "a", 0.9),
    ("one", "last", "test", "nice/2", "nice", "a", "b", 0.6),
    ("one", "last", "test", "nice/3", "nice", "b", "a", 0.8),
    ("one", "last", "test", "real/1", "real", "b", "b", 0.7),
    ("two", "last", "test", "nice/1", "nice", "a", "b", 0.5),
    ("two", "last", "test", "nice/2", "nice", "a", "b", 0.7),
    ("two", "last", "validation", "nice/4", "nice", "a", "b", 0.99),
    ("two", "best_test", "test", "nice/1", "nice", "a", "b", 0.98),
]


@pytest.fixture
def joined() -> pd.DataFrame:
    columns = ["trial", "snapshot", "split", "id", "domain", "category", "prediction_1", "probability_1"]
    frame = pd.DataFrame(ROWS, columns=columns)
    return frame.assign(
        top1=frame["category"] == frame["prediction_1"], pixel_row=range(len(frame)), component=frame["id"]
    )


def test_confusion_has_truth_down_and_prediction_across(joined):
    counts = confusion_counts(select_predictions(joined, ["one"], "last"), "nice", ["a", "b", "c"])
    assert counts.to_numpy().tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert (counts.index.name, counts.columns.name) == ("category", "prediction")


def test_confusion_of_a_missing_domain_is_zero(joined):
    counts = confusion_counts(select_predictions(joined, ["two"], "last"), "real", ["a", "b"])
    assert counts.to_numpy().tolist() == [[0, 0], [0, 0]] and set(counts.dtypes) == {np.dtype("int64")}


def test_category_accuracy_counts_each_image_once(joined):
    selected = select_predictions(joined, ["one", "two"], "last")
    other = selected[(selected["trial"] == "one") & (selected["category"] == "b")].assign(trial="two")
    table = category_accuracy(pd.concat([selected, other])).set_index(["domain", "category"])
    nice_a = table.loc[("nice", "a")]
    assert (nice_a.images, nice_a.accuracy) == (2, 0.25)
    assert nice_a.low < 0.25 < nice_a.high
    assert table.loc[("real", "b"), "accuracy"] == 1 and 0 < table.loc[("real", "b"), "low"] < 0.5
    with pytest.raises(ValueError, match="'two' lacks the prediction of 'nice/3'"):
        category_accuracy(selected)


def test_images_of_one_group_widen_the_interval_of_a_category(joined):
    images = pd.concat([joined.head(1).assign(id=f"{place}", component=f"{place}") for place in range(20)])
    images = images.assign(top1=[True] * 10 + [False] * 10)
    alone, together = (
        category_accuracy(images.assign(component=names)).iloc[0]
        for names in (images["component"], [str(place // 5) for place in range(20)])
    )
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_mistakes_come_most_confident_first_and_each_image_once(joined):
    mistakes = confident_mistakes(select_predictions(joined, ["one", "two"], "last"), count=2)
    assert list(mistakes["id"]) == ["nice/3", "nice/2"]
    assert list(mistakes["probability"]) == [0.8, 0.7]
    assert list(mistakes["prediction"]) == ["a", "b"]
    assert list(mistakes) == ["id", "domain", "category", "prediction", "probability", "pixel_row"]
    every = confident_mistakes(select_predictions(joined, ["one", "two"], "last"))
    assert list(every["id"]) == ["nice/3", "nice/2", "nice/1"]
    equal = confident_mistakes(select_predictions(joined.assign(probability_1=0.5), ["one", "two"], "last"))
    assert list(equal["id"]) == ["nice/1", "nice/2", "nice/3"]


def test_an_empty_selection_is_refused(joined):
    with pytest.raises(ValueError, match="No predictions"):
        select_predictions(joined, ["three"], "last")


@pytest.fixture
def twelve() -> pd.DataFrame:
    """Eight right predictions and four wrong ones of one trial."""
    ids = [f"nice/{number:02d}" for number in range(12)]
    frame = pd.DataFrame({"id": ids, "domain": "nice", "category": "a", "pixel_row": range(12)})
    said = ["b" if number % 3 == 0 else "a" for number in range(12)]
    return frame.assign(prediction_1=said, probability_1=0.6, top1=frame["category"] == pd.Series(said))


@pytest.mark.parametrize(
    ("count", "right", "wrong"), [(4, 2, 2), (6, 3, 3), (5, 3, 2), (1, 1, 0), (10, 6, 4), (12, 8, 4), (24, 8, 4)]
)
def test_half_of_the_sample_is_right_as_far_as_there_are_enough(twelve, count, right, wrong):
    shown = hits_and_misses(twelve, count, np.random.default_rng(0))
    assert (shown["prediction"] == shown["category"]).tolist() == [True] * right + [False] * wrong
    assert shown["id"].is_unique and (shown["pixel_row"] == shown["id"].str[-2:].astype(int)).all()
    assert list(shown) == list(confident_mistakes(twelve))


@pytest.mark.parametrize("kind", [True, False])
def test_a_sample_of_right_or_wrong_predictions_alone(twelve, kind):
    rows = twelve[twelve["top1"] == kind]
    shown = hits_and_misses(rows, 3, np.random.default_rng(0))
    assert len(shown) == 3 and set(shown["id"]) < set(rows["id"])


def test_the_sample_follows_from_the_generator_and_not_from_the_order(twelve):
    def chosen(frame, seed):
        return hits_and_misses(frame, 6, np.random.default_rng(seed))["id"].tolist()

    assert chosen(twelve, 0) == chosen(twelve[::-1], 0)
    assert len({tuple(chosen(twelve, seed)) for seed in range(5)}) > 1


def test_the_hardest_images_are_those_that_most_models_get_wrong(study):
    rows = join_predictions(study.predictions, study.manifest)
    hardest = hardest_images(rows, 5)
    tested = rows[(rows["snapshot"] == "best_validation") & (rows["split"] == "test")]
    wrong = tested[tested["prediction_1"] != tested["category"]].groupby("id").size().sort_values(ascending=False)
    assert hardest["wrong"].tolist() == wrong.head(5).tolist() and hardest["id"].is_unique
    assert set(hardest["models"]) == {len(study.trials)}
    for image in hardest.itertuples():
        said = tested.loc[(tested["id"] == image.id) & (tested["prediction_1"] != image.category), "prediction_1"]
        assert (said == image.prediction).sum() == said.value_counts().max()
    assert hardest_images(rows[rows["top1"]], 5).empty
