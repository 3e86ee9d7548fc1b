"""Means and stacks of probabilities against counting by hand, scikit-learn, and what honesty demands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mixvision.evaluation.ensembles import combine, mean_of_models, mean_of_views, stacked, top_predictions
from mixvision.evaluation.metrics import join_predictions


def make_manifest(validation: int, test: int, categories: int = 3, seed: int = 0) -> pd.DataFrame:
    """Images of categories "a", "b", ..., each a cluster of its own."""
    count = validation + test
    names = np.array([chr(ord("a") + place) for place in range(categories)])
    truth = names[np.random.default_rng(seed).integers(categories, size=count)]
    manifest = pd.DataFrame({"id": [f"image-{place:04d}" for place in range(count)], "category": truth})
    manifest = manifest.assign(domain="real", leaks=False, component=range(count), pixel_row=range(count))
    return manifest.assign(split=["validation"] * validation + ["test"] * test)


def make_frame(manifest: pd.DataFrame, quality: float, seed: int, sharpness: float = 1.0) -> pd.DataFrame:
    """Probabilities of a model that is the better the higher its quality, and the surer the higher its sharpness."""
    categories = sorted(manifest["category"].unique())
    logits = np.random.default_rng(seed).normal(size=(len(manifest), len(categories)))
    logits += quality * (manifest["category"].to_numpy()[:, None] == np.array(categories))
    probabilities = pd.DataFrame(softmax(sharpness * logits, axis=1), columns=categories, dtype="float32")
    return pd.concat([manifest[["id"]], probabilities], axis=1)


def with_views(*frames: pd.DataFrame) -> pd.DataFrame:
    names = ["whole", "flipped", "top left"]
    return pd.concat([frame.assign(view=name) for frame, name in zip(frames, names, strict=False)], ignore_index=True)


def accuracy(frame: pd.DataFrame, manifest: pd.DataFrame, split: str) -> float:
    joined = join_predictions(top_predictions(frame, "t", "last"), manifest)
    return joined.loc[joined["split"] == split, "top1"].mean()


def make_trials(**methods: str) -> pd.DataFrame:
    return pd.DataFrame({"trial": list(methods), "method": list(methods.values())})


def test_top_predictions_come_most_probable_first_and_ties_in_the_order_of_the_columns():
    frame = pd.DataFrame({"id": ["x", "y"], "a": [0.1, 0.25], "b": [0.7, 0.5], "c": [0.2, 0.25]})
    rows = top_predictions(frame, "linear", "last")
    assert list(rows) == ["trial", "snapshot", "id", *(f"prediction_{k}" for k in (1, 2, 3))] + [
        f"probability_{k}" for k in (1, 2, 3)
    ]
    assert rows.loc[0, ["trial", "snapshot", "id"]].to_list() == ["linear", "last", "x"]
    assert rows[["prediction_1", "prediction_2", "prediction_3"]].to_numpy().tolist() == [list("bca"), list("bac")]
    assert rows.loc[0, ["probability_1", "probability_2", "probability_3"]].to_list() == pytest.approx([0.7, 0.2, 0.1])
    assert list(top_predictions(frame, "linear", "last", count=1))[3:] == ["prediction_1", "probability_1"]
    equal = pd.DataFrame([[0.02, 0.03] * 20] * 2, columns=[f"c{place:02d}" for place in range(40)])
    rows = top_predictions(equal.assign(id=["x", "y"]), "linear", "last")
    assert rows.filter(like="prediction").to_numpy().tolist() == [["c01", "c03", "c05", "c07", "c09"]] * 2
    assert set(rows.filter(like="probability").dtypes) == {np.dtype("float32")}


def test_mean_of_views_is_that_of_each_image_in_the_order_of_the_first_view():
    rows = [("whole", "y", 0.2, 0.8), ("whole", "x", 1.0, 0.0), ("flipped", "x", 0.5, 0.5), ("flipped", "y", 0.4, 0.6)]
    mean = mean_of_views(pd.DataFrame(rows, columns=["view", "id", "a", "b"]))
    assert mean["id"].to_list() == ["y", "x"]
    assert mean[["a", "b"]].to_numpy() == pytest.approx(np.array([[0.3, 0.7], [0.75, 0.25]]))


def test_an_image_without_one_of_the_views_is_refused():
    rows = [("whole", "x", 1.0), ("flipped", "x", 1.0), ("whole", "y", 1.0)]
    with pytest.raises(ValueError, match="views whole, flipped exactly once; 'y' is one of 1 images that lack"):
        mean_of_views(pd.DataFrame(rows, columns=["view", "id", "a"]))
    twice = pd.DataFrame([*rows, ("whole", "y", 1.0)], columns=["view", "id", "a"])
    with pytest.raises(ValueError, match="'y' is one of 1 images that lack a view or have one twice"):
        mean_of_views(twice)


def test_mean_of_models_aligns_images_and_categories():
    first = pd.DataFrame({"id": ["x", "y"], "a": [0.2, 0.6], "b": [0.8, 0.4]})
    second = pd.DataFrame({"b": [0.0, 0.5], "a": [1.0, 0.5], "id": ["y", "x"]})
    mean = mean_of_models([first, second])
    assert list(mean) == ["id", "a", "b"] and mean["id"].to_list() == ["x", "y"]
    assert mean[["a", "b"]].to_numpy() == pytest.approx(np.array([[0.35, 0.65], [0.8, 0.2]]))
    assert set(mean[["a", "b"]].dtypes) == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("second", "kind", "count", "differing"),
    [
        (pd.DataFrame({"id": ["x"], "a": [1.0], "b": [0.0]}), "images", 1, 1),
        (pd.DataFrame({"id": ["x", "z"], "a": [1.0, 0.0], "b": [0.0, 1.0]}), "images", 2, 2),
        (pd.DataFrame({"id": ["x", "y"], "a": [1.0, 0.0], "c": [0.0, 1.0]}), "categories", 2, 2),
    ],
)
def test_models_of_other_images_or_categories_are_refused(second, kind, count, differing):
    first = pd.DataFrame({"id": ["x", "y"], "a": [0.2, 0.6], "b": [0.8, 0.4]})
    sentence = f"the same {kind}; model 1 has 2, model 3 has {count}, and {differing} are not in both"
    for combined in (mean_of_models, lambda frames: stacked(frames, make_manifest(2, 0))):
        with pytest.raises(ValueError, match=sentence.replace("model 3", "model 2")):
            combined([first, second])
        with pytest.raises(ValueError, match=sentence):
            combined([first, first, second])


def test_a_stack_trusts_the_better_model_where_the_mean_does_not():
    manifest = make_manifest(300, 2000, categories=5)
    frames = [make_frame(manifest, 5, 1), make_frame(manifest, 1, 2, sharpness=3), make_frame(manifest, 1, 3, 3)]
    alone, mean, stack = (
        accuracy(frame, manifest, "test") for frame in (frames[0], mean_of_models(frames), stacked(frames, manifest))
    )
    assert mean < alone - 0.05 and stack > alone - 0.01


def test_a_stack_of_two_categories_equals_the_logistic_regression_of_their_odds():
    """With two categories the pairs are all there is: the weights maximise the penalised likelihood."""
    manifest = make_manifest(200, 50, categories=2)
    frames = [make_frame(manifest, 2, 1, 2), make_frame(manifest, 1, 2)]
    logarithms = np.stack([np.log(frame[["a", "b"]].to_numpy("float64")) for frame in frames], -1)
    truth = (manifest["category"] == "b").to_numpy().astype(int)[:200]

    def loss(weights: np.ndarray) -> float:
        likelihood = log_softmax(logarithms[:200] @ weights, axis=1)[np.arange(200), truth]
        return -2 * likelihood.sum() + weights @ weights / 2  # each pair and its mirror image

    expected = softmax(logarithms @ minimize(loss, np.ones(2) / 2).x, axis=1)
    result = stacked(frames, manifest)[["a", "b"]].to_numpy()
    assert result[200:] == pytest.approx(expected[200:], abs=1e-3)


def test_a_stack_of_many_categories_is_at_least_as_good_as_the_mean():
    manifest = make_manifest(300, 1000, categories=100)
    frames = [make_frame(manifest, 4, seed) for seed in range(3)]
    assert accuracy(stacked(frames, manifest), manifest, "test") > (
        accuracy(mean_of_models(frames), manifest, "test") - 0.01
    )


def test_test_images_have_no_say_in_a_stack():
    manifest = make_manifest(60, 60)
    frames = [make_frame(manifest, 2, seed) for seed in range(3)]
    expected = stacked(frames, manifest)
    tested = manifest["split"] == "test"
    other = manifest.assign(category=manifest["category"].where(~tested, "a"))
    pd.testing.assert_frame_equal(stacked(frames, other), expected)


def test_what_a_stack_says_of_a_validation_image_does_not_follow_from_its_cluster():
    """Another truth for one cluster changes what is said of test images and other validation images, not of it."""
    manifest = make_manifest(40, 20).assign(component=[place // 4 for place in range(60)])
    frames = [make_frame(manifest, 2, seed) for seed in range(3)]
    cluster = manifest["component"] == 3
    other = manifest.assign(category=manifest["category"].where(~cluster, "c"))
    before, after = (stacked(frames, images).drop(columns="id").to_numpy() for images in (manifest, other))
    changed = ~np.isclose(before, after, atol=1e-6).all(axis=1)
    assert not changed[cluster].any() and changed[40:].all() and changed[:40].any()


def test_a_stack_of_models_that_know_nothing_shows_it_on_validation_images():
    """In-fold, three weights would find something in twenty images; out of fold there is nothing to find."""
    manifest = make_manifest(600, 10, categories=4)
    frames = [make_frame(manifest, 0, seed) for seed in range(3)]
    assert accuracy(stacked(frames, manifest), manifest, "validation") == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("validation", [0, 1, 2, 3])
def test_with_hardly_any_validation_image_a_stack_still_answers(validation):
    manifest = make_manifest(validation, 5)
    frames = [make_frame(manifest, 2, seed) for seed in range(2)]
    result = stacked(frames, manifest)
    assert result.drop(columns="id").sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    if validation == 0:
        pd.testing.assert_frame_equal(result, mean_of_models(frames))


def test_a_stack_takes_a_probability_of_zero_for_a_very_small_one():
    manifest = make_manifest(30, 10)
    sure = make_frame(manifest, 2, 0, sharpness=20).set_index("id")
    other = make_frame(manifest, 2, 1)
    assert (sure < 1e-6).any(axis=None)
    zeros, floor = (sure.mask(sure < 1e-6, small).reset_index() for small in (0, 1e-6))
    pd.testing.assert_frame_equal(stacked([zeros, other], manifest), stacked([floor, other], manifest))


def test_an_image_of_a_category_that_the_models_do_not_know_has_no_say_in_a_stack():
    manifest = make_manifest(40, 20)
    frames = [make_frame(manifest, 2, seed) for seed in range(2)]
    odd = manifest.index < 10
    strange = manifest.assign(category=manifest["category"].mask(odd, "zebra"))
    expected = stacked([frame[~odd] for frame in frames], manifest[~odd]).tail(20)
    result = stacked(frames, strange).tail(20)
    pd.testing.assert_frame_equal(result.reset_index(drop=True), expected.reset_index(drop=True))


def test_with_one_cluster_the_mean_stands_for_the_validation_images():
    manifest = make_manifest(4, 5).assign(component=1)
    frames = [make_frame(manifest, 2, seed) for seed in range(2)]
    result, mean = stacked(frames, manifest), mean_of_models(frames)
    pd.testing.assert_frame_equal(result.head(4), mean.head(4))
    assert not np.allclose(result.iloc[4:, 1:], mean.iloc[4:, 1:])


def test_of_two_clusters_each_is_told_from_the_other_alone():
    manifest = make_manifest(20, 5).assign(component=[place // 10 for place in range(25)])
    frames = [make_frame(manifest, 2, seed) for seed in range(2)]
    result = stacked(frames, manifest)
    for cluster in (0, 1):
        own = manifest["component"] == cluster
        held_out = manifest.assign(split=manifest["split"].mask(own, "test"))
        pd.testing.assert_frame_equal(result[own], stacked(frames, held_out)[own])


def test_an_image_that_is_not_in_the_manifest_is_refused():
    manifest = make_manifest(4, 2)
    frames = [make_frame(manifest, 2, seed) for seed in range(2)]
    with pytest.raises(ValueError, match="'image-0005' has probabilities but is not in the manifest"):
        stacked(frames, manifest.head(5))


def test_an_ensemble_takes_the_best_trained_trials_on_validation_images():
    manifest = make_manifest(200, 100)
    qualities = {"as is": 9, "linear": 3, "dense": 0, "dropout": 2, "fine-tuned": 4}
    frames = {f"{name}/best_validation": make_frame(manifest, quality, 1) for name, quality in qualities.items()}
    frames["dense/last"] = make_frame(manifest, 9, 2)  # the best, but with the wrong weights
    frames["of another run/best_validation"] = make_frame(manifest, 9, 2)
    probabilities = {name: with_views(frame) for name, frame in frames.items()}
    methods = dict.fromkeys(qualities, "head") | {"as is": "as is", "fine-tuned": "fine-tuned"}
    predictions, members = combine(probabilities, manifest, make_trials(**methods))
    text = "fine-tuned + linear + dropout"
    assert members.to_dict("list") == {
        "trial": ["mean-of-3", "stacked-3"],
        "method": ["ensemble, mean", "ensemble, stacked"],
        "members": [text, text],
        "views": [1, 1],
    }
    chosen = [frames[f"{name}/best_validation"] for name in text.split(" + ")]
    for name, frame in (("mean-of-3", mean_of_models(chosen)), ("stacked-3", stacked(chosen, manifest))):
        rows = predictions[predictions["trial"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, top_predictions(frame, name, "best_validation"))
    assert len(predictions) == 2 * len(manifest)


def test_views_are_averaged_for_both_weights_and_enter_the_ensemble_where_they_validate_better():
    manifest = make_manifest(50, 50)
    whole, flipped, other = (make_frame(manifest, 2, seed) for seed in (1, 2, 3))
    assert accuracy(whole, manifest, "validation") < accuracy(mean_of_models([whole, flipped]), manifest, "validation")
    probabilities = {
        "linear/best_validation": with_views(whole, flipped),
        "linear/last": with_views(whole, other),
        "dense/best_validation": with_views(other),
    }
    predictions, members = combine(probabilities, manifest, make_trials(linear="head", dense="head"), count=2)
    assert members["trial"].to_list() == ["linear+views", "mean-of-2", "stacked-2"]
    assert members.iloc[0].to_list() == ["linear+views", "views", "linear", 2]
    assert set(members["members"].iloc[1].split(" + ")) == {"linear+views", "dense"}
    rows = predictions[predictions["trial"] == "linear+views"]
    assert rows.groupby("snapshot").size().to_dict() == {"best_validation": 100, "last": 100}
    expected = top_predictions(mean_of_views(with_views(whole, other)), "linear+views", "last")
    pd.testing.assert_frame_equal(rows[rows["snapshot"] == "last"].reset_index(drop=True), expected)
    assert set(predictions.loc[predictions["trial"] == "mean-of-2", "snapshot"]) == {"best_validation"}
    assert predictions.index.tolist() == list(range(400)) and members.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("quality", [-9, 4])
def test_where_views_do_not_validate_better_the_whole_image_enters(quality):
    """Worse, and as well."""
    manifest = make_manifest(50, 50)
    whole, other = make_frame(manifest, 4, 1), make_frame(manifest, 1, 3)
    flipped = whole if quality == 4 else make_frame(manifest, quality, 2)
    probabilities = {"linear/best_validation": with_views(whole, flipped), "dense/best_validation": with_views(other)}
    predictions, members = combine(probabilities, manifest, make_trials(linear="head", dense="head"), count=2)
    assert members["members"].to_list() == ["linear", "linear + dense", "linear + dense"]
    rows = predictions[predictions["trial"] == "mean-of-2"].reset_index(drop=True)
    expected = top_predictions(mean_of_models([whole, other]), "mean-of-2", "best_validation")
    pd.testing.assert_frame_equal(rows, expected)


def test_every_frame_is_loaded_once():
    manifest, calls = make_manifest(30, 10), []

    def loader(name: str, seed: int):
        def load() -> pd.DataFrame:
            calls.append(name)
            return with_views(make_frame(manifest, 2, seed))

        return load

    names = [f"{trial}/{weights}" for trial in "abcd" for weights in ("best_validation", "last")]
    frames = {name: loader(name, seed) for seed, name in enumerate(names)}
    combine(frames, manifest, make_trials(**dict.fromkeys("abcd", "head")))
    assert sorted(calls) == names


@pytest.mark.parametrize("validation", [20, 0])
def test_one_trained_trial_or_no_validation_image_makes_no_ensemble(validation):
    manifest = make_manifest(validation, 10)
    trials = {"as is": "as is", "linear": "head"} if validation else {"linear": "head", "dense": "head"}
    frames = {f"{name}/best_validation": with_views(make_frame(manifest, 2, 1)) for name in trials}
    predictions, members = combine(frames, manifest, make_trials(**trials))
    assert predictions.empty and members.empty
    assert list(members) == ["trial", "method", "members", "views"]


def test_equally_good_trials_are_taken_in_their_order():
    manifest = make_manifest(20, 10)
    frame = with_views(make_frame(manifest, 2, 1))
    frames = {f"{name}/best_validation": frame for name in "dcba"}
    members = combine(frames, manifest, make_trials(**dict.fromkeys("cabd", "head")))[1]
    assert members["members"].iloc[0] == "c + a + b"
