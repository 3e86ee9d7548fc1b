"""The transfer study on a small scale, with real pretrained weights: its results are complete and consistent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixvision.models.backbones import load_backbone
from mixvision.models.freezing import blocks
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.transfer import ratios_training as transfer_ratios
from mixvision.studies.transfer.ratios_training import main_backbone, mix_features, ratio_trials
from mixvision.studies.transfer.training import TransferResult, all_training_sets, train_transfer
from mixvision.studies.transfer.trials import Transfer, input_sizes, list_trials
from mixvision.training.config import EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.fine_tuning.config import FineTuning, Phase
from mixvision.training.fine_tuning.tuner import FineTuner
from mixvision.training.frozen import features
from mixvision.training.frozen.backbone import FrozenBackbone, as_is_probabilities
from mixvision.training.frozen.heads import train_heads
from mixvision.training.mixtures import choose_training_sets
from mixvision.training.pool import ImagePool, pool_images
from mixvision.training.results import NoResultError
from mixvision.transforms.augmentation import Augmentation

pytestmark = pytest.mark.slow

TRAINING = EpochTraining(epochs=4, patience=2, accelerator="cpu")
TUNED = FineTuning("tuned", "linear", (Phase(1, 1, 1e-3), Phase("head", 1, 1e-3)), batch_size=24)
STUDY = Transfer(input_sizes=(32,), heads=("linear", "dense"), fine_tunings=(TUNED,), batch_size=24)
RANDOM = replace(STUDY, backbones={"test_resnet": "random"}, test_views="none")
BACKBONE = 3_371_008  # parameters of EfficientNet-Lite0 without its classifier
HEADS = {"linear": 1280 * 3 + 3, "dense": 1280 * 256 + 256 + 2 * 256 + 256 * 3 + 3}


class Told(TrainingListener):
    """Remembers what it is told, and stops the run at a trial's epoch."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        self.stop_at, self.events, self.rows = stop_at, [], []

    def started(self, trials: pd.DataFrame) -> None:
        self.events += [("started", name) for name in trials["trial"]]

    def evaluated(self, rows: list[dict]) -> None:
        self.rows += rows
        if self.stop_at in {(row["trial"], row["epoch"]) for row in rows}:
            raise RuntimeError("killed")

    def finished(self, trial: str) -> None:
        self.events.append(("finished", trial))

    def failed(self, trial: str, reason: str) -> None:
        self.events.append(("failed", trial))


@pytest.fixture(scope="module")
def manifest(small_manifest) -> pd.DataFrame:
    """Of the digits, which are called as if they were classes of ImageNet."""
    names = {"0": "daisy", "1": "n02085620-Chihuahua", "2": "tench"}
    return small_manifest.assign(category=small_manifest["category"].map(names))


@pytest.fixture(scope="module")
def pool(manifest, small_pixels) -> ImagePool:
    return pool_images(manifest, small_pixels, manifest.loc[manifest["split"] == "train", "id"])


def described(study: Transfer) -> pd.DataFrame:
    rows = []
    for backbone in study.all_backbones():
        loaded = load_backbone(backbone)
        about = {"backbone": backbone.name, "weights": backbone.weights, "sha256": loaded.sha256, "classes": 1000}
        rows += [about | {"source": loaded.source, "input_size": size} for size in input_sizes(study, loaded)]
    return pd.DataFrame(rows)


def train(
    folder: Path,
    pool: ImagePool,
    study: Transfer,
    trials: pd.DataFrame | None = None,
    events: TrainingListener = SILENT,
) -> TransferResult:
    trials = list_trials(study, described(study), list(pool.categories), TRAINING) if trials is None else trials
    folders = folder / "features", folder / "checkpoints"
    return train_transfer(trials, pool, study, Augmentation(), TRAINING, *folders, events)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture(scope="module")
