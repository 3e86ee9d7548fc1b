"""Fine-tuning compared with plain PyTorch with one optimiser per parameter; freezing; resuming; wrong settings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.models.backbones import Backbone, PretrainedBackbone, load_backbone
from mixvision.models.freezing import blocks
from mixvision.models.transfer import TransferNetwork, transfer_network
from mixvision.training.config import EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.fine_tuning.config import FineTuning, Phase
from mixvision.training.fine_tuning.tuner import TrainedHeads, fine_tune, move_average
from mixvision.training.optimizer import decayed_rate
from mixvision.training.pool import ImagePool, pool_images
from mixvision.training.results import diverged
from mixvision.transforms.augmentation import Augmentation

pytestmark = pytest.mark.slow

EXACT = EpochTraining(epochs=1, patience=1, accelerator="cpu", precision="64-true")  # both numbers are replaced
SINGLE = replace(EXACT, precision="32-true")
TRIALS = pd.DataFrame([{"trial": "tuned", "seed": 3, "batch_size": 999}])  # the fine-tuning's batch size counts
PAST = [
    {"trial": "linear", "iteration": 7, "epoch": 1, "split": split, "cross_entropy": 1.0, "top1": 0.99, **more}
    for split, more in (("train", {"seconds": 2.0, "phase": "head"}), ("validation", {"seconds": math.nan}))
]


@pytest.fixture(scope="module")
def pool(small_manifest, small_pixels) -> ImagePool:
    train = small_manifest.loc[small_manifest["split"] == "train", "id"]
    return pool_images(small_manifest, small_pixels, train)


@pytest.fixture(scope="module")
def backbone() -> PretrainedBackbone:
    return load_backbone(Backbone("test_resnet", "random"))


@pytest.fixture
def tune(pool, backbone, tmp_path):
    def run(
        fine_tuning: FineTuning,
        training: EpochTraining = EXACT,
        augmentation: Augmentation | None = None,
        folder: Path = tmp_path / "checkpoints",
        past: list[dict] = PAST,
        size: int = 16,
        events: TrainingListener = SILENT,
    ):
        def build(_) -> TransferNetwork:
            return transfer_network(backbone, size, fine_tuning.head, 3)

        heads = TrainedHeads(build, {"tuned": past})
        return fine_tune(TRIALS, fine_tuning, heads, pool, augmentation, training, folder, events)

    return run


def plain_training(network: TransferNetwork, fine_tuning: FineTuning, pool: ImagePool) -> list[dict[str, Tensor]]:
    """The weights after every step; phases unfreeze everything, the last block or none.

    Each parameter has an optimiser of its own from its first step on.
    """
    network.double()
    images, train = (
        pool.pixels.permute(0, 3, 1, 2).double() / 255,
        np.setdiff1d(np.arange(len(pool.ids)), pool.all_held_out),
    )
    found, parameters = blocks(network.backbone), dict(network.named_parameters())
    place = {f"backbone.{name}": place for place, block in enumerate(found) for name in block}
    optimizers, step, after, batch = {}, 0, [], fine_tuning.batch_size
    phases = [phase for phase in fine_tuning.phases for _ in range(phase.epochs)]
    for epoch, phase in enumerate(phases):
        if epoch == 0 or phase is not phases[epoch - 1]:
            optimizers, begin = {} if phase.reset_optimizer else optimizers, step
            rates = phase_rates(fine_tuning, phase, phase.epochs * (len(train) // batch))
        first = {"head": len(found), "all": 0}.get(
            phase.trainable_blocks, len(found) - int(phase.trainable_blocks == 1)
        )
        trained = {name: weights for name, weights in parameters.items() if place.get(name, 99) >= first}
        for name, layer in network.named_modules():
            follows = fine_tuning.batch_statistics and f"{name}.weight" in trained
            layer.training = not isinstance(layer, nn.BatchNorm2d) or follows
        order = np.random.default_rng([3, 1, epoch]).permutation(train)
        for start in range(0, len(order) // batch * batch, batch):
            rows = order[start : start + batch]
            gradients = torch.autograd.grad(
                F.cross_entropy(network(images[rows]), pool.labels[rows]), list(trained.values())
            )
            for (name, weights), gradient in zip(trained.items(), gradients, strict=True):
                weights.grad = gradient
                decays = fine_tuning.weight_decay if name.startswith("head") or weights.dim() > 1 else 0.0
                if name not in optimizers and fine_tuning.optimizer == "adam":
                    optimizers[name] = torch.optim.Adam([weights], weight_decay=decays)
                elif name not in optimizers:
                    optimizers[name] = torch.optim.SGD([weights], momentum=0.9, nesterov=True, weight_decay=decays)
                rate = rates[step - begin] * fine_tuning.layer_decay ** (len(found) - place.get(name, len(found)))
                decay = 0.1 * step if fine_tuning.optimizer == "sgd" else 0
                optimizers[name].param_groups[0]["lr"] = rate / (1 + decay)
                optimizers[name].step()
            step += 1
            after.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
    return after


def phase_rates(fine_tuning: FineTuning, phase: Phase, steps: int) -> np.ndarray:
    rising, falling = fine_tuning.warmup_steps, steps - fine_tuning.warmup_steps
    factors = np.ones(falling)
    if fine_tuning.schedule == "cosine":
        factors = np.cos(np.linspace(0, np.pi, falling, endpoint=False)) / 2 + 0.5
    return phase.learning_rate * np.concatenate([np.arange(1, rising + 1) / max(rising, 1), factors])


TWO_PHASES = (Phase(1, 2, 1e-3), Phase("all", 1, 1e-4))


@pytest.mark.parametrize(
    "fine_tuning",
    [
        FineTuning(phases=TWO_PHASES, batch_size=25),
        FineTuning(phases=TWO_PHASES, batch_size=25, batch_statistics=True),
        FineTuning(phases=TWO_PHASES, batch_size=25, layer_decay=0.5, weight_decay=0.1, ema_decay=0.8),
        FineTuning(
            phases=TWO_PHASES, batch_size=25, optimizer="sgd", weight_decay=0.1, warmup_steps=3, schedule="cosine"
        ),
        FineTuning(phases=(TWO_PHASES[0], Phase("all", 2, 1e-4, reset_optimizer=True)), batch_size=25),
        FineTuning(phases=(Phase("all", 1, 1e-4), Phase("head", 1, 1e-3), Phase(1, 1, 1e-3)), batch_size=25),
    ],
    ids=["adam", "batch statistics", "ema", "sgd", "reset optimizer", "frozen again"],
)
def test_fine_tuning_equals_plain_pytorch(tune, pool, backbone, fine_tuning, monkeypatch):
    monkeypatch.setattr("mixvision.training.optimizer.SGD_DECAY", 0.1)  # large enough to matter in so few steps
    result = tune(fine_tuning)
    network = transfer_network(backbone, 16, "linear", 3)
    after = plain_training(network, fine_tuning, pool)
    ages = (fine_tuning.ema_decay or 0) ** torch.arange(len(after) - 1, -1, -1, dtype=torch.float64)
    expected = {
        name: sum(share * weights[name] for share, weights in zip(ages / ages.sum(), after, strict=True))
        for name in after[0]
    }
    last = result.weights["tuned"]["last"]
    assert last.keys() == expected.keys()
    for name, tensor in expected.items():
        if last[name].is_floating_point():  # leaves out counters of batches, which nothing uses
            torch.testing.assert_close(last[name], tensor, rtol=1e-6, atol=1e-8, msg=name)

    network.load_state_dict(last)
    validation = pool.held_out["validation"]
    with torch.no_grad():
        logits = network.eval()(pool.gather(validation).double())
    measured = result.history.set_index(["split", "epoch"]).loc[("validation", 1 + fine_tuning.epochs)]
    assert measured["cross_entropy"] == pytest.approx(F.cross_entropy(logits, pool.labels[validation]).item(), rel=1e-5)
    assert measured["top1"] == pytest.approx((logits.argmax(1) == pool.labels[validation]).float().mean().item())


def test_an_average_of_weights_forgets_the_first_step_as_its_age_says():
    """By hand: after three steps with a decay of .5 their weights count 1, 2 and 4 sevenths."""
    average, counter = torch.tensor([10.0]), torch.tensor([0])
    for step, weight in enumerate([20.0, 40.0], start=1):
        move_average(0.5, [average, counter], [torch.tensor([weight]), torch.tensor([step])], torch.tensor(step))
    assert average.item() == pytest.approx((10 * 1 + 20 * 2 + 40 * 4) / 7) and counter.item() == 2


def test_frozen_blocks_keep_their_weights_and_statistics(tune, backbone):
    before = transfer_network(backbone, 16, "dense", 3).state_dict()

    def changed(trainable_blocks, batch_statistics: bool = True) -> set[str]:
        phases = (Phase(trainable_blocks, 1, 1e-3),)
        fine_tuning = FineTuning(head="dense", phases=phases, batch_statistics=batch_statistics)
        after = tune(fine_tuning, SINGLE).weights["tuned"]["last"]
        return {name for name, tensor in before.items() if not torch.equal(after[name], tensor)}

    head = {name for name in before if name.startswith("head.") and "0." not in name}
    assert changed("head") == head
    assert changed(1) == head | {name for name in before if name.startswith("backbone.layer4.")}
    assert changed("all") == head | {name for name in before if name.startswith("backbone.")}
    of_batches = {name for name in before if name.startswith("backbone.") and ("running" in name or "num_" in name)}
    assert changed("all", batch_statistics=False) == changed("all") - of_batches != changed("all")


def test_the_history_continues_that_of_the_head(tune, backbone):
    recorded = []

    class Recorder(TrainingListener):
        def evaluated(self, history: list[dict]) -> None:
            recorded.extend(history)

    plan = FineTuning(phases=(Phase("head", 1, 1e-9), Phase(2, 2, 1e-9), Phase("all", 1, 1e-9)))
    result = tune(plan, SINGLE, events=Recorder())
    history, outcome = result.history, result.outcomes.iloc[0]
    assert (history["trial"] == "tuned").all()
    assert history["epoch"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert history["split"].tolist() == ["train", "validation"] * 5
    assert history["iteration"].tolist() == [7, 7, 10, 10, 13, 13, 16, 16, 19, 19]  # 120 images in batches of 32
    phases = ["head", "head, 1e-09", "last 2 blocks", "last 2 blocks", "all"]
    assert history["phase"].tolist() == [phase for phase in phases for _ in range(2)]
    own = history[(history["split"] == "validation") & (history["epoch"] > 1)].set_index("epoch")["top1"]
    assert outcome["best_epoch"] == own.idxmax() and own.max() < 0.99  # though the head was better
    assert (outcome["epochs"], outcome["iterations"]) == (5, 19)
    assert outcome["seconds"] == pytest.approx(history["seconds"].sum()) and outcome["seconds"] > 2
    everything = sum(p.numel() for p in transfer_network(backbone, 16, "linear", 3).parameters())
    assert outcome["parameters"] == outcome["trained_parameters"] == everything
    assert all(isinstance(value, int | float) for row in recorded for name, value in row.items() if name not in TEXTS)
    pd.testing.assert_frame_equal(pd.DataFrame(recorded), history.drop(columns="phase"))


TEXTS = ("trial", "split")


def test_trained_parameters_are_the_most_trained_at_a_time(tune, backbone):
    network = transfer_network(backbone, 16, "linear", 3)
    result = tune(FineTuning(phases=(Phase(1, 1, 1e-3), Phase("head", 1, 1e-3))), SINGLE)
    trained = [network.backbone.layer4, network.head]
    outcome = result.outcomes.iloc[0]
    assert outcome["trained_parameters"] == sum(p.numel() for module in trained for p in module.parameters())
    assert outcome["trained_parameters"] < outcome["parameters"]


# Resuming after a kill


class KilledError(Exception):
    pass


class Killer(TrainingListener):
    """Acts like a kill of the process before the checkpoint of an epoch (as the history counts it) is written."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def evaluated(self, history: list[dict]) -> None:
        if history[-1]["epoch"] == self.epoch:
            raise KilledError


