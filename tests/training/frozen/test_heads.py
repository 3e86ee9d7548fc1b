"""Heads on features, compared with plain PyTorch and scikit-learn; best weights, early stopping, divergence.

The features are scikit-learn's digits: 8x8 pixels as 64 features.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.models.heads import HEADS, StackedHeads
from mixvision.training.config import EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.frozen.heads import head_probabilities, train_heads
from mixvision.training.pool import ImagePool
from mixvision.training.results import diverged

pytestmark = pytest.mark.slow

BRIEF = EpochTraining(epochs=3, accelerator="cpu")
EXACT = EpochTraining(epochs=3, accelerator="cpu", precision="64-true")
TRAIN, VALIDATION, TEST = np.arange(1000), np.arange(1000, 1297), np.arange(1297, 1797)
NOT_FINITE = (math.inf, math.nan)  # which of them a loss becomes depends on rounding


@pytest.fixture(scope="module")
def features() -> Tensor:
    return torch.from_numpy(load_digits().data).float()


@pytest.fixture(scope="module")
def pool() -> ImagePool:
    digits = load_digits()
    return ImagePool(
        ids=np.array([f"{number:04d}.png" for number in range(1797)]),
        categories=tuple("0123456789"),
        pixels=torch.from_numpy(digits.images.astype(np.uint8))[..., None].expand(-1, -1, -1, 3),
        labels=torch.from_numpy(digits.target.astype(np.int64)),
        is_real=torch.ones(1797, dtype=torch.bool),
        held_out={"validation": torch.from_numpy(VALIDATION), "test": torch.from_numpy(TEST)},
    )


def trials_of(*rows: dict) -> pd.DataFrame:
    base = {
        "head": "linear",
        "seed": 0,
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "weight_decay": 0.0,
        "batch_size": 32,
    }
    return pd.DataFrame([{"trial": f"trial-{place}", **base, **row} for place, row in enumerate(rows)])


@pytest.fixture
def train(features, pool):
    """Train trials on all training images, or on those that ``sets`` gives for a trial."""

    def run(
        trials: pd.DataFrame,
        settings: EpochTraining = BRIEF,
        sets: dict[str, np.ndarray] | None = None,
        events: TrainingListener = SILENT,
    ):
        named = {trial: (sets or {}).get(trial, TRAIN) for trial in trials["trial"]}
        frames = [pd.DataFrame({"trial": trial, "id": pool.ids[positions]}) for trial, positions in named.items()]
        return train_heads(trials, features, pool, pd.concat(frames), settings, events)

    return run


def accuracy(predictions: pd.DataFrame, pool: ImagePool, trial: str, weights: str, positions: np.ndarray) -> float:
    chosen = predictions[(predictions["trial"] == trial) & (predictions["snapshot"] == weights)].set_index("id")
    told = chosen.loc[pool.ids[positions], "prediction_1"].astype(int).to_numpy()
    return (told == pool.labels.numpy()[positions]).mean()


def plain_training(network: nn.Module, features: Tensor, labels: Tensor, trial: dict, positions: np.ndarray) -> None:
    """Three epochs of plain PyTorch in double precision."""
    make = {"adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True)}[trial["optimizer"]]
    optimizer = make(network.parameters(), lr=trial["learning_rate"], weight_decay=trial["weight_decay"])
    batch, decay, step = trial["batch_size"], {"adam": 0.0, "sgd": 0.1}[trial["optimizer"]], 0
    for epoch in range(3):
        order = np.random.default_rng([trial["seed"], 1, epoch]).permutation(positions)
        for start in range(0, len(order) // batch * batch, batch):
            rows = order[start : start + batch]
            optimizer.zero_grad()
            F.cross_entropy(network(features[rows]), labels[rows]).backward()
            optimizer.param_groups[0]["lr"] = trial["learning_rate"] / (1 + decay * step)
            optimizer.step()
            step += 1


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_linear_head_equals_plain_pytorch(features, pool, train, optimizer, monkeypatch):
    monkeypatch.setattr("mixvision.training.optimizer.SGD_DECAY", 0.1)  # large enough to matter in so few steps
    trials = trials_of({"weight_decay": 0.1, "seed": 5}, {"learning_rate": 1e-3, "seed": 6})
    trials["optimizer"] = optimizer
    sets = {"trial-0": TRAIN[:500], "trial-1": TRAIN[490:]}
    result = train(trials, EXACT, sets)
    for trial in trials.to_dict("records"):
        own = sets[trial["trial"]]
        with torch.random.fork_rng():
            torch.manual_seed(trial["seed"])
            network = nn.Linear(64, 10).double()
        scaler = StandardScaler().fit(features[own].double().numpy())
        typical = statistics.median_low(scaler.var_[scaler.var_ > 0] ** 0.5)
        scaler.scale_ = np.maximum(scaler.scale_, typical / 10)  # features that hardly vary are not blown up
        standardised = torch.from_numpy(scaler.transform(features.double().numpy()))
        plain_training(network, standardised, pool.labels, trial, own)
        weights = result.weights[trial["trial"]]["last"]
        torch.testing.assert_close(weights["1.weight"], network.weight.detach(), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(weights["1.bias"], network.bias.detach(), rtol=1e-6, atol=1e-9)

        logits = network(standardised[VALIDATION])
        rows = result.history.set_index(["trial", "split", "epoch"]).loc[(trial["trial"], "validation", 3)]
        assert rows["cross_entropy"] == pytest.approx(F.cross_entropy(logits, pool.labels[VALIDATION]).item())
        assert rows["top1"] == pytest.approx((logits.argmax(1) == pool.labels[VALIDATION]).double().mean().item())
        probabilities = network(standardised).softmax(1).max(1).values
        told = result.predictions.query("trial == @trial['trial'] and snapshot == 'last'")
        assert told["id"].tolist() == pool.ids[1000:].tolist()
        np.testing.assert_allclose(told["probability_1"], probabilities[1000:].detach(), rtol=1e-5)


@pytest.mark.parametrize("head", ["dropout", "dense", "dense2"])
def test_every_other_head_takes_the_steps_of_pytorchs_adam(features, pool, train, head):
    trials = trials_of({"head": head, "weight_decay": 0.02, "learning_rate": 1e-3})
    trained = train(trials, EXACT).weights["trial-0"]["last"]
    network = StackedHeads(head, 64, 10, [torch.Generator().manual_seed(0)]).double()
    network[0].fit(0, features.double()[TRAIN])

    class One(nn.Module):
        def parameters(self):
            return network.parameters()

        def forward(self, features: Tensor) -> Tensor:
            return network(features[None])[0]

    plain_training(One(), features.double(), pool.labels, trials.to_dict("records")[0], TRAIN)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(trained[name], tensor[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("head", "optimizer"), [*((head, "adam") for head in HEADS), ("dense", "sgd")])
def test_trials_trained_together_are_within_rounding_those_trained_alone(train, head, optimizer):
    trials = trials_of(
        {"head": head, "seed": 0},
        {"head": head, "seed": 1, "learning_rate": 0.05, "weight_decay": 1e-3},
        {"head": head, "seed": 2, "learning_rate": 1e-4},
    )
    trials["optimizer"] = optimizer
    sets = {"trial-1": TRAIN[:500], "trial-0": TRAIN[500:], "trial-2": TRAIN[::2]}
    settings = replace(EXACT, epochs=12, patience=2)
    together = train(trials, settings, sets)
    assert together.outcomes["epochs"].nunique() > 1  # one stops before the others
    for place, trial in enumerate(trials["trial"]):
        alone = train(trials.iloc[[place]], settings, sets)
        for ours, expected in ((together.history, alone.history), (together.outcomes, alone.outcomes)):
            own = ours[ours["trial"] == trial].reset_index(drop=True)
            pd.testing.assert_frame_equal(own.drop(columns="seconds"), expected.drop(columns="seconds"), rtol=1e-6)
        own = together.predictions[together.predictions["trial"] == trial].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone.predictions, rtol=1e-4)
        for snapshot, tensors in alone.weights[trial].items():
            for name, tensor in tensors.items():
                torch.testing.assert_close(together.weights[trial][snapshot][name], tensor, rtol=1e-5, atol=1e-8)


def test_the_best_epoch_is_kept_and_training_stops_after_it(train, pool):
    rates = (0.1, 0.02, 0.3, 0.1, 0.02, 0.3)
    trials = trials_of(*({"learning_rate": rate, "seed": seed} for seed, rate in enumerate(rates)))
    result = train(trials, EpochTraining(epochs=60, patience=4, accelerator="cpu"))
    worse = []  # a fifth of such trials are as good at the end as at their best
    for outcome in result.outcomes.to_dict("records"):
        trial = outcome["trial"]
        own = result.history[result.history["trial"] == trial]
        validated = own[own["split"] == "validation"].set_index("epoch")["top1"]
        assert outcome["best_epoch"] == validated.idxmax()  # the first of equals
        assert outcome["epochs"] == len(validated) == outcome["best_epoch"] + 4 < 60
        assert outcome["iterations"] == own["iteration"].max() == outcome["epochs"] * (1000 // 32)
        assert outcome["status"] == "finished" and outcome["parameters"] == 64 * 10 + 10
        assert outcome["seconds"] == pytest.approx(own["seconds"].sum()) and outcome["seconds"] > 0
        told = result.predictions, pool, trial
        assert accuracy(*told, "best_validation", VALIDATION) == pytest.approx(validated.max())
        assert accuracy(*told, "last", VALIDATION) == pytest.approx(validated.iloc[-1])
        worse.append(validated.iloc[-1] < validated.max())
    assert any(worse), "a trial whose last epoch is not its best is needed to tell the snapshots apart"
    assert result.outcomes["epochs"].nunique() > 1
    assert result.history.loc[result.history["split"] == "validation", "seconds"].isna().all()


def test_of_equally_good_epochs_the_first_is_the_best(train):
    result = train(trials_of({"learning_rate": 1e-12}), EpochTraining(epochs=9, patience=2, accelerator="cpu"))
    assert result.outcomes.loc[0, ["best_epoch", "epochs"]].tolist() == [1, 3]


@pytest.mark.parametrize("head", HEADS)
def test_probabilities_follow_from_the_saved_tensors_alone(train, features, pool, head):
    result = train(trials_of({"head": head}))
    for snapshot in ("best_validation", "last"):
        tensors = result.weights["trial-0"][snapshot]
        probabilities = head_probabilities(head, dict(sorted(tensors.items())), features)
        assert probabilities.shape == (1797, 10)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(1797))
        told = result.predictions[result.predictions["snapshot"] == snapshot].set_index("id").loc[pool.ids[1000:]]
        assert told["prediction_1"].astype(int).tolist() == probabilities[1000:].argmax(1).tolist()
        np.testing.assert_allclose(told["probability_1"], probabilities[1000:].max(1).values, rtol=1e-4)


def test_seconds_of_a_stack_are_shared_among_its_trials(train):
    began = time.perf_counter()
    result = train(trials_of(*({"seed": seed} for seed in range(8))))
    assert 0 < result.outcomes["seconds"].sum() < time.perf_counter() - began


def test_half_precision_is_used_and_close_to_single_precision(train):
    single, half = (train(trials_of({}), replace(BRIEF, precision=name)) for name in ("32-true", "bf16-mixed"))
    weights, rounded = (result.weights["trial-0"]["last"]["1.weight"] for result in (single, half))
    assert not torch.equal(weights, rounded)
    torch.testing.assert_close(weights, rounded, rtol=0.1, atol=0.02)


def test_a_linear_head_is_as_good_as_logistic_regression(train, features, pool):
    result = train(trials_of({"weight_decay": 1e-3}), EpochTraining(epochs=100, patience=10, accelerator="cpu"))
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    regression.fit(features[TRAIN], pool.labels[TRAIN])
    expected = regression.score(features[TEST], pool.labels[TEST])
    assert expected > 0.9
    assert accuracy(result.predictions, pool, "trial-0", "best_validation", TEST) > expected - 0.015


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_head_learns(train, pool, head, precision):
    settings = EpochTraining(epochs=15, patience=5, accelerator="cpu", precision=precision)
    result = train(trials_of({"head": head}), settings)
    assert accuracy(result.predictions, pool, "trial-0", "best_validation", TEST) > 0.87


def test_trials_that_cannot_share_a_stack_train_in_one_call(train):
    trials = trials_of({}, {"head": "dense"}, {"batch_size": 50}, {}, {"seed": 3, "optimizer": "sgd"})
    result = train(trials, sets={"trial-3": TRAIN[:200]})
    outcomes = result.outcomes.set_index("trial")
    assert outcomes["iterations"].to_dict() == {
        **{"trial-0": 3 * 31, "trial-1": 3 * 31, "trial-2": 3 * 20},
        **{"trial-3": 3 * 6, "trial-4": 3 * 31},
    }
    assert outcomes.loc["trial-1", "parameters"] == 64 * 256 + 256 + 2 * 256 + 256 * 10 + 10
    assert set(result.weights) == set(trials["trial"])
    counts = result.predictions.groupby(["trial", "snapshot"]).size()
    assert len(counts) == 10 and (counts == len(VALIDATION) + len(TEST)).all()


def test_a_trial_that_diverges_fails_and_the_others_continue(train):
    trials = trials_of({"learning_rate": 1e38}, {}, {"head": "dense", "learning_rate": 2e38})
    result = train(trials)
    outcomes = result.outcomes.set_index("trial")
    assert outcomes["status"].to_dict() == {"trial-0": "failed", "trial-1": "finished", "trial-2": "failed"}
    for trial, rate in (("trial-0", 1e38), ("trial-2", 2e38)):
        assert outcomes.loc[trial, "reason"] in {diverged("train", loss, "in epoch 1", rate) for loss in NOT_FINITE}
    assert outcomes.loc["trial-1", "reason"] == ""
    assert outcomes["epochs"].to_dict() == {"trial-0": 0, "trial-1": 3, "trial-2": 0}
    assert set(result.predictions["trial"]) == set(result.weights) == set(result.history["trial"]) == {"trial-1"}
    alone = train(trials[1:2])
    torch.testing.assert_close(result.weights["trial-1"]["last"], alone.weights["trial-1"]["last"])
    nothing = train(trials[:1])
    assert nothing.outcomes["status"].tolist() == ["failed"] and not nothing.weights and nothing.predictions.empty


class Recorder(TrainingListener):
    """Records the events it receives."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.rows: list[dict] = []

    def started(self, trials: pd.DataFrame) -> None:
        self.told += [("started", trial) for trial in trials["trial"]]

    def evaluated(self, history: list[dict]) -> None:
        self.rows += history

    def failed(self, trial: str, reason: str) -> None:
        self.told.append(("failed", trial))

    def finished(self, trial: str) -> None:
        self.told.append(("finished", trial))


