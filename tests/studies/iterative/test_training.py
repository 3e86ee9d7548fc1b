from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_network import SmallNetwork

from mixvision.studies.iterative import interpolation
from mixvision.studies.iterative.interpolation import interpolate
from mixvision.studies.iterative.training import Phases, choose_phases, list_iterative_trials, train_iteratively
from mixvision.training.config import Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.mixtures import Mixtures, choose_training_sets, list_trials
from mixvision.training.pool import pool_images
from mixvision.training.results import SweepResult
from mixvision.training.sweep import schedules
from mixvision.vocabulary import AFTER_INITIAL, SNAPSHOTS

pytestmark = pytest.mark.slow

BRIEF = Training(iterations=20, evaluate_every=2, checkpoint_every=3, accelerator="cpu")
PHASES = Phases(shares=(20, 50, 80), evaluate_restricted_every=2, learning_rate=0.02, l2=0.1)


@pytest.fixture
def train(small_manifest, small_pixels, tmp_path):
    """Train the small digits in two phases: ``train(phases, training, folder)``."""

    def run(
        phases: Phases = PHASES,
        training: Training = BRIEF,
        folder: str = "checkpoints",
        events: TrainingListener = SILENT,
        **changes,
    ) -> SweepResult:
        trials = list_iterative_trials(phases, training.iterations).assign(**changes)
        sets = choose_phases(small_manifest, trials, phases)
        pool = pool_images(small_manifest, small_pixels, sets["id"])
        return train_iteratively(SmallNetwork, trials, sets, pool, phases, training, tmp_path / folder, events)

    return run


def of_trial(frame: pd.DataFrame, trial: str) -> pd.DataFrame:
    order = [name for name in ("snapshot", "iteration", "split", "id") if name in frame]
    return frame[frame["trial"] == trial].sort_values(order, ignore_index=True)


def assert_same(one: SweepResult, other: SweepResult, trial: str) -> None:
    pd.testing.assert_frame_equal(of_trial(one.history, trial), of_trial(other.history, trial))
    pd.testing.assert_frame_equal(of_trial(one.predictions, trial), of_trial(other.predictions, trial))
    assert one.weights[trial].keys() == other.weights[trial].keys()
    for name, tensors in one.weights[trial].items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, other.weights[trial][name][key]), (name, key)


def test_the_trials_divide_the_iterations():
    trials = list_iterative_trials(Phases(seeds=(0, 1)), 6000)
    assert len(trials) == 18 and trials["trial"].is_unique
    assert trials["begin"].tolist() == [600 * k for k in range(1, 10)] * 2
    assert (trials["begin"] + trials["iterations"] == 6000).all()


@pytest.mark.parametrize("first", ["nice", "real"])
def test_the_phases_are_the_halves_of_the_mixed_set(small_manifest, first):
    phases = replace(PHASES, first=first)
    trials = list_iterative_trials(phases, 20)
    sets = choose_phases(small_manifest, trials, phases)
    mixed = choose_training_sets(small_manifest, list_trials(Mixtures(ratios=(50,))), balance=True)
    for _, own in sets.groupby("trial"):
        assert sorted(own["id"]) == mixed["id"].tolist()
        initial = own.loc[own["phase"] == "initial", "id"]
        assert len(initial) == 30 and initial.str.startswith(first).all()
        assert not own.loc[own["phase"] == "restricted", "id"].str.startswith(first).any()


def test_replay_adds_a_share_of_the_first_domain(small_manifest):
    phases = replace(PHASES, replay=25, seeds=(0, 1))
    sets = choose_phases(small_manifest, list_iterative_trials(phases, 20), phases)
    for _, own in sets.groupby("trial"):
        second = own.loc[own["phase"] == "restricted", "id"]
        replayed = second[second.str.startswith("nice")]
        assert len(second) == 40 and len(replayed) == 10
        assert set(replayed) <= set(own.loc[own["phase"] == "initial", "id"])


@pytest.mark.parametrize(("trainable", "schedules"), [("head", "restart"), ("all", "continue")])
def test_branching_off_equals_training_each_model_from_scratch(train, trainable, schedules):
    """Two of the three turn to the second training between two evaluations of the first."""
    phases, training = replace(PHASES, trainable=trainable, schedules=schedules), replace(BRIEF, evaluate_every=5)
    together = train(phases, training)
    for share, trial in zip(phases.shares, together.weights, strict=True):
        assert_same(together, train(replace(phases, shares=(share,)), training, f"alone-{share}"), trial)


def test_what_was_trained_before_the_initial_training_diverged_is_kept(train, monkeypatch):
    """At step 12 of any training the learning rate explodes; the model of 50% has ten steps of each."""
    whole = train()
    decay = schedules.learning_rate_decay
    monkeypatch.setattr(schedules, "learning_rate_decay", lambda step: 1e30 if step == 12 else decay(step))
    result = train(folder="exploded")
    statuses = result.outcomes.set_index("trial")["status"].to_dict()
    assert statuses == {
        "initial-020-seed-0": "failed",
        "initial-050-seed-0": "finished",
        "initial-080-seed-0": "failed",
    }
    assert_same(result, whole, "initial-050-seed-0")