def killed(tune, epoch: int, *arguments, **named) -> None:
    with pytest.raises(KilledError):
        tune(*arguments, **named, events=Killer(epoch))


FOUR_EPOCHS = (Phase(1, 2, 1e-3), Phase("all", 2, 1e-4))


@pytest.mark.parametrize(
    "settings",
    [
        {"ema_decay": 0.9, "warmup_steps": 2, "schedule": "cosine"},
        {"optimizer": "sgd", "layer_decay": 0.7, "batch_statistics": True, "ema_decay": 0.5},
        {"phases": (FOUR_EPOCHS[0], replace(FOUR_EPOCHS[1], reset_optimizer=True))},
    ],
    ids=["adam with ema", "sgd", "reset optimizer"],
)
def test_a_killed_fine_tuning_resumes_to_the_same_result(tune, tmp_path, settings):
    fine_tuning = FineTuning(**{"head": "dense2", "phases": FOUR_EPOCHS, "batch_size": 30, **settings})
    views = Augmentation(colour=0.2)
    whole = tune(fine_tuning, SINGLE, views, tmp_path / "whole")
    for epoch in (3, 4, 5):  # is resumed in the middle of phase 1, at the boundary, and in phase 2
        killed(tune, epoch, fine_tuning, SINGLE, views)
    resumed = tune(fine_tuning, SINGLE, views)
    for ours, expected in ((resumed.history, whole.history), (resumed.outcomes, whole.outcomes)):
        pd.testing.assert_frame_equal(ours.drop(columns="seconds"), expected.drop(columns="seconds"))
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)
    for snapshot, tensors in whole.weights["tuned"].items():
        for name, tensor in tensors.items():
            assert torch.equal(resumed.weights["tuned"][snapshot][name], tensor), (snapshot, name)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("reset", [False, True])
