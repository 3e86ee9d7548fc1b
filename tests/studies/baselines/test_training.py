"""Which baselines are trained, on what, and that only the deliberately leaky one leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mixvision.models.baselines import build_baseline
from mixvision.studies.baselines.training import Baselines, guess, list_trials, prepare, train_baselines
from mixvision.training.config import EpochTraining
from mixvision.training.events import TrainingListener
from mixvision.training.pool import ImagePool, pool_images
from mixvision.transforms.augmentation import Augmentation

pytestmark = pytest.mark.slow

STUDY = Baselines()
HONEST = {"seed": 0, "split_first": True, "matched": False, "augmentation": "expand"}


@pytest.fixture(scope="module")
def pool(small_manifest, small_pixels) -> ImagePool:
    train = small_manifest.loc[small_manifest["split"] == "train", "id"]
    return pool_images(small_manifest, small_pixels, train)


def test_the_study_of_the_berries_is_sixteen_trials():
    trials = list_trials(STUDY).set_index("trial")
    assert list(trials.index) == [
        "random",
        "linear",
        "mlp",
        "cnn",
        "cnn-batch-size-16",
        "cnn-batch-size-32",
        "cnn-batch-size-64",
        "cnn-batch-size-256",
        "cnn-learning-rate-1e-05",
        "cnn-learning-rate-0.001",
        "cnn-learning-rate-0.01",
        "cnn-without-dropout",
        "cnn-augmentation-none",
        "cnn-augmentation-on-the-fly",
        "cnn-leaky-split",
        "cnn-leaky-split-as-many-photos",
    ]
    base = {"batch_size": 8, "learning_rate": 1e-4, "dropout": True, "augmentation": "expand"}
    variants = trials[trials["model"] == "cnn"]
    for name, row in variants.iterrows():
        differing = {setting for setting in base if row[setting] != base[setting]}
        assert len(differing) == (0 if name == "cnn" or "leaky" in name else 1), name
    assert list(trials.index[~trials["split_first"]]) == ["cnn-leaky-split", "cnn-leaky-split-as-many-photos"]
    assert list(trials.index[trials["matched"]]) == ["cnn-leaky-split-as-many-photos"]


def test_the_leaky_trial_always_has_its_honest_counterpart():
    study = replace(STUDY, augmentation="none", augmentations=(), batch_sizes=(), learning_rates=(), dropouts=())
    trials = list_trials(study).set_index("trial")
    honest = trials.loc["cnn-augmentation-expand"]
    for name in ("cnn-leaky-split", "cnn-leaky-split-as-many-photos"):
        leaky, mistake = trials.loc[name], ["split_first", "matched"]
        assert leaky.drop(mistake).equals(honest.drop(mistake))
        assert not leaky["split_first"] and honest["split_first"]
    assert list(list_trials(replace(study, leaky_split=False))["trial"]) == ["random", "linear", "mlp", "cnn"]


def test_a_setting_that_changes_nothing_is_not_varied():
    study = replace(STUDY, ablated="mlp", batch_sizes=(), learning_rates=(), augmentations=(), leaky_split=False)
    assert list(list_trials(study)["trial"]) == ["random", "linear", "mlp", "cnn"]  # the MLP has no dropout


def test_trial_names_say_with_or_without_dropout():
    study = replace(STUDY, dropout=False, batch_sizes=(), learning_rates=(), augmentations=(), leaky_split=False)
    assert list(list_trials(study)["trial"]) == ["random", "linear", "mlp", "cnn", "cnn-with-dropout"]


@pytest.mark.parametrize("augmentation", ["none", "on the fly", "expand"])
def test_honest_examples_keep_originals_on_one_side(pool, augmentation):
    data = prepare(HONEST | {"augmentation": augmentation}, pool, Augmentation())
    train = set(data.train.positions)
    assert not train & set(pool.all_held_out.tolist())
    assert len(train) == 120 and len(data.train) == (960 if augmentation == "expand" else 120)
    assert set(data.validation.positions) == set(pool.held_out["validation"].tolist())
    assert data.validation.views is None  # originals only
    assert (data.augmentation is not None) == (augmentation == "on the fly")
    assert data.held_out == ("validation", "test")
    if augmentation == "expand":  # what the leaky trial is validated on, for comparison
        assert set(data.views.positions) == set(data.validation.positions) and len(data.views) == 8 * 24
    else:
        assert data.views is None


def test_the_leaky_trial_trains_on_copies_of_its_validation_images(pool):
    data = prepare(HONEST | {"split_first": False}, pool, Augmentation())
    train, validation = set(data.train.positions), set(data.validation.positions)
    assert len(data.train) + len(data.validation) == 8 * (120 + 24)
    assert len(data.validation) == 8 * 24  # the same share of validation images as an honest split has
    assert len(train & validation) > 0.9 * len(validation)  # other views of the same images
    assert not (train | validation) & set(pool.held_out["test"].tolist())  # which stays honest
    assert data.held_out == ("test",)
    assert data.views is data.validation  # what it reports is measured on views
    together = np.concatenate([data.train.positions, data.validation.positions])
    assert (np.bincount(together)[np.unique(together)] == 8).all()  # no view is lost or comes twice


def test_the_matched_trial_leaks_without_more_photos_or_views(pool):
    """120 photos in training and 24 of them in validation, eight views each; the honest trial has as many."""
    matched = prepare(HONEST | {"split_first": False, "matched": True}, pool, Augmentation())
    honest = prepare(HONEST, pool, Augmentation())
    train, validation = set(matched.train.positions), set(matched.validation.positions)
    assert train == set(honest.train.positions) and len(train) == 120
    assert validation < train and len(validation) == 24
    assert len(matched.train) == len(honest.train) == 8 * 120
    assert len(matched.validation) == len(honest.views) == 8 * 24
    for examples in (matched.train, matched.validation):
        assert (np.bincount(examples.positions)[np.unique(examples.positions)] == 8).all()
    assert matched.held_out == ("test",) and matched.views is matched.validation
    unaltered = [int((data.views.scale == 1).sum()) for data in (matched.validation, honest.views)]
    assert unaltered == [4 * 24] * 2  # views of the same kind: four of eight only flipped


def test_no_view_is_on_both_sides_of_the_matched_split(pool):
    matched = prepare(HONEST | {"split_first": False, "matched": True}, pool, Augmentation())
    views = [
        {
            (int(position), *flips, scale, angle)
            for position, flips, scale, angle in zip(
                data.positions,
                data.views.flips.tolist(),
                data.views.scale.tolist(),
                data.views.angle.tolist(),
                strict=True,
            )
        }
        for data in (matched.train, matched.validation)
    ]
    assert len(views[0]) == 8 * 120 and len(views[1]) == 8 * 24 and not views[0] & views[1]


def test_more_validation_photos_than_training_photos_cannot_be_matched(small_manifest, small_pixels):
    few = small_manifest.loc[small_manifest["split"] == "train", "id"].head(20)
    pool = pool_images(small_manifest, small_pixels, few)
    with pytest.raises(ValueError, match="leaky_split needs .* not 20 and 24; lower"):
        prepare(HONEST | {"split_first": False, "matched": True}, pool, Augmentation())


def test_guessing_is_as_good_as_chance_and_repeats(pool, small_manifest):
    result = guess({"trial": "random", "seed": 0}, pool)
    last = result.predictions[result.predictions["snapshot"] == "last"].merge(small_manifest, on="id")
    assert (last["prediction_1"] == last["category"]).mean() == pytest.approx(1 / 3, abs=0.15)
    names = last[["prediction_1", "prediction_2", "prediction_3"]]
    assert (names.nunique(axis=1) == 3).all() and np.allclose(last["probability_1"], 1 / 3)
    pd.testing.assert_frame_equal(guess({"trial": "random", "seed": 0}, pool).predictions, result.predictions)
    assert not guess({"trial": "random", "seed": 1}, pool).predictions.equals(result.predictions)


class Listener(TrainingListener):
    """Records which trials start, and how they end."""

    def __init__(self) -> None:
        self.trials: list[str] = []
        self.statuses: dict[str, str] = {}

    def started(self, trials: pd.DataFrame) -> None:
        self.trials += list(trials["trial"])

    def failed(self, trial: str, reason: str) -> None:
        self.statuses[trial] = "failed"

    def finished(self, trial: str) -> None:
        self.statuses[trial] = "finished"


def test_all_trials_train_and_notify_the_listener(pool, tmp_path, monkeypatch):
    study = Baselines(models=("random", "linear", "cnn"), learning_rates=(1e-4, 1e20), batch_sizes=(64,))
    trials = list_trials(study)
    first_weights = {}

    def note(model, categories, image_size, seed, dropout):
        network = build_baseline(model, categories, image_size, seed, dropout)
        if next(network.parameters()).device.type == "cpu":  # not one that is only looked at beforehand
            first_weights.setdefault(model, []).append({k: v.clone() for k, v in network.state_dict().items()})
        return network

    monkeypatch.setattr("mixvision.studies.baselines.training.build_baseline", note)
    listener, brief = Listener(), EpochTraining(epochs=1, accelerator="cpu")
    result = train_baselines(trials, pool, Augmentation(), brief, tmp_path, listener)
    assert listener.trials == list(trials["trial"])
    assert listener.statuses == dict.fromkeys(trials["trial"], "finished") | {"cnn-learning-rate-1e+20": "failed"}
    assert dict(zip(result.outcomes["trial"], result.outcomes["status"], strict=True)) == listener.statuses
    assert len(first_weights["cnn"]) >= 7  # every ablation starts from the same initial weights
    for weights in first_weights["cnn"][1:]:
        assert all(torch.equal(weights[name], first_weights["cnn"][0][name]) for name in weights)
    splits = {trial: set(ids) for trial, ids in result.predictions.groupby("trial")["id"]}
    held_out = set(pool.ids[pool.all_held_out.numpy()])
    assert splits["random"] == splits["cnn"] == held_out
    measured = result.outcomes.set_index("trial")["views_top1"]
    reported = result.history[
        (result.history["trial"] == "cnn-leaky-split") & (result.history["split"] == "validation")
    ]
    assert measured["cnn-leaky-split"] == pytest.approx(reported["top1"].max())
    assert 0 <= measured["cnn"] <= 1 and measured[["random", "cnn-augmentation-none"]].isna().all()
    assert splits["cnn-leaky-split"] == set(pool.ids[pool.held_out["test"].numpy()])
    photos = result.outcomes.set_index("trial")[["train_photos", "validation_photos"]]
    assert photos.loc["random"].tolist() == [0, 0]
    assert photos.loc["cnn"].tolist() == photos.loc["cnn-leaky-split-as-many-photos"].tolist() == [120, 24]
    assert (
        120 < photos.loc["cnn-leaky-split", "train_photos"] <= 144
    )  # 17% more validation photos could be added at most


def test_further_views_are_measured_with_the_best_weights(pool, tmp_path):
    """The leaky trial is validated on its views, so its history has their accuracy after every epoch."""
    trials = list_trials(Baselines(models=("linear",), ablated="linear", learning_rate=0.05))
    leaky = trials[~trials["split_first"]].iloc[0]
    seeds = pd.DataFrame([{**leaky, "trial": f"seed-{seed}", "seed": seed} for seed in range(3)])
    training = EpochTraining(epochs=6, patience=2, accelerator="cpu")
    result = train_baselines(seeds, pool, Augmentation(), training, tmp_path)
    validated = result.history[result.history["split"] == "validation"].groupby("trial")["top1"]
    assert result.outcomes.set_index("trial")["views_top1"].to_dict() == pytest.approx(validated.max().to_dict())
    assert (validated.max() != validated.last()).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": ["cnn", "vgg"]},
        {"models": ["random"]},
        {"models": "cnn"},
        {"ablated": "basic_cnn"},
        {"ablated": "random"},
        {"seed": -1},
        {"batch_size": 0},
        {"batch_sizes": [8, 2.5]},
        {"learning_rate": 0},
        {"learning_rates": ["1e-3"]},
        {"augmentation": "some"},
        {"augmentations": ["always"]},
        {"dropouts": [1]},
        {"leaky_split": "no"},
    ],
)
def test_bad_studies_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Baselines(**wrong)