def result(folder, pool) -> TransferResult:
    """Everything at once: the network as it is, two heads, one fine-tuned on, and mirrored images."""
    return train(folder, pool, STUDY)


def test_every_trial_gives_every_held_out_image_a_probability_in_every_view(result, pool):
    assert set(result.probabilities) == {
        *("as-is/best_validation", "as-is-restricted/best_validation"),
        *(f"{trial}/{weights}" for trial in ("linear", "dense", "tuned") for weights in ("best_validation", "last")),
    }
    held_out = pool.ids[pool.all_held_out.numpy()]
    for name, frame in result.probabilities.items():
        views = ["whole"] if name.startswith("as-is") else ["whole", "mirrored"]
        assert frame["view"].drop_duplicates().tolist() == views
        assert all((ids.to_numpy() == held_out).all() for _, ids in frame.groupby("view")["id"])
        values = frame.drop(columns=["view", "id"])
        assert values.shape[1] == 1000 if name == "as-is/best_validation" else list(values) == list(pool.categories)
        assert values.dtypes.unique() == [np.float32] and (values >= 0).all(axis=None)
        np.testing.assert_allclose(values.sum(axis=1), 1, rtol=1e-5)


def accuracy(frame: pd.DataFrame, pool: ImagePool, split: str = "validation") -> float:
    whole = frame[frame["view"] == "whole"].set_index("id").loc[pool.ids[pool.held_out[split].numpy()]]
    truth = pool.labels[pool.held_out[split]].numpy()
    return float((whole[list(pool.categories)].to_numpy().argmax(1) == truth).mean())


def test_probabilities_are_those_of_the_saved_networks(result, pool, tmp_path):
    pixels = pool.pixels[pool.all_held_out][::4].numpy()
    assert set(result.models) == {name for name in result.probabilities if not name.startswith("as-is")}
    for name, model in result.models.items():
        model.save(tmp_path / "network.safetensors")
        loaded = TrainedNetwork.load(tmp_path / "network.safetensors")
        assert (loaded.categories, loaded.image_size) == (pool.categories, 16)
        frame = result.probabilities[name].set_index("view")[list(pool.categories)]
        for view, shown in (("whole", pixels), ("mirrored", pixels[:, :, ::-1])):
            np.testing.assert_allclose(loaded.classify(shown), frame.loc[view][::4], rtol=1e-3, atol=1e-5)


def test_heads_are_saved_alone_and_fine_tuned_networks_whole(result):
    sha256 = load_backbone(STUDY.all_backbones()[0]).sha256
    about = {"backbone": "tf_efficientnet_lite0", "input_size": 32}
    for weights in ("best_validation", "last"):
        dense, tuned = result.models[f"dense/{weights}"], result.models[f"tuned/{weights}"]
        assert dense.arguments == about | {"head": "dense", "weights": "package", "sha256": sha256}
        assert all(name.startswith("head.") for name in dense.tensors)
        assert tuned.arguments == about | {"head": "linear"}
        assert sum(name.startswith("backbone.") for name in tuned.tensors) > 200


def test_accuracies_of_history_are_those_of_the_probabilities(result, pool):
    """And far above chance: weights and preprocessing are right."""
    validation = result.history[result.history["split"] == "validation"].set_index(["trial", "epoch"])["top1"]
    outcomes = result.outcomes.set_index("trial")
    last = result.history.groupby("trial")["epoch"].max()
    for trial in ("linear", "dense", "tuned"):
        for weights, epoch in (("best_validation", outcomes.loc[trial, "best_epoch"]), ("last", last[trial])):
            found = accuracy(result.probabilities[f"{trial}/{weights}"], pool)
            assert found == pytest.approx(validation[trial, epoch], abs=0.05)
            assert accuracy(result.probabilities[f"{trial}/{weights}"], pool, "test") > 0.6