def test_the_optimiser_keeps_state_of_trained_parameters_only(tune, backbone, tmp_path, optimizer, reset):
    """After phase 1 frozen parameters have no state. After phase 2 the others have taken more steps, unless reset."""
    fine_tuning = FineTuning(phases=(Phase(1, 1, 1e-3), Phase("all", 1, 1e-4, reset)), optimizer=optimizer)
    network = transfer_network(backbone, 16, "linear", 3)
    last = {id(p) for module in (network.backbone.layer4, network.head) for p in module.parameters()}

    def state() -> tuple[dict, list]:
        (folder,) = (tmp_path / "checkpoints").iterdir()
        (state,) = torch.load(folder / "last.ckpt", weights_only=True)["optimizer_states"]
        return state["state"], [place for group in state["param_groups"] for place in group["params"]]

    killed(tune, 3, fine_tuning, SINGLE)
    of_phase_1, places = state()
    assert len(of_phase_1) == len(last) < len(places) == len(list(network.parameters()))
    tune(fine_tuning, SINGLE)
    of_both, _ = state()
    assert len(of_both) == len(places)
    if optimizer == "adam":
        assert {int(of_both[place]["step"]) for place in of_phase_1} == {3 if reset else 6}
        assert {int(of_both[place]["step"]) for place in set(places) - of_phase_1.keys()} == {3}


