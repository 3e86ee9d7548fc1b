import logging
import pickle
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_network import SmallNetwork

from mixvision.models.resnet25 import ResNet25
from mixvision.models.stacked import MovingNorm
from mixvision.models.trained import TrainedNetwork
from mixvision.training.config import Continuation, Course, Start, Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.mixtures import Mixtures, choose_training_sets, list_trials
from mixvision.training.pool import ImagePool, draw_order, pool_images
from mixvision.training.results import NoResultError, SweepResult
from mixvision.training.sweep import schedules
from mixvision.training.sweep.engine import resnet25_builder, train_sweep
from mixvision.training.sweep.stack import Stack
from mixvision.vocabulary import BEST_IN, SNAPSHOTS

pytestmark = pytest.mark.slow

RESNET = partial(ResNet25, 3, 16)
BRIEF = Training(iterations=12, evaluate_every=4, checkpoint_every=5, accelerator="cpu")


class Recorder(TrainingListener):
    """Writes down what a sweep tells, and stops it, or cancels trials, where asked."""

    def __init__(self, stop_at: int | None = None, *cancelled: str) -> None:
        self.stop_at, self.cancelled_trials = stop_at, frozenset(cancelled)
        self.started_trials: list[str] = []
        self.rows: list[dict] = []
        self.failures: dict[str, str] = {}
        self.pruned_trials: dict[str, int] = {}
        self.finished_trials: list[str] = []

    def started(self, trials):
        self.started_trials = list(trials["trial"])

    def evaluated(self, history):
        self.rows += history
        if self.stop_at and history[0]["iteration"] == self.stop_at:
            raise RuntimeError("killed")

    def failed(self, trial, reason):
        self.failures[trial] = reason

    def pruned(self, trial, iteration):
        self.pruned_trials[trial] = iteration

    def to_cancel(self):
        return self.cancelled_trials

    def finished(self, trial):
        self.finished_trials.append(trial)


@pytest.fixture
def sweep(small_manifest, small_pixels, tmp_path):
    """Train mixtures of the small digits, usually in the small network: ``sweep(mixtures, training)``."""

    def train(
        mixtures: Mixtures,
        training: Training = BRIEF,
        folder: Path = tmp_path,
        events: TrainingListener = SILENT,
        build=SmallNetwork,
        **changes,
    ) -> SweepResult:
        trials = list_trials(mixtures).assign(**changes)
        sets = choose_training_sets(small_manifest, trials, mixtures.balance)
        pool = pool_images(small_manifest, small_pixels, sets["id"])
        return train_sweep(build, trials, sets, pool, training, folder, events=events)

    return train


def assert_same(one: SweepResult, other: SweepResult) -> None:
    pd.testing.assert_frame_equal(one.history, other.history)
    pd.testing.assert_frame_equal(one.predictions, other.predictions)
    for trial, snapshots in one.weights.items():
        for name, tensors in snapshots.items():
            for key, tensor in tensors.items():
                assert torch.equal(tensor, other.weights[trial][name][key]), (trial, name, key)