def test_the_history_goes_on_across_the_switch(result):
    history = result.history
    best = result.outcomes.set_index("trial").loc["linear", "best_epoch"]
    linear = history[(history["trial"] == "linear") & (history["epoch"] <= best)]
    tuned = history[history["trial"] == "tuned"]
    shared = ["iteration", "epoch", "split", "cross_entropy", "top1", "phase"]
    pd.testing.assert_frame_equal(
        tuned.loc[tuned["phase"] == "head", shared].head(len(linear)).reset_index(drop=True),
        linear[shared].reset_index(drop=True),
    )
    own = tuned.iloc[len(linear) :]
    assert own["phase"].tolist() == ["last block"] * 2 + ["head, 0.001"] * 2
    assert own["epoch"].tolist() == [best + 1] * 2 + [best + 2] * 2
    assert own["iteration"].tolist() == [5 * (best + 1)] * 2 + [5 * (best + 2)] * 2  # 120 images in batches of 24
    assert (history.loc[history["trial"] != "tuned", "phase"] == "head").all()


def test_outcomes_count_what_was_trained(result):
    outcomes = result.outcomes.set_index("trial")
    assert (outcomes["status"] == "finished").all() and (outcomes["reason"] == "").all()
    as_is = outcomes.loc[["as-is", "as-is-restricted"]]
    assert (as_is["parameters"] == BACKBONE + 1280 * 1000 + 1000).all()
    nothing = ["epochs", "iterations", "best_epoch", "seconds", "trained_parameters"]
    assert (as_is[nothing] == 0).all(axis=None)
    for trial, head in (("linear", "linear"), ("dense", "dense"), ("tuned", "linear")):
        assert outcomes.loc[trial, "parameters"] == BACKBONE + HEADS[head]
        assert outcomes.loc[trial, ["epochs", "iterations", "best_epoch"]].gt(0).all()
    assert outcomes.loc[["linear", "dense"], "trained_parameters"].tolist() == list(HEADS.values())
    network = load_backbone(STUDY.all_backbones()[0]).network
    last = sum(dict(network.named_parameters())[name].numel() for name in blocks(network)[-1])
    assert outcomes.loc["tuned", "trained_parameters"] == last + HEADS["linear"]


def test_results_include_the_networks_as_they_are(result, pool, tmp_path):
    backbone = STUDY.all_backbones()[0]
    frozen = FrozenBackbone(backbone, load_backbone(backbone), 32, pool, tmp_path, TRAINING)
    for trial, frame in zip(("as-is", "as-is-restricted"), as_is_probabilities(frozen), strict=True):
        pd.testing.assert_frame_equal(result.probabilities[f"{trial}/best_validation"], frame)


def test_all_images_that_are_not_held_out_are_trained_on(manifest, pool):
    sets = all_training_sets(pd.DataFrame({"trial": ["a", "b"]}), pool)
    train = set(manifest.loc[manifest["split"] == "train", "id"])
    assert sets.groupby("trial")["id"].agg(set).to_dict() == {"a": train, "b": train} and len(sets) == 2 * 120


def test_the_second_time_no_features_are_computed(folder, result, pool, monkeypatch):
    """And everything else comes out as before."""
    monkeypatch.setattr(features, "embed", lambda *_: pytest.fail("features are computed anew"))
    again = train(folder, pool, STUDY)
    for name in ("as-is/best_validation", "linear/last", "dense/best_validation"):
        pd.testing.assert_frame_equal(again.probabilities[name], result.probabilities[name])
    pd.testing.assert_frame_equal(
        again.history.drop(columns="seconds"), result.history.drop(columns="seconds"), check_exact=False, rtol=1e-4
    )


# With a network of a few weights, which begins at random


@pytest.fixture(scope="module")
def digits(small_manifest, small_pixels) -> ImagePool:
    """Under their own names, which no network knows."""
    return pool_images(small_manifest, small_pixels, small_manifest.loc[small_manifest["split"] == "train", "id"])