def test_a_finished_fine_tuning_is_not_repeated_and_others_start_afresh(tune, tmp_path, monkeypatch):
    fine_tuning = FineTuning(phases=(Phase("head", 1, 1e-3),))
    first = tune(fine_tuning, SINGLE)
    others = [
        {"ema_decay": 0.9},
        {"warmup_steps": 1},
        {"schedule": "cosine"},
        {"layer_decay": 0.5},
        {"optimizer": "sgd"},
    ]
    for change in others:
        tune(replace(fine_tuning, **change), SINGLE)
    tune(fine_tuning, SINGLE, past=[{**row, "top1": 0.5} for row in PAST])
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2 + len(others)
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_, **__: pytest.fail("trained again"))
    later = [{**row, "seconds": 3.0} for row in PAST]  # the head was trained again, which took another time
    for again in (tune(fine_tuning, SINGLE), tune(fine_tuning, SINGLE, past=later)):
        pd.testing.assert_frame_equal(again.history, first.history)


# Results and errors


def test_the_best_weights_are_those_of_the_best_epoch(tune, small_manifest):
    result = tune(FineTuning(phases=(Phase("all", 3, 1e-3),), batch_size=10, ema_decay=0.7), SINGLE)
    validated = result.history[result.history["split"] == "validation"].set_index("epoch")["top1"].loc[2:]
    assert result.outcomes.loc[0, "best_epoch"] == validated.idxmax()
    joined = result.predictions.merge(small_manifest, on="id").query("split == 'validation'")
    hits = (joined["prediction_1"] == joined["category"]).groupby(joined["snapshot"]).mean()
    assert hits["best_validation"] == pytest.approx(validated.max())
    assert hits["last"] == pytest.approx(validated.iloc[-1])
    assert all(tensor.is_contiguous() for tensor in result.weights["tuned"]["last"].values())  # to be saved
    held_out = small_manifest.loc[small_manifest["split"] != "train", "id"]
    assert set(result.predictions["id"]) == set(held_out)