def test_the_second_training_changes_the_head_alone(train):
    result = train()
    for snapshots in result.weights.values():
        assert set(snapshots) == {AFTER_INITIAL, *SNAPSHOTS}
        for name, tensor in snapshots["last"].items():
            same = torch.equal(tensor, snapshots["after_initial"][name])
            if not name.endswith("variance"):  # of batches of one image it is zero throughout
                assert same != name.startswith("head."), name


def test_all_layers_can_learn_in_the_second_training(train):
    (snapshots,) = train(replace(PHASES, shares=(50,), trainable="all")).weights.values()
    assert not torch.equal(snapshots["last"]["features.0.weight"], snapshots["after_initial"]["features.0.weight"])


def test_the_history_goes_through_both_phases(train):
    result = train()
    for share, trial in zip(PHASES.shares, result.weights, strict=True):
        rows = of_trial(result.history[result.history["split"] == "test"], trial)
        assert rows["iteration"].tolist() == list(range(2, 21, 2))
        begin = 20 * share // 100
        said = of_trial(result.predictions, trial)
        said = said[(said["snapshot"] == "after_initial") & said["id"].str.startswith("nice")]
        tested = said[said["id"].str[-7:-4].astype(int) >= 24]  # the small manifest's test images
        accuracy = (tested["prediction_1"] == tested["id"].str.split("/").str[1]).mean()
        assert rows.set_index("iteration").loc[begin, "nice_top1"] == pytest.approx(accuracy)


class Killer(TrainingListener):
    """Stops a sweep when it hears of an iteration for some time."""

    def __init__(self, evaluations: int) -> None:
        self.left = evaluations

    def evaluated(self, history):
        self.left -= 1
        if not self.left:
            raise RuntimeError("killed")


@pytest.mark.parametrize(("evaluations", "precision"), [(3, "64-true"), (14, "32-true")])
def test_a_killed_study_resumes_to_the_same_result(train, evaluations, precision):
    """In the initial training, and within a branch."""
    training = replace(BRIEF, precision=precision)
    whole = train(training=training, folder="whole")
    with pytest.raises(RuntimeError, match="killed"):
        train(training=training, folder="killed", events=Killer(evaluations))
    resumed = train(training=training, folder="killed")
    for trial in whole.weights:
        assert_same(whole, resumed, trial)


def test_a_seed_that_diverges_is_named_and_the_others_go_on(train):
    phases = replace(PHASES, seeds=(0, 1), shares=(50,))
    result = train(phases, learning_rate=[1e12, 0.02])
    assert result.outcomes.set_index("trial")["status"].to_dict() == {
        "initial-050-seed-0": "failed",
        "initial-050-seed-1": "finished",
    }
    assert result.outcomes["reason"].str.contains("diverged").sum() == 1
    assert set(result.predictions["trial"]) == {"initial-050-seed-1"}


@pytest.mark.parametrize("trainable", ["head", "all"])
def test_interpolation_leads_from_one_end_to_the_other(train, small_manifest, small_pixels, trainable, monkeypatch):
    result = train(replace(PHASES, shares=(50,), trainable=trainable))
    ((trial, snapshots),) = result.weights.items()
    pool = pool_images(small_manifest, small_pixels, small_manifest["id"].head(0))
    shown: list[int] = []
    monkeypatch.setattr(interpolation, "progress", lambda steps, **_: shown.append(len(steps)) or steps)
    between = interpolate(
        SmallNetwork, {trial: (snapshots["after_initial"], snapshots["last"])}, pool, BRIEF, (0.0, 0.5, 1.0)
    )
    assert shown == [1], "one model"
    for alpha, name in (("alpha_0.00", "after_initial"), ("alpha_1.00", "last")):
        end = of_trial(result.predictions[result.predictions["snapshot"] == name], trial).drop(columns="snapshot")
        way = of_trial(between[between["snapshot"] == alpha], trial).drop(columns="snapshot")
        pd.testing.assert_frame_equal(way, end, rtol=1e-4)
    network = SmallNetwork([torch.Generator()])
    middle = {name: (one + snapshots["last"][name]) / 2 for name, one in snapshots["after_initial"].items()}
    network.load_state_dict({name: tensor[None] for name, tensor in middle.items()})
    with torch.no_grad():
        probability = network.eval()(pool.gather(pool.all_held_out))[0].softmax(-1).amax(-1)
    half = between[between["snapshot"] == "alpha_0.50"]
    np.testing.assert_allclose(half["probability_1"], probability, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": "web"},
        {"shares": (0, 50)},
        {"shares": (50, 50)},
        {"shares": ()},
        {"seeds": (-1,)},
        {"trainable": "tail"},
        {"replay": 51},
        {"schedules": "stop"},
        {"evaluate_restricted_every": 0},
        {"learning_rate": 0},
        {"l2": -1},
    ],
)
def test_wrong_settings_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is"):
        Phases(**wrong)


def test_too_few_iterations_are_refused():
    with pytest.raises(ValueError, match="iterations is 4"):
        list_iterative_trials(Phases(shares=(10,)), 4)