def test_trials_trained_together_are_within_rounding_those_trained_alone(sweep, tmp_path):
    mixtures = Mixtures(ratios=(0, 40, 100), learning_rate=0.02, l2=0.1)
    rates = {"learning_rate": [0.02, 0.01, 0.03], "l2": [0.1, 0.5, 0.0]}
    # Few steps in double precision: training amplifies rounding about fivefold a step with these tiny batches.
    exact = Training(iterations=6, evaluate_every=2, accelerator="cpu", precision="64-true")
    rates |= {"build": RESNET}
    together = sweep(mixtures, exact, tmp_path / "together", **rates)
    alone = sweep(mixtures, Training(**{**vars(exact), "stack_size": 1}), tmp_path / "alone", **rates)
    assert set(together.outcomes["stack_size"]) == {3} and set(alone.outcomes["stack_size"]) == {1}
    order = ["trial", "iteration", "split"]
    one, other = (r.history.sort_values(order, ignore_index=True) for r in (together, alone))
    pd.testing.assert_frame_equal(one, other, rtol=1e-7)
    for trial, snapshots in together.weights.items():
        for name, tensor in snapshots["last"].items():
            torch.testing.assert_close(tensor, alone.weights[trial]["last"][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("iterations", "learning_rate"), [(3, 0.02), (22, 1e-6)])  # the second epoch begins after 20
def test_steps_are_those_that_plain_pytorch_takes(sweep, small_manifest, small_pixels, iterations, learning_rate):
    """Loss, L2, momentum and learning rate of one trial against autograd and torch.optim written out plainly."""
    mixtures = Mixtures(ratios=(50,), learning_rate=learning_rate, l2=0.1)
    training = Training(iterations=iterations, evaluate_every=iterations, accelerator="cpu", precision="64-true")
    trained = sweep(mixtures, training, build=RESNET).weights["ratio-050-seed-0"]["last"]

    trials = list_trials(mixtures)
    sets = choose_training_sets(small_manifest, trials, True)
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    order = np.concatenate([draw_order(np.searchsorted(pool.ids, sets["id"]), seed=0, epoch=epoch) for epoch in (0, 1)])
    network = ResNet25(3, 16, [torch.Generator().manual_seed(0)]).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for iteration in range(iterations):
        for module in network.modules():
            if isinstance(module, MovingNorm):
                module.momentum = max(0.01, 0.9 ** (iteration / 50))
        batch = torch.from_numpy(order[iteration])
        images = pool.pixels[batch].permute(0, 3, 1, 2).double() / 255
        loss = torch.nn.functional.cross_entropy(network(images)[0], pool.labels[batch])
        weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
        loss = loss + 0.1 / 2 * sum((weight**2).sum() for weight in weights)
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * 0.9 ** (iteration / 80)
            group["momentum"] = 0.6 / (1 + np.exp((100 - iteration) / 500))
        optimizer.step()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[name], value[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("stop_at", "checkpoint_at", "precision"), [(4, 0, "32-true"), (8, 5, "64-true"), (12, 10, "32-true")]
)
def test_a_killed_sweep_resumes_to_the_same_result(sweep, tmp_path, monkeypatch, stop_at, checkpoint_at, precision):
    mixtures, training = Mixtures(ratios=(0, 50, 100)), replace(BRIEF, precision=precision)
    uninterrupted = sweep(mixtures, training, tmp_path / "uninterrupted")
    with pytest.raises(RuntimeError, match="killed"):
        sweep(mixtures, training, tmp_path / "killed", Recorder(stop_at))
    recorder, steps, momentum = Recorder(), [], schedules.momentum
    monkeypatch.setattr(schedules, "momentum", lambda iteration: steps.append(iteration) or momentum(iteration))
    resumed = sweep(mixtures, training, tmp_path / "killed", recorder)
    assert_same(resumed, uninterrupted)
    assert steps == list(range(checkpoint_at, 12)), "no step is taken twice"
    heard = pd.DataFrame(recorder.rows).sort_values(["iteration", "split", "trial"], ignore_index=True)
    full = uninterrupted.history.sort_values(["iteration", "split", "trial"], ignore_index=True)
    pd.testing.assert_frame_equal(heard, full)  # the curves of the resumed run are whole


@pytest.mark.parametrize(("damaged", "begins"), [(["last.ckpt"], 5), (["last.ckpt", "last.previous.ckpt"], 0)])
def test_a_damaged_checkpoint_costs_steps_and_changes_nothing(sweep, tmp_path, monkeypatch, caplog, damaged, begins):
    """Checkpoints are saved after 5 and 10 steps; one flipped byte of a weight is damage."""
    mixtures = Mixtures(ratios=(0, 50))
    expected = sweep(mixtures, BRIEF, tmp_path / "uninterrupted")
    with pytest.raises(RuntimeError, match="killed"):
        sweep(mixtures, BRIEF, tmp_path / "killed", Recorder(12))
    for name in damaged:
        (path,) = (tmp_path / "killed").rglob(name)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    steps, momentum = [], schedules.momentum
    monkeypatch.setattr(schedules, "momentum", lambda iteration: steps.append(iteration) or momentum(iteration))
    with caplog.at_level(logging.WARNING):
        assert_same(sweep(mixtures, BRIEF, tmp_path / "killed"), expected)
    assert steps == list(range(begins, 12))
    assert caplog.text.count("is damaged; it is now last.") == len(damaged)
    assert len(list((tmp_path / "killed").rglob("*.damaged"))) == len(damaged)


def test_a_checkpoint_that_could_run_code_is_not_read(sweep, tmp_path):
    """Only tensors and plain values are; whatever else a file holds might do anything when it is unpickled."""
    sweep(Mixtures(ratios=(50,)))
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    torch.save(torch.load(checkpoint, weights_only=True) | {"note": checkpoint}, checkpoint)  # a Path is an object
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        sweep(Mixtures(ratios=(50,)))


def test_the_same_settings_give_the_same_numbers_and_others_do_not(sweep, tmp_path):
    first = sweep(Mixtures(ratios=(50,)), folder=tmp_path / "1")
    assert_same(first, sweep(Mixtures(ratios=(50,)), folder=tmp_path / "2"))
    other = sweep(Mixtures(ratios=(50,), seeds=(1,)), folder=tmp_path / "1")
    assert not np.array_equal(first.history["loss"], other.history["loss"])


def test_a_diverging_trial_fails_alone(sweep, tmp_path):
    mixtures = Mixtures(ratios=(0, 50))
    healthy = sweep(mixtures, folder=tmp_path / "healthy", learning_rate=[0.004, 0.004])
    recorder = Recorder()
    mixed = sweep(mixtures, folder=tmp_path / "mixed", events=recorder, learning_rate=[1e12, 0.004])
    assert mixed.outcomes["status"].tolist() == ["failed", "finished"]
    reason = mixed.outcomes["reason"].iloc[0]
    assert re.match(r"The training loss is (nan|inf) by iteration 4: .* learning_rate \(now 1e\+12\)", reason)
    assert recorder.failures == {"ratio-000-seed-0": reason}
    assert set(mixed.predictions["trial"]) == {"ratio-050-seed-0"}
    assert recorder.finished_trials == ["ratio-050-seed-0"]
    survivor = healthy.history[healthy.history["trial"] == "ratio-050-seed-0"].reset_index(drop=True)
    own = mixed.history[mixed.history["trial"] == "ratio-050-seed-0"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, survivor)


def test_a_diverged_trial_keeps_what_was_kept_before(digits, tmp_path):
    trials, sets, pool = digits
    course = Course(keep=[1, 12])
    rates = trials.assign(learning_rate=[1e12, 0.004])
    result = train_sweep(SmallNetwork, rates, sets, pool, BRIEF, tmp_path, course)
    assert result.outcomes["status"].tolist() == ["failed", "finished"]
    names = {"ratio-000-seed-0": {"iteration_1"}}
    names["ratio-100-seed-0"] = {"iteration_1", "iteration_12", *SNAPSHOTS}
    assert {trial: set(snapshots) for trial, snapshots in result.weights.items()} == names
    predicted = result.predictions.groupby("trial")["snapshot"].agg(set)
    names["ratio-100-seed-0"] |= set(BEST_IN.values())
    assert predicted.to_dict() == names


def test_a_diverged_a_too_large_and_a_cancelled_trial_do_not_cost_the_others(sweep, tmp_path, monkeypatch):
    """Also when the run is killed after the cancellation and resumed by one that does not cancel any more."""
    mixtures, names = Mixtures(ratios=(0, 20, 40, 60)), [f"ratio-{ratio:03d}-seed-0" for ratio in (0, 20, 40, 60)]
    changes = {"mixtures": mixtures, "learning_rate": [1e12, 0.004, 0.004, 0.004]}
    monkeypatch.setattr("mixvision.training.attempts._release_memory", lambda: None)
    step = Stack.training_step

    def too_large(stack, *given) -> None:
        if names[1] in set(stack.trials["trial"]):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        step(stack, *given)

    monkeypatch.setattr(Stack, "training_step", too_large)
    with pytest.raises(RuntimeError, match="killed"):
        sweep(**changes, folder=tmp_path / "killed", events=Recorder(8, names[2]))
    for recorder, folder in ((Recorder(None, names[2]), "whole"), (Recorder(), "killed")):
        result = sweep(**changes, folder=tmp_path / folder, events=recorder)
        ended = result.outcomes.set_index("trial")
        statuses = dict(zip(names, ["failed", "out of memory", "cancelled", "finished"], strict=True))
        assert ended["status"].to_dict() == statuses
        assert ended.loc[names[2], ["reason", "iterations"]].tolist() == ["Cancelled after iteration 4.", 4]
        assert recorder.failures == {name: ended.loc[name, "reason"] for name in names[:3]}
        assert set(result.predictions["trial"]) == set(result.weights) == {names[3]}
        assert recorder.finished_trials == [names[3]]


def test_resuming_after_the_last_step_tells_of_failures_too(sweep, tmp_path):
    """The usual way to resume: this stack was through when the run was killed."""
    changes = {"mixtures": Mixtures(ratios=(0, 50)), "folder": tmp_path, "learning_rate": [1e12, 0.004]}
    first = sweep(**changes)
    later = Recorder()
    assert_same(sweep(**changes, events=later), first)
    reason = first.outcomes["reason"].iloc[0]
    assert later.failures == {"ratio-000-seed-0": reason} and later.finished_trials == ["ratio-050-seed-0"]


def test_training_in_bfloat16(sweep):
    result = sweep(Mixtures(ratios=(50,)), Training(**{**vars(BRIEF), "precision": "bf16-mixed"}), build=RESNET)
    assert np.isfinite(result.history["loss"]).all()
    assert result.weights["ratio-050-seed-0"]["last"]["head.0.weight"].dtype == torch.float32


def test_a_stack_that_does_not_fit_is_trained_in_halves(small_manifest, small_pixels, tmp_path):
    def build(generators):
        if len(generators) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return SmallNetwork(generators)

    trials = list_trials(Mixtures(ratios=(0, 20, 40, 60, 80)))
    sets = choose_training_sets(small_manifest, trials, True)
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    result = train_sweep(build, trials, sets, pool, BRIEF, tmp_path)
    assert result.outcomes["stack_size"].tolist() == [2, 2, 1, 2, 2]  # 5 = 2 + 3, and 3 = 1 + 2
    assert result.outcomes["trial"].tolist() == trials["trial"].tolist()


def test_trials_that_do_not_fit_even_alone_are_an_error(small_manifest, small_pixels, tmp_path, monkeypatch):
    monkeypatch.setattr("mixvision.training.attempts._release_memory", lambda: None)
    trials = list_trials(Mixtures(ratios=(0, 20, 40)))
    sets = choose_training_sets(small_manifest, trials, True)
    pool = pool_images(small_manifest, small_pixels, sets["id"])

    def train(fitting: int) -> list[int]:
        def fit(stack, *_) -> float:
            if len(stack.trials) > fitting:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return 0.0

        monkeypatch.setattr("mixvision.training.sweep.engine.fit_stack", fit)
        return train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path).outcomes["stack_size"].tolist()

    assert train(1) == [1, 1, 1] and train(3) == [3, 3, 3]
    with pytest.raises(NoResultError, match="No trial finished. Out of memory, even when trained by itself: lower"):
        train(0)