def test_a_fine_tuning_that_diverges_has_failed(tune):
    result = tune(FineTuning(phases=(Phase("all", 2, 1e30),)), SINGLE)
    outcome = result.outcomes.iloc[0]
    assert (outcome["status"], outcome["best_epoch"]) == ("failed", 0)
    when = f"in epoch 2, by step {7 + 120 // 32}"  # counted as in the history, whose first epoch is the head's
    assert outcome["reason"] in {diverged("train", loss, when, 1e30) for loss in (math.inf, math.nan)}
    assert result.weights == {} and result.predictions.empty
    assert result.history["epoch"].tolist() == [1, 1]
    assert tune(FineTuning(phases=(Phase("all", 2, 1e30),)), SINGLE, past=[]).history.empty


def test_half_precision_trains_as_well(tune):
    """Not at 16 pixels: the last maps have one pixel, and some gradients of 3x3 kernels are garbage (torch 2.15)."""
    fine_tuning = FineTuning(phases=(Phase("all", 1, 1e-4),))
    single, half = (tune(fine_tuning, replace(SINGLE, precision=name), size=48) for name in ("32-true", "bf16-mixed"))
    name = "backbone.layer4.0.conv1.weight"
    weights, rounded = (result.weights["tuned"]["last"][name] for result in (single, half))
    assert rounded.dtype == torch.float32 and not torch.equal(weights, rounded)
    torch.testing.assert_close(weights, rounded, rtol=0, atol=6.1e-4)  # three steps of Adam, each of at most 1e-4


def test_training_leaves_the_global_random_state_and_the_backbone_alone(tune, backbone):
    before = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    tune(FineTuning(head="dense2", phases=(Phase("all", 1, 1e-3),), ema_decay=0.9), SINGLE, Augmentation())
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.network.state_dict().items())


def test_settings_that_do_not_fit_the_network_are_refused_before_any_training(tune, tmp_path):
    with pytest.raises(ValueError, match=r"trainable_blocks is 6, but must be .* from 1 to 5"):
        tune(FineTuning(phases=(Phase("head", 1, 1e-3), Phase(6, 1, 1e-3))))
    with pytest.raises(ValueError, match=r"batch_size is 1 in trial tuned.*normalises"):
        tune(FineTuning(head="dense", batch_size=1))
    with pytest.raises(ValueError, match=r"batch_size is 121 in trial tuned.*only 120 examples"):
        tune(FineTuning(batch_size=121))
    assert not (tmp_path / "checkpoints").exists()


def test_the_rate_of_sgd_halves_in_a_million_steps():
    assert [decayed_rate("sgd", 0.01, step) for step in (0, 10**6)] == pytest.approx([0.01, 0.005])
    assert decayed_rate("adam", 0.01, 10**6) == 0.01


def test_phases_that_train_the_same_are_told_apart_by_their_rate(tune):
    phases = (Phase("all", 1, 1e-4), Phase(1, 1, 1e-4), Phase("all", 1, 1e-5))
    history = tune(FineTuning(phases=phases), SINGLE, past=[]).history
    names = history.loc[history["split"] == "train", "phase"]
    assert names.tolist() == ["all, 0.0001", "last block", "all, 1e-05"]