def test_a_head_that_fails_leaves_the_others_and_its_fine_tuning_is_not_begun(digits, tmp_path):
    trials = list_trials(RANDOM, described(RANDOM), ["0", "1", "2"], TRAINING)
    trials.loc[trials["trial"] == "linear", "learning_rate"] = 1e38
    told = Told()
    found = train(tmp_path, digits, RANDOM, trials, told)
    outcomes = found.outcomes.set_index("trial")
    assert outcomes["status"].to_dict() == {"linear": "failed", "dense": "finished", "tuned": "failed"}
    assert outcomes.loc["linear", "reason"].endswith("training diverged. Lower learning_rate (now 1e+38).")
    assert outcomes.loc["tuned", "reason"] == "Not started: its head, linear, has no result."
    assert outcomes.loc["tuned", ["epochs", "best_epoch", "trained_parameters"]].tolist() == [0, 0, 0]
    assert set(found.models) == set(found.probabilities) == {"dense/best_validation", "dense/last"}
    assert told.events[-2:] == [("started", "tuned"), ("failed", "tuned")]


def test_a_backbone_whose_features_do_not_fit_leaves_outcomes(digits, tmp_path, monkeypatch):
    def features(*_):
        raise MemoryError

    monkeypatch.setattr("mixvision.training.frozen.backbone.backbone_features", features)
    with pytest.raises(NoResultError, match="Out of memory in the pretrained network: lower input_sizes") as error:
        train(tmp_path, digits, RANDOM)
    ended = error.value.outcomes.set_index("trial")["status"].to_dict()
    assert ended == {"linear": "out of memory", "dense": "out of memory", "tuned": "failed"}


def test_a_fine_tuning_that_diverges_leaves_its_head(digits, tmp_path):
    hopeless = FineTuning("tuned", "linear", (Phase("all", 1, 1e30),), batch_size=24)
    found = train(tmp_path, digits, replace(RANDOM, fine_tunings=(hopeless,)))
    assert found.outcomes.set_index("trial")["status"].to_dict() == {
        "linear": "finished",
        "dense": "finished",
        "tuned": "failed",
    }
    assert {name.partition("/")[0] for name in found.models} == {"linear", "dense"}


def test_heads_on_random_weights_are_saved_whole(digits, tmp_path):
    found = train(tmp_path, digits, replace(RANDOM, fine_tunings=()))
    model = found.models["dense/last"]
    assert "weights" not in model.arguments and "backbone.conv1.0.weight" in model.tensors
    frame = found.probabilities["dense/last"][list(digits.categories)]
    np.testing.assert_allclose(model.classify(digits.pixels[digits.all_held_out].numpy()), frame, rtol=1e-3, atol=1e-6)


def test_several_networks_and_sizes_are_told_apart(digits, tmp_path):
    study = replace(
        RANDOM,
        backbones={"test_resnet": "random", "test_efficientnet": "random"},
        input_sizes=(48, 32),
        heads=("linear",),
        test_views="crops",
    )
    told = Told()
    found = train(tmp_path, digits, study, events=told)
    heads = [f"test_{kind}-linear-{size}" for kind in ("resnet", "efficientnet") for size in (48, 32)]
    tuned = ["test_resnet-tuned-48", "test_efficientnet-tuned-48"]
    assert set(found.outcomes["trial"]) == {*heads, *tuned} and len(found.models) == 12
    assert found.outcomes["parameters"].nunique() == 2
    pixels = digits.pixels[digits.all_held_out].numpy()
    for trial in (*heads, *tuned):
        model, frame = found.models[f"{trial}/last"], found.probabilities[f"{trial}/last"]
        assert f"{model.arguments['backbone']}-" in trial and trial.endswith(str(model.arguments["input_size"]))
        assert frame["view"].nunique() == 12 and len(frame) == 12 * 120
        for view, shown in (("whole", pixels), ("mirrored top left", pixels[:, :14, :1:-1])):
            expected = frame.loc[frame["view"] == view, list(digits.categories)]
            np.testing.assert_allclose(model.classify(shown), expected, rtol=1e-3, atol=1e-6)
    assert sorted(told.events) == sorted((kind, name) for name in (*heads, *tuned) for kind in ("started", "finished"))