@pytest.mark.parametrize("stranger", ["nice/0/020.png", "nice/0/nowhere.png"])
def test_images_that_are_not_for_training_are_refused(small_manifest, small_pixels, tmp_path, stranger):
    """As when the splits were made anew after the training images had been chosen; 020 is a validation image."""
    trials = list_trials(Mixtures(ratios=(0,)))
    sets = choose_training_sets(small_manifest, trials, True)
    sets.loc[3, "id"] = stranger
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    with pytest.raises(ValueError, match=f"{stranger}.*the splits have changed"):
        train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path)


def test_a_gpu_that_is_not_there_is_refused(sweep):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="accelerator is 'gpu'"):
        sweep(Mixtures(ratios=(0,)), Training(accelerator="gpu"))


def test_all_trials_diverging_is_an_error(sweep):
    with pytest.raises(ValueError, match="No trial finished.*learning_rate"):
        sweep(Mixtures(ratios=(0, 50), learning_rate=1e12))


def test_predictions_agree_with_the_history_and_with_the_saved_networks(sweep, small_manifest, small_pixels, tmp_path):
    result = sweep(Mixtures(ratios=(50,), learning_rate=0.05, l2=0.05), build=RESNET)
    predictions = result.predictions.merge(small_manifest, on="id")
    assert set(predictions["snapshot"]) == {*SNAPSHOTS, *BEST_IN.values()}
    last = predictions[(predictions["snapshot"] == "last") & (predictions["split"] == "test")]
    final = result.history[(result.history["iteration"] == 12) & (result.history["split"] == "test")].iloc[0]
    for domain, images in last.groupby("domain"):
        assert (images["prediction_1"] == images["category"]).mean() == pytest.approx(final[f"{domain}_top1"])
    best = result.history[result.history["split"] == "test"]["performance_top1"].max()
    chosen = predictions[(predictions["snapshot"] == "best_test") & (predictions["split"] == "test")]
    accuracy = (chosen["prediction_1"] == chosen["category"]).groupby(chosen["domain"]).mean()
    assert np.sqrt(accuracy["nice"] * accuracy["real"]) == pytest.approx(best)
    for domain, snapshot in BEST_IN.items():
        chosen = predictions[(predictions["snapshot"] == snapshot) & (predictions["split"] == "validation")]
        chosen = chosen[chosen["domain"] == domain]
        best = result.history.loc[result.history["split"] == "validation", f"{domain}_top1"].max()
        assert (chosen["prediction_1"] == chosen["category"]).mean() == pytest.approx(best)

    path = tmp_path / "network.safetensors"
    TrainedNetwork("resnet25", ("0", "1", "2"), 16, result.weights["ratio-050-seed-0"]["last"]).save(path)
    network = TrainedNetwork.load(path)
    images = np.stack([small_pixels[row.domain][row.pixel_row] for row in last.itertuples()])
    probabilities = network.classify(images)
    np.testing.assert_array_equal(np.array(network.categories)[probabilities.argmax(1)], last["prediction_1"])
    np.testing.assert_allclose(probabilities.max(1), last["probability_1"], rtol=1e-4)


