"""Training by epochs, compared with plain PyTorch; best weights, early stopping, resuming after a kill, divergence."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mixvision.models.baselines import build_baseline
from mixvision.training.config import EpochTraining
from mixvision.training.epochs.classifier import Classifier
from mixvision.training.epochs.engine import train_by_epochs
from mixvision.training.epochs.examples import Examples, TrainingData
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.pool import ImagePool, pool_images
from mixvision.training.results import diverged
from mixvision.transforms.augmentation import Augmentation, draw_views

BRIEF = EpochTraining(epochs=3, accelerator="cpu")
NOT_FINITE = (math.inf, math.nan)  # which of them a loss becomes depends on rounding


@pytest.fixture(scope="module")
def pool(small_manifest, small_pixels) -> ImagePool:
    train = small_manifest.loc[small_manifest["split"] == "train", "id"]
    return pool_images(small_manifest, small_pixels, train)


@pytest.fixture
def train_positions(pool) -> np.ndarray:
    return np.setdiff1d(np.arange(len(pool.ids)), pool.all_held_out.numpy())


def trials_of(*rows: dict) -> pd.DataFrame:
    base = {"model": "linear", "seed": 0, "learning_rate": 1e-3, "batch_size": 16, "dropout": True}
    return pd.DataFrame([{"trial": f"trial-{place}", **base, **row} for place, row in enumerate(rows)])


@pytest.fixture
def train(pool, train_positions, tmp_path):
    def run(
        trials: pd.DataFrame,
        training: EpochTraining = BRIEF,
        augmentation: Augmentation | None = None,
        folder: Path = tmp_path / "checkpoints",
        events: TrainingListener = SILENT,
    ):
        data = TrainingData(Examples(train_positions), Examples(pool.held_out["validation"].numpy()), augmentation)
        return train_by_epochs(
            lambda trial: build_baseline(trial["model"], 3, 16, trial["seed"], trial["dropout"]),
            lambda trial: data,
            trials,
            pool,
            training,
            folder,
            events,
        )

    return run


def test_training_equals_plain_pytorch(pool, train_positions, train):
    result = train(trials_of({"model": "mlp", "batch_size": 25}), EpochTraining(epochs=2, accelerator="cpu"))

    network = build_baseline("mlp", 3, 16, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    images = pool.pixels.permute(0, 3, 1, 2).float() / 255
    for epoch in range(2):
        order = np.random.default_rng([0, 1, epoch]).permutation(len(train_positions))
        hits = 0
        for start in range(0, 100, 25):  # 120 images: the last 20 are left over
            rows = train_positions[order[start : start + 25]]
            logits = network(images[rows])
            hits += (logits.argmax(1) == pool.labels[rows]).sum().item()
            optimizer.zero_grad()
            F.cross_entropy(logits, pool.labels[rows]).backward()
            optimizer.step()
    last = result.weights["trial-0"]["last"]
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(last[name], tensor)

    history = result.history.set_index(["split", "epoch"])
    assert history.loc[("train", 2), "top1"] == pytest.approx(hits / 100)
    assert history.loc[("train", 2), "iteration"] == 8
    validation = pool.held_out["validation"]
    logits = network(images[validation])
    expected = F.cross_entropy(logits, pool.labels[validation]).item()
    assert history.loc[("validation", 2), "cross_entropy"] == pytest.approx(expected, rel=1e-4)
    top1 = (logits.argmax(1) == pool.labels[validation]).float().mean().item()
    assert history.loc[("validation", 2), "top1"] == pytest.approx(top1)


def accuracy(predictions: pd.DataFrame, manifest: pd.DataFrame, weights: str, split: str) -> float:
    joined = predictions[predictions["snapshot"] == weights].merge(manifest, on="id")
    joined = joined[joined["split"] == split]
    return (joined["prediction_1"] == joined["category"]).mean()


def test_the_best_epoch_is_kept_and_training_stops_after_it(train, small_manifest):
    result = train(trials_of({"learning_rate": 0.05}), EpochTraining(epochs=40, patience=2, accelerator="cpu"))
    outcome = result.outcomes.iloc[0]
    validated = result.history[result.history["split"] == "validation"].set_index("epoch")["top1"]
    assert outcome["best_epoch"] == validated.idxmax()  # the first of equals
    assert outcome["epochs"] == len(validated) == outcome["best_epoch"] + 2 < 40
    assert outcome["iterations"] == outcome["epochs"] * (120 // 16)
    assert outcome["seconds"] == pytest.approx(result.history["seconds"].sum()) and outcome["seconds"] > 0
    assert accuracy(result.predictions, small_manifest, "best_validation", "validation") == validated.max()
    assert accuracy(result.predictions, small_manifest, "last", "validation") == validated.iloc[-1]
    best, last = result.weights["trial-0"]["best_validation"], result.weights["trial-0"]["last"]
    assert not torch.equal(best["2.weight"], last["2.weight"])
    held_out = small_manifest.loc[small_manifest["split"] != "train", "id"]
    assert set(result.predictions["id"]) == set(held_out)


class KilledError(Exception):
    pass


class Killer(TrainingListener):
    """Acts like a kill of the process once the trial has been evaluated ``epochs`` times."""

    def __init__(self, trial: str, epochs: int) -> None:
        self.trial, self.epochs, self.finished_trials = trial, epochs, []

    def evaluated(self, history: list[dict]) -> None:
        if any(row["trial"] == self.trial and row["epoch"] == self.epochs for row in history):
            raise KilledError

    def finished(self, trial: str) -> None:
        self.finished_trials.append(trial)


def without_times(result) -> tuple[pd.DataFrame, pd.DataFrame]:
    return result.history.drop(columns="seconds"), result.outcomes.drop(columns="seconds")


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_training_resumes_to_the_same_result(train, tmp_path, epoch):
    trials = trials_of({"model": "cnn"}, {"model": "cnn", "batch_size": 8, "learning_rate": 3e-3})
    views = Augmentation(colour=0.2)  # dropout and views must resume, too
    whole = train(trials, augmentation=views, folder=tmp_path / "whole")
    killer = Killer("trial-1", epoch)
    with pytest.raises(KilledError):
        train(trials, augmentation=views, folder=tmp_path / "killed", events=killer)
    assert killer.finished_trials == ["trial-0"]
    resumed = train(trials, augmentation=views, folder=tmp_path / "killed")
    for ours, expected in zip(without_times(resumed), without_times(whole), strict=True):
        pd.testing.assert_frame_equal(ours, expected)
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)
    for trial, snapshots in whole.weights.items():
        for snapshot, tensors in snapshots.items():
            for name, tensor in tensors.items():
                assert torch.equal(resumed.weights[trial][snapshot][name], tensor)


def test_a_finished_training_is_not_repeated(train, monkeypatch):
    trials = trials_of({"learning_rate": 0.05})
    training = EpochTraining(epochs=40, patience=2, accelerator="cpu")
    first = train(trials, training)
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_, **__: pytest.fail("trained again"))
    again = train(trials, training)
    pd.testing.assert_frame_equal(again.history, first.history)
    pd.testing.assert_frame_equal(again.predictions, first.predictions)


@pytest.mark.parametrize("damaged", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_costs_epochs_and_changes_nothing(train, tmp_path, damaged):
    trials = trials_of({"model": "cnn"})
    whole = train(trials, folder=tmp_path / "whole")
    with pytest.raises(KilledError):
        train(trials, folder=tmp_path / "killed", events=Killer("trial-0", 3))
    (path,) = (tmp_path / "killed").rglob(damaged)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    resumed = train(trials, folder=tmp_path / "killed")
    for ours, expected in zip(without_times(resumed), without_times(whole), strict=True):
        pd.testing.assert_frame_equal(ours, expected)
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the checkpoint ran code')",)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_checkpoint_that_could_run_code_is_not_read(train, tmp_path, name):
    """Only tensors and plain values are; whatever else a file holds might do anything when it is unpickled."""
    train(trials_of({}))
    (checkpoint,) = tmp_path.rglob(name)
    torch.save(torch.load(checkpoint, weights_only=True) | {"note": Harmful()}, checkpoint)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        train(trials_of({}))


def test_other_settings_start_afresh(train, tmp_path):
    train(trials_of({}))
    train(trials_of({"learning_rate": 2e-3}))
    train(trials_of({}), augmentation=Augmentation())
    train(trials_of({}), augmentation=Augmentation(rotation=5))
    train(trials_of({}), EpochTraining(epochs=2, accelerator="cpu"))  # fewer than before
    assert len(list((tmp_path / "checkpoints").iterdir())) == 5


def test_a_trial_that_diverges_fails_and_the_others_continue(train, tmp_path):
    trials = trials_of({"model": "cnn", "learning_rate": 1e20}, {"model": "cnn"})
    result = train(trials)
    outcomes = result.outcomes.set_index("trial")
    assert outcomes["status"].to_dict() == {"trial-0": "failed", "trial-1": "finished"}
    when = f"in epoch 1, by step {120 // 16}"
    assert outcomes.loc["trial-0", "reason"] in {diverged("train", loss, when, 1e20) for loss in NOT_FINITE}
    assert outcomes.loc["trial-1", "reason"] == ""
    assert set(result.predictions["trial"]) == set(result.weights) == {"trial-1"}
    assert outcomes.loc["trial-0", "best_epoch"] == 0
    alone = train(trials[1:], folder=tmp_path / "alone")
    pd.testing.assert_frame_equal(alone.predictions, result.predictions)
    with pytest.raises(ValueError) as error:
        train(trials[:1])
    assert str(error.value) == f"No trial finished. {outcomes.loc['trial-0', 'reason']}"


class Canceller(TrainingListener):
    """Cancels a trial, and writes down what it hears of failures."""

    def __init__(self, trial: str) -> None:
        self.trial, self.told = trial, {}

    def to_cancel(self) -> frozenset[str]:
        return frozenset([self.trial]) if self.told.get("evaluated") == self.trial else frozenset()

    def evaluated(self, history: list[dict]) -> None:
        self.told["evaluated"] = history[-1]["trial"] if history else ""

    def failed(self, trial: str, reason: str) -> None:
        self.told[trial] = reason


def test_a_cancelled_and_a_too_large_trial_do_not_cost_the_others(train, monkeypatch):
    step = Classifier.training_step

    def too_large(classifier, *given):
        if classifier.trial["trial"] == "trial-1":
            raise MemoryError
        return step(classifier, *given)

    monkeypatch.setattr(Classifier, "training_step", too_large)
    monkeypatch.setattr("mixvision.training.attempts._release_memory", lambda: None)
    canceller = Canceller("trial-0")
    result = train(trials_of({}, {}, {}), events=canceller)
    outcomes = result.outcomes.set_index("trial")
    assert outcomes["status"].tolist() == ["cancelled", "out of memory", "finished"]
    assert outcomes.loc["trial-0", "reason"] == canceller.told["trial-0"] == "Cancelled after epoch 1."
    assert "lower batch_size" in outcomes.loc["trial-1", "reason"]
    assert set(result.predictions["trial"]) == set(result.weights) == {"trial-2"}


def test_a_network_that_diverges_in_its_last_step_has_failed_too(train):
    """With one step per epoch the loss before the step is finite, and the weights after it are not."""
    with pytest.raises(ValueError) as error:
        train(trials_of({"model": "mlp", "batch_size": 120, "learning_rate": 1e38}))
    assert str(error.value) == f"No trial finished. {diverged('validation', math.nan, 'in epoch 1, by step 1', 1e38)}"


def test_images_too_small_for_a_network_are_refused_before_any_training(train, tmp_path):
    trials = trials_of({}, {"model": "basic_cnn"})
    with pytest.raises(ValueError, match="image_size is 16"):  # too small for five halvings
        train(trials)
    assert not (tmp_path / "checkpoints").exists()


def test_a_batch_of_one_is_refused_for_networks_with_batch_normalisation(pool, train_positions, tmp_path):
    data = TrainingData(Examples(train_positions), Examples(pool.held_out["validation"].numpy()))

    def build(trial):
        layers = [nn.Flatten(), nn.Linear(768, 3)]
        return nn.Sequential(*layers, nn.BatchNorm1d(3)) if trial["model"] == "normalising" else nn.Sequential(*layers)

    trials = trials_of({"batch_size": 1}, {"batch_size": 1, "model": "normalising"})
    with pytest.raises(ValueError, match="batch_size is 1 in trial trial-1"):
        train_by_epochs(build, lambda _: data, trials, pool, BRIEF, tmp_path)
    result = train_by_epochs(build, lambda _: data, trials[:1], pool, replace(BRIEF, epochs=1), tmp_path)
    assert result.outcomes.loc[0, "iterations"] == 120


def test_batches_of_rows_stay_on_the_host(train, monkeypatch):
    """On a GPU Lightning would move batches that are tensors to the device, where they cannot index host arrays."""

    def move(self, batch, *_, **__):
        return batch.to("meta") if isinstance(batch, torch.Tensor) else batch

    monkeypatch.setattr("lightning.pytorch.strategies.Strategy.batch_to_device", move)
    assert train(trials_of({})).outcomes.loc[0, "status"] == "finished"


def test_a_batch_larger_than_the_data_is_refused_before_any_training(train, tmp_path):
    with pytest.raises(ValueError, match=r"batch_size is 121 in trial trial-1.*only 120 examples"):
        train(trials_of({}, {"batch_size": 121}))
    assert not (tmp_path / "checkpoints").exists()
    whole = train(trials_of({"batch_size": 120}))  # full-batch training is allowed
    assert whole.outcomes.loc[0, "iterations"] == 3


def test_new_views_are_drawn_in_every_epoch(pool, train_positions, monkeypatch, train):
    drawn = []

    def note(augmentation, count, generator):
        drawn.append(draw_views(augmentation, count, generator))
        return drawn[-1]

    monkeypatch.setattr("mixvision.training.epochs.classifier.draw_views", note)
    train(trials_of({"batch_size": 60}), EpochTraining(epochs=2, accelerator="cpu"), Augmentation())
    angles = torch.cat([views.angle for views in drawn])
    assert len(angles) == 240 and len(angles.unique()) == 240


def test_training_leaves_the_global_random_state_alone(train):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(trials_of({"model": "cnn"}), augmentation=Augmentation())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.float32), ("64-true", torch.float64)])
def test_other_precisions_train_as_well(train, small_manifest, precision, dtype):
    training = EpochTraining(epochs=6, accelerator="cpu", precision=precision)
    result = train(trials_of({"model": "mlp"}), training, Augmentation(horizontal_flip=False, vertical_flip=False))
    assert accuracy(result.predictions, small_manifest, "best_validation", "test") > 0.6
    assert result.weights["trial-0"]["last"]["2.weight"].dtype == dtype


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"patience": 0}, {"accelerator": "tpu"}, {"precision": "8"}])
def test_wrong_settings_are_refused_with_name_and_value(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; (give|choose|did you mean)"):
        EpochTraining(**wrong)


def test_a_gpu_that_is_not_there_is_refused(train):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="accelerator is 'gpu'"):
        train(trials_of({}), EpochTraining(accelerator="gpu"))


def test_statistics_are_kept_with_the_weights(pool, train_positions, tmp_path):
    """The best and the last weights have batch normalisation's statistics, and its number of steps, of their own."""
    data = TrainingData(Examples(train_positions), Examples(pool.held_out["validation"].numpy()))
    result = train_by_epochs(
        lambda _: nn.Sequential(nn.Flatten(), nn.Linear(768, 3), nn.BatchNorm1d(3)),
        lambda _: data,
        trials_of({}),
        pool,
        BRIEF,
        tmp_path,
    )
    steps = {name: int(tensors["2.num_batches_tracked"]) for name, tensors in result.weights["trial-0"].items()}
    best = result.outcomes.loc[0, "best_epoch"]
    assert steps == {"last": 3 * 7, "best_validation": best * 7}