def test_an_interrupted_fine_tuning_goes_on_to_the_same_result(digits, tmp_path, monkeypatch):
    through = train(tmp_path / "through", digits, RANDOM)
    first = through.history.loc[through.history["phase"] == "last block", "epoch"].min()
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path, digits, RANDOM, events=Told(stop_at=("tuned", first + 1)))
    begin, epochs = FineTuner.on_train_epoch_start, []
    monkeypatch.setattr(
        FineTuner, "on_train_epoch_start", lambda tuner: epochs.append(tuner.current_epoch) or begin(tuner)
    )
    again = train(tmp_path, digits, RANDOM)
    assert epochs == [1]  # the second of two
    assert again.probabilities.keys() == through.probabilities.keys()
    for name, frame in through.probabilities.items():
        pd.testing.assert_frame_equal(again.probabilities[name], frame, check_exact=True)


# By mixing ratio


@pytest.mark.parametrize("ratios", [(0, 50, 100), Transfer().ratios])
def test_heads_of_all_ratios_train_on_equally_many_images(manifest, pool, tmp_path, monkeypatch, ratios):
    study, seen = replace(RANDOM, ratios=ratios, batch_size=12), []
    monkeypatch.setattr(
        transfer_ratios, "train_heads", lambda *arguments: seen.append(arguments) or train_heads(*arguments)
    )
    predictions = mix_features(manifest, pool, study, TRAINING, tmp_path).predictions
    ((trials, shown, _, sets, *_),) = seen
    assert trials["ratio"].tolist() == list(ratios) and (trials["head"] == "linear").all()
    sizes = sets.assign(real=sets["id"].str.startswith("real")).groupby("trial")["real"].agg(["size", "sum"])
    assert (sizes["size"] == 60).all() and sizes["sum"].tolist() == [round(0.6 * ratio) for ratio in ratios]
    assert set(predictions["trial"]) == set(trials["trial"])
    assert (predictions.groupby(["trial", "snapshot"])["id"].nunique() == 120).all()

    alone = trials[trials["ratio"] == 100]
    sets = choose_training_sets(manifest, alone, balance=True)
    expected = train_heads(alone, shown, pool, sets, TRAINING).predictions
    found = predictions[predictions["trial"] == alone["trial"].iloc[0]]
    pd.testing.assert_frame_equal(
        found.sort_values(["snapshot", "id"]).reset_index(drop=True),
        expected.sort_values(["snapshot", "id"]).reset_index(drop=True),
    )


def test_heads_by_ratio_are_trained_as_the_study_says():
    study = replace(
        RANDOM, ratios=(0, 100), optimizer="sgd", learning_rate=0.01, weight_decay=0.1, batch_size=8, seed=5
    )
    trials = ratio_trials(study)
    settings = ["ratio", "seed", "head", "optimizer", "learning_rate", "weight_decay", "batch_size"]
    assert trials[settings].values.tolist() == [[ratio, 5, "linear", "sgd", 0.01, 0.1, 8] for ratio in (0, 100)]


def test_the_main_backbone_is_the_first_at_its_largest_size(pool, tmp_path):
    study = replace(
        RANDOM, backbones={"test_resnet": "random", "test_efficientnet": "random"}, input_sizes=(32, 64, 48)
    )
    frozen = main_backbone(study, pool, tmp_path, TRAINING)
    assert (frozen.backbone.name, frozen.input_size) == ("test_resnet", 64)
    assert main_backbone(replace(study, input_sizes=()), pool, tmp_path, TRAINING).input_size == 160