def test_it_learns(sweep):
    """Rounding alone moves one network by a tenth or two, but the mean of six by hundredths: 0.80 is seen.

    Guessing reaches 0.33, a head on features that stay random 0.50, a hundredth of the learning rate 0.45.
    """
    result = sweep(
        Mixtures(ratios=(50,), seeds=tuple(range(6)), learning_rate=0.03, l2=0.1),
        Training(iterations=120, evaluate_every=120, accelerator="cpu"),
        build=RESNET,
    )
    test = result.history[result.history["split"] == "test"]
    assert len(test) == 6 and test["performance_top1"].mean() > 0.65


def test_a_listener_hears_of_every_trial(sweep):
    recorder, begin = Recorder(), time.perf_counter()
    result = sweep(Mixtures(ratios=(0, 100)), Training(iterations=10, evaluate_every=4, stack_size=1), events=recorder)
    assert recorder.started_trials == recorder.finished_trials == ["ratio-000-seed-0", "ratio-100-seed-0"]
    assert sorted({row["iteration"] for row in recorder.rows}) == [4, 8, 10]  # the last iteration too
    assert len(recorder.rows) == len(result.history) == 2 * 3 * 2
    assert result.outcomes["reason"].tolist() == ["", ""]
    assert result.outcomes["stack_seconds"].between(0, time.perf_counter() - begin, inclusive="neither").all()