def test_a_cancelled_head_leaves_its_stack_and_the_others_go_on(train):
    recorder = Recorder()
    recorder.to_cancel = lambda: frozenset(["trial-1"] if recorder.rows else [])
    result = train(trials_of({}, {}), events=recorder)
    outcomes = result.outcomes.set_index("trial")
    assert outcomes["status"].tolist() == ["finished", "cancelled"] and outcomes["epochs"].tolist() == [3, 1]
    assert outcomes.loc["trial-1", "reason"] == "Cancelled after epoch 1."
    assert recorder.told[2:] == [("failed", "trial-1"), ("finished", "trial-0")]
    assert set(result.weights) == {"trial-0"}
    alone = train(trials_of({}))
    torch.testing.assert_close(result.weights["trial-0"]["last"], alone.weights["trial-0"]["last"])


def test_a_listener_is_told_of_every_trial(train):
    recorder = Recorder()
    result = train(trials_of({}, {"learning_rate": 1e38}), events=recorder)
    assert recorder.told == [
        ("started", "trial-0"),
        ("started", "trial-1"),
        ("failed", "trial-1"),
        ("finished", "trial-0"),
    ]
    pd.testing.assert_frame_equal(pd.DataFrame(recorder.rows).assign(phase="head"), result.history)


def test_training_leaves_the_global_random_state_and_the_features_alone(train, features):
    before = features.clone()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(trials_of({"head": "dense2"}))
    assert torch.equal(torch.rand(3), expected) and torch.equal(features, before)