def test_rates_rise_and_fall_within_a_phase():
    phase = Phase("all", 2, 0.1)

    def rates(**settings) -> list[float]:
        return [FineTuning(phases=(phase,), **settings).rate(phase, step, 8) for step in range(8)]

    assert rates() == [0.1] * 8
    assert rates(warmup_steps=4) == pytest.approx([0.025, 0.05, 0.075, *[0.1] * 5])
    half_way = [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5))]
    assert rates(warmup_steps=4, schedule="cosine") == pytest.approx([0.025, 0.05, 0.075, 0.1, *half_way])
    assert rates(schedule="cosine")[4] == pytest.approx(0.05)
    assert rates(warmup_steps=16) == pytest.approx(
        rates(warmup_steps=16, schedule="cosine")
    )  # the phase is too short for both


def test_phases_follow_each_other():
    fine_tuning = FineTuning(
        phases=[{"trainable_blocks": "head", "epochs": 1, "learning_rate": 0.1}, Phase(3, 2, 0.01)]
    )
    assert fine_tuning.phases == (Phase("head", 1, 0.1), Phase(3, 2, 0.01)) and fine_tuning.epochs == 3
    assert [fine_tuning.phase_at(epoch) for epoch in range(3)] == [
        (Phase("head", 1, 0.1), 0),
        *[(Phase(3, 2, 0.01), 1)] * 2,
    ]
    names = [Phase(trainable_blocks, 1, 0.1).name for trainable_blocks in ("head", 1, 3, "all")]
    assert names == ["head", "last block", "last 3 blocks", "all"]
    with pytest.raises(IndexError):
        fine_tuning.phase_at(3)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"phases": ()}, r"phases is \(\); give a list of one or more phases"),
        ({"phases": "all"}, "phases is 'all'"),
        (
            {"phases": [{"trainable_blocks": 3}]},
            r"one of phases is \{'trainable_blocks': 3\}; give trainable_blocks, epochs, learning_rate",
        ),
        (
            {"phases": [{"trainable_blocks": 3, "epochs": 1, "learning_rate": 1, "rate": 1}]},
            "one of phases is .*'rate'",
        ),
        ({"phases": [{"trainable_blocks": 0, "epochs": 1, "learning_rate": 1}]}, "trainable_blocks is 0"),
        ({"phases": [{"trainable_blocks": True, "epochs": 1, "learning_rate": 1}]}, "trainable_blocks is True"),
        ({"phases": [{"trainable_blocks": "last", "epochs": 1, "learning_rate": 1}]}, "trainable_blocks is 'last'"),
        ({"phases": [{"trainable_blocks": 1, "epochs": 0, "learning_rate": 1}]}, "epochs is 0"),
        ({"phases": [{"trainable_blocks": 1, "epochs": 1, "learning_rate": "1e-3"}]}, "learning_rate is '1e-3'"),
        ({"phases": [{"trainable_blocks": 1, "epochs": 1, "learning_rate": 0}]}, "learning_rate is 0"),
        (
            {"phases": [{"trainable_blocks": 1, "epochs": 1, "learning_rate": 1, "reset_optimizer": 1}]},
            "reset_optimizer is 1",
        ),
        ({"name": ""}, "name is ''"),
        ({"head": "deep"}, "head is 'deep'; did you mean 'dense'\\? Choose one of linear"),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop'; choose one of adam, sgd"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"layer_decay": 0}, "layer_decay is 0"),
        ({"layer_decay": 1.1}, "layer_decay is 1.1"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        ({"schedule": "linear"}, "schedule is 'linear'; choose one of constant, cosine"),
        ({"batch_statistics": None}, "batch_statistics is None"),
        ({"ema_decay": 1}, "ema_decay is 1"),
        ({"ema_decay": 0.0}, "ema_decay is 0.0"),
    ],
)
def test_bad_settings_are_refused_by_name(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        FineTuning(**wrong)