def test_sets_of_different_sizes_train_in_different_stacks(small_manifest, small_pixels, tmp_path):
    trials = list_trials(Mixtures(ratios=(0, 50)))
    sets = choose_training_sets(small_manifest, trials, True)
    sets = sets.drop(sets.index[sets["trial"] == "ratio-050-seed-0"][:30])
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    result = train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path)
    assert result.outcomes["stack_size"].tolist() == [1, 1]
    assert result.outcomes["trial"].tolist() == trials["trial"].tolist()


def test_too_small_a_training_set_is_refused_before_training(small_manifest, small_pixels, tmp_path):
    trials = list_trials(Mixtures(ratios=(0,)))
    sets = choose_training_sets(small_manifest, trials, True).head(19)
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    with pytest.raises(ValueError, match="19 training images.*20 or more"):
        train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 0},
        {"evaluate_every": 1.5},
        {"accelerator": "tpu"},
        {"precision": "16"},
        {"stack_size": 0},
    ],
)
def test_wrong_settings_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is"):
        Training(**wrong)


def test_the_pool_moves_to_a_device(small_manifest, small_pixels):
    pool = pool_images(small_manifest, small_pixels, small_manifest["id"]).to(torch.device("meta"))
    assert isinstance(pool, ImagePool) and pool.pixels.is_meta and pool.held_out["test"].is_meta


def at_iteration(history: pd.DataFrame, low: int, high: int) -> pd.DataFrame:
    chosen = history[history["iteration"].between(low, high)]
    return chosen.sort_values(["trial", "iteration", "split"], ignore_index=True)


@pytest.fixture
def digits(small_manifest, small_pixels):
    """Trials of two mixtures, their training sets and their pool."""
    trials = list_trials(Mixtures(ratios=(0, 100), learning_rate=0.02, l2=0.1))
    sets = choose_training_sets(small_manifest, trials, True)
    return trials, sets, pool_images(small_manifest, small_pixels, sets["id"])


def test_snapshots_are_kept_on_demand_and_change_nothing(digits, tmp_path):
    trials, sets, pool = digits
    plain = train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path / "plain")
    kept = train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path / "kept", Course(keep=[4, 6, 12]))
    short = train_sweep(SmallNetwork, trials, sets, pool, replace(BRIEF, iterations=6), tmp_path / "short")
    assert sorted(kept.history["iteration"].unique()) == [4, 6, 8, 12]
    also = kept.history[kept.history["iteration"].isin([4, 8, 12])].reset_index(drop=True)
    pd.testing.assert_frame_equal(also, plain.history)
    assert set(kept.weights["ratio-000-seed-0"]) - set(plain.weights["ratio-000-seed-0"]) == {
        "iteration_4",
        "iteration_6",
        "iteration_12",
    }
    for name in plain.weights["ratio-000-seed-0"]["last"]:
        own = kept.weights["ratio-000-seed-0"]
        assert torch.equal(own["last"][name], plain.weights["ratio-000-seed-0"]["last"][name])
        assert torch.equal(own["iteration_12"][name], own["last"][name])
        assert torch.equal(own["iteration_6"][name], short.weights["ratio-000-seed-0"]["last"][name])