def test_arguments_that_do_not_fit_are_refused(train, features, pool):
    with pytest.raises(ValueError, match=r"batch_size is 1001 in trial trial-1.*only 1000 examples"):
        train(trials_of({}, {"batch_size": 1001}))
    with pytest.raises(ValueError, match=r"batch_size is 32 in trial trial-0.*only 20 examples"):
        train(trials_of({}), sets={"trial-0": TRAIN[:20]})
    with pytest.raises(ValueError, match=r"batch_size is 1 in trial trial-0.*normalises"):
        train(trials_of({"head": "dense", "batch_size": 1}))
    with pytest.raises(
        ValueError, match="head is 'deep'; did you mean 'dense'. Choose one of linear, dropout, dense, dense2"
    ):
        train(trials_of({"head": "deep"}))
    with pytest.raises(ValueError, match="optimizer is 'rmsprop'; choose one of adam, sgd"):
        train(trials_of({}, {"optimizer": "rmsprop"}))
    with pytest.raises(ValueError, match=r"'1000.png' and 1 more images of training_sets are not among"):
        train(trials_of({}), sets={"trial-0": np.arange(1002)})
    sets = pd.DataFrame({"trial": "trial-0", "id": [*pool.ids[:40], "foreign.png"]})
    with pytest.raises(ValueError, match=r"'foreign.png' and 0 more images"):
        train_heads(trials_of({}), features, pool, sets, BRIEF)
    with pytest.raises(ValueError, match="features of 1796 images, but the pool has 1797"):
        train_heads(trials_of({}), features[1:], pool, sets[:40], BRIEF)
    with pytest.raises(ValueError, match=r"no validation images, .*: raise splits\.validation"):
        train_heads(trials_of({}), features, replace(pool, held_out={"test": torch.arange(9)}), sets[:40], BRIEF)


def test_a_gpu_that_is_not_there_is_refused(train):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="accelerator is 'gpu'"):
        train(trials_of({}), EpochTraining(accelerator="gpu"))