def test_a_continuation_with_the_schedules_continued_equals_training_in_one_go(digits, tmp_path):
    """Save for the momentum, which starts from rest: with none of it, two halves are the whole."""
    trials, sets, pool = digits
    trials = trials.assign(learning_rate=0.02)
    exact = replace(BRIEF, iterations=40, evaluate_every=20, precision="64-true")
    with pytest.MonkeyPatch.context() as patch:
        asked: list[int] = []
        momentum = lambda iteration: asked.append(iteration) or 0.0  # noqa: E731
        patch.setattr("mixvision.training.sweep.schedules.momentum", momentum)
        # One pass over the training set is twenty batches; the second half draws the first pass again.
        patch.setattr(
            "mixvision.training.sweep.batches.draw_order", lambda images, seed, epoch: draw_order(images, seed, 0)
        )
        whole = train_sweep(SmallNetwork, trials, sets, pool, exact, tmp_path / "whole", Course(keep=[20]))
        starts = {
            trial: Start(whole.weights[trial]["iteration_20"], rows.to_dict("records"))
            for trial, rows in at_iteration(whole.history, 0, 20).groupby("trial")
        }
        rest = train_sweep(
            SmallNetwork,
            trials.assign(begin=20, iterations=20),
            sets,
            pool,
            exact,
            tmp_path / "rest",
            course=Course(Continuation(starts, schedules="continue")),
            events=(recorder := Recorder()),
        )
    assert asked == [*range(40), *range(20, 40)]
    assert len(recorder.rows) == len(rest.history), "a listener hears of the first half, too"
    pd.testing.assert_frame_equal(at_iteration(rest.history, 0, 40), at_iteration(whole.history, 0, 40), rtol=1e-5)
    for name, tensor in rest.weights["ratio-000-seed-0"]["last"].items():
        torch.testing.assert_close(tensor, whole.weights["ratio-000-seed-0"]["last"][name], rtol=1e-5, atol=1e-8)


def note(noted: list, what) -> float:
    """Instead of training, which takes no time."""
    noted.append(what)
    return 0.0


def test_trials_train_together_as_far_as_they_fit(small_manifest, small_pixels, tmp_path, monkeypatch):
    trials = list_trials(Mixtures(ratios=(0, 20, 40, 60, 80)))
    sets = choose_training_sets(small_manifest, trials, True)  # 60 images each: batches of 3
    pool = pool_images(small_manifest, small_pixels, sets["id"])

    def sizes(cache: int, trials=trials, sets=sets, **changes) -> list[int]:
        stacks: list[int] = []
        monkeypatch.setattr(
            "mixvision.training.sweep.engine.fit_stack", lambda *given: note(stacks, len(given[0].trials))
        )
        monkeypatch.setattr("mixvision.training.sweep.needs.images_in_cache", lambda side: cache)
        train_sweep(SmallNetwork, trials, sets, pool, replace(BRIEF, **changes), tmp_path)
        return stacks

    assert sizes(6) == [2, 2, 1] and sizes(15) == [5] and sizes(14) == sizes(11) == [3, 2] and sizes(2) == [1] * 5
    assert sizes(8) == [2, 2, 1]
    assert sizes(2, stack_size=3) == [3, 2] and sizes(15, stack_size=1) == [1] * 5
    assert sizes(15, trials.assign(begin=[0, 0, 7, 7, 7])) == [2, 3]
    assert sizes(15, trials.assign(iterations=[8, 9, 8, 9, 8])) == [3, 2]
    fewer = sets[(sets["trial"] != "ratio-020-seed-0") | (sets.groupby("trial").cumcount() < 59)]
    fewer = fewer[(fewer["trial"] != "ratio-060-seed-0") | (fewer.groupby("trial").cumcount() < 41)]
    assert sizes(15, sets=fewer) == [3, 2], "59 and 41 images both make batches of 2"


def test_twenty_images_are_enough_to_train_on(digits, tmp_path, monkeypatch):
    trials, sets, pool = digits
    monkeypatch.setattr("mixvision.training.sweep.engine.fit_stack", lambda *given: 0.0)
    result = train_sweep(SmallNetwork, trials, sets[sets.groupby("trial").cumcount() < 20], pool, BRIEF, tmp_path)
    assert result.outcomes["status"].tolist() == ["finished", "finished"]


def test_the_network_is_built_for_the_pools_categories_and_images(digits):
    network = resnet25_builder(digits[2])([torch.Generator().manual_seed(seed) for seed in range(2)])
    expected = RESNET([torch.Generator().manual_seed(seed) for seed in range(2)]).state_dict()
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


def test_no_checkpoint_is_continued_by_a_sweep_that_computes_something_else(digits, tmp_path, monkeypatch):
    """Every change of what decides the result gives the stack another folder, and the same settings the same one."""
    trials, sets, pool = digits
    folders = []
    monkeypatch.setattr("mixvision.training.sweep.engine.fit_stack", lambda *given: note(folders, given[2]))
    first = {name: tensor[0] for name, tensor in SmallNetwork([torch.Generator().manual_seed(5)]).state_dict().items()}
    other = {name: tensor + 1 for name, tensor in first.items()}

    def going_on(weights=first, history=(), **how) -> Course:
        starts = {trial: Start(weights, [{"trial": trial, **row} for row in history]) for trial in trials["trial"]}
        return Course(Continuation(starts, **how))

    usual = {"trials": trials, "sets": sets, "pool": pool, "training": BRIEF, "course": Course()}
    changes = [
        {},
        {"trials": trials.assign(l2=0.2)},
        {"sets": sets.drop(index=[0, len(sets) - 1])},
        {"pool": replace(pool, pixels=pool.pixels + 1)},
        {"pool": replace(pool, held_out={name: rows.flip(0) for name, rows in pool.held_out.items()})},
        {"training": replace(BRIEF, iterations=13)},
        {"training": replace(BRIEF, evaluate_every=5)},
        {"training": replace(BRIEF, precision="64-true")},
        {"course": Course(keep=[4])},
        {"course": Course(prune=lambda rows: set())},
        {"course": going_on()},
        {"course": going_on(other)},
        {"course": going_on(history=[{"iteration": 4}])},
        {"course": going_on(trainable="head")},
        {"course": going_on(schedules="continue")},
    ]
    for _ in range(2):
        for change in changes:
            of = usual | change
            train_sweep(SmallNetwork, of["trials"], of["sets"], of["pool"], of["training"], tmp_path, of["course"])
    assert len(set(folders)) == len(changes) and folders[: len(changes)] == folders[len(changes) :]
    assert {folder.parent for folder in folders} == {tmp_path}


def test_restarted_schedules_differ_from_continued_ones(digits, tmp_path):
    trials, sets, pool = digits
    first = train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path)
    starts = {trial: Start(first.weights[trial]["last"]) for trial in trials["trial"]}
    later = trials.assign(begin=120, iterations=8)
    losses = {
        schedules: train_sweep(
            SmallNetwork, later, sets, pool, BRIEF, tmp_path, course=Course(Continuation(starts, schedules=schedules))
        ).history["loss"]
        for schedules in ("restart", "continue")
    }
    assert not np.allclose(losses["restart"], losses["continue"])


def test_training_the_head_alone_equals_training_the_whole_with_frozen_features(digits, tmp_path):
    """The oracle trains the head by hand behind the network's own features, held in evaluation mode."""
    trials, sets, pool = digits
    exact = replace(BRIEF, iterations=3, evaluate_every=3, precision="64-true")
    first = train_sweep(SmallNetwork, trials, sets, pool, exact, tmp_path / "first")
    trial = trials["trial"].iloc[1]
    swapped = {name: Start(first.weights[name]["last"]) for name in trials["trial"]}
    result = train_sweep(
        SmallNetwork,
        trials,
        sets,
        pool,
        exact,
        tmp_path / "head",
        course=Course(Continuation(swapped, trainable="head")),
    )
    network = SmallNetwork([torch.Generator().manual_seed(0)]).double()
    network.load_state_dict({name: tensor[None] for name, tensor in first.weights[trial]["last"].items()})
    optimizer = torch.optim.SGD(network.head.parameters(), lr=0.1)
    images = np.searchsorted(pool.ids, sets.loc[sets["trial"] == trial, "id"])
    order = draw_order(images, seed=0, epoch=0)
    for iteration in range(3):
        batch = torch.from_numpy(order[iteration])
        with torch.no_grad():
            features = network.eval().embed(pool.pixels[batch].permute(0, 3, 1, 2).double() / 255)
        network.head.train()
        for module in network.head.modules():
            if isinstance(module, MovingNorm):
                module.momentum = max(0.01, 0.9 ** (iteration / 50))
        loss = torch.nn.functional.cross_entropy(network.head(features)[0], pool.labels[batch])
        weights = [p for name, p in network.head.named_parameters() if name.endswith("weight")]
        loss = loss + 0.1 / 2 * sum((weight**2).sum() for weight in weights)
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * 0.9 ** (iteration / 80)
            group["momentum"] = 0.6 / (1 + np.exp((100 - iteration) / 500))
        optimizer.step()
    trained = result.weights[trial]["last"]
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[name], value[0], rtol=1e-6, atol=1e-9)
        if name.startswith("features"):
            assert torch.equal(trained[name], first.weights[trial]["last"][name])
    final = result.history[(result.history["trial"] == trial) & (result.history["split"] == "test")].iloc[-1]
    own = result.predictions[(result.predictions["trial"] == trial) & (result.predictions["snapshot"] == "last")]
    positions = pool.held_out["test"]
    with torch.no_grad():
        said = network.eval()(pool.pixels[positions].permute(0, 3, 1, 2).double() / 255)[0].argmax(1)
    assert (said == pool.labels[positions])[~pool.is_real[positions]].double().mean() == pytest.approx(
        final["nice_top1"]
    )
    by_id = own.set_index("id").loc[pool.ids[positions], "prediction_1"]
    assert by_id.tolist() == [pool.categories[k] for k in said]


class PruneAt:
    """Stops some trials at an iteration."""

    def __init__(self, iteration: int, names: set[str]) -> None:
        self.iteration, self.names, self.heard = iteration, names, []

    def __call__(self, rows):
        self.heard += rows
        return self.names if rows[0]["iteration"] == self.iteration else set()


@pytest.mark.parametrize("stop_at", [None, 4, 8, 12])
def test_pruned_trials_leave_the_stack_and_the_others_do_not_notice(small_manifest, small_pixels, tmp_path, stop_at):
    trials = list_trials(Mixtures(ratios=(0, 40, 100)))
    sets = choose_training_sets(small_manifest, trials, True)
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    exact = replace(BRIEF, precision="64-true", checkpoint_every=4)
    whole = train_sweep(SmallNetwork, trials, sets, pool, exact, tmp_path / "whole")
    folder = tmp_path / "pruned"
    arguments = (SmallNetwork, trials, sets, pool, exact, folder)
    if stop_at:
        with pytest.raises(RuntimeError, match="killed"):
            train_sweep(*arguments, Course(prune=PruneAt(4, {"ratio-040-seed-0"})), Recorder(stop_at))
    recorder = Recorder()
    result = train_sweep(*arguments, Course(prune=PruneAt(4, {"ratio-040-seed-0"})), recorder)
    assert result.outcomes["status"].tolist() == ["finished", "pruned", "finished"]
    assert result.outcomes["iterations"].tolist() == [12, 4, 12]
    assert recorder.pruned_trials == {"ratio-040-seed-0": 4}
    assert recorder.finished_trials == ["ratio-000-seed-0", "ratio-100-seed-0"]
    others = whole.history[(whole.history["trial"] != "ratio-040-seed-0") | (whole.history["iteration"] == 4)]
    pd.testing.assert_frame_equal(at_iteration(result.history, 0, 12), at_iteration(others, 0, 12), rtol=1e-5)
    assert set(result.weights) == {"ratio-000-seed-0", "ratio-100-seed-0"} == set(result.predictions["trial"])
    for trial, snapshots in result.weights.items():
        for name, tensor in snapshots["last"].items():
            torch.testing.assert_close(tensor, whole.weights[trial]["last"][name], rtol=1e-3, atol=1e-5)


def test_a_stack_with_every_trial_pruned_stops(digits, tmp_path):
    trials, sets, pool = digits
    arguments = (SmallNetwork, trials, sets, pool, replace(BRIEF, checkpoint_every=4), tmp_path)
    for _ in ("at first", "again, from the checkpoint of the stopped stack"):
        result = train_sweep(*arguments, Course(prune=PruneAt(8, set(trials["trial"]))))
        assert result.outcomes["status"].tolist() == ["pruned", "pruned"]
        assert result.outcomes["iterations"].tolist() == [8, 8]
        assert result.history["iteration"].max() == 8 and not result.weights


def test_no_trial_is_pruned_after_its_last_step(digits, tmp_path):
    trials, sets, pool = digits
    result = train_sweep(
        SmallNetwork, trials, sets, pool, BRIEF, tmp_path, Course(prune=PruneAt(12, {trials["trial"][0]}))
    )
    assert result.outcomes["status"].tolist() == ["finished", "finished"] and len(result.weights) == 2


def test_validation_alone_can_judge(digits, small_manifest, small_pixels, tmp_path):
    trials, sets, _ = digits
    pool = pool_images(small_manifest, small_pixels, sets["id"], held_out=("validation",))
    result = train_sweep(SmallNetwork, trials, sets, pool, BRIEF, tmp_path)
    assert set(result.history["split"]) == {"validation"}
    assert set(result.predictions["snapshot"]) == {"last", "best_validation", *BEST_IN.values()}
    splits = small_manifest.set_index("id").loc[result.predictions["id"], "split"]
    assert set(splits) == {"validation"}


def test_trials_of_different_lengths_train_in_different_stacks(digits, tmp_path):
    trials, sets, pool = digits
    result = train_sweep(SmallNetwork, trials.assign(iterations=[4, 8]), sets, pool, BRIEF, tmp_path)
    assert result.outcomes["iterations"].tolist() == [4, 8] and result.outcomes["stack_size"].tolist() == [1, 1]
    assert result.history.groupby("trial")["iteration"].max().tolist() == [4, 8]


@pytest.mark.parametrize("wrong", [{"trainable": "tail"}, {"schedules": "forget"}])
def test_wrong_ways_to_continue_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is"):
        Continuation({}, **wrong)
