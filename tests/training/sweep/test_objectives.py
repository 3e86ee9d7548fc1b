"""Objectives against cases computed by hand, and inside a stack."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_network import SmallNetwork
from torch import nn

from mixvision.training.config import Continuation, Course, Start, Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.mixtures import Mixtures, choose_training_sets, list_trials
from mixvision.training.pool import draw_continuously, pool_images
from mixvision.training.sweep.batches import Batches
from mixvision.training.sweep.engine import train_sweep
from mixvision.training.sweep.objectives import (
    OBJECTIVES,
    Batch,
    Coral,
    DomainWeights,
    EarlierAnswers,
    ElasticWeights,
    GroupDRO,
    Objective,
    Origin,
)

BRIEF = Training(iterations=6, evaluate_every=3, checkpoint_every=2, accelerator="cpu", precision="64-true")
IS_REAL = torch.tensor([[False, False, False, True]])
LOSSES = torch.tensor([[1.0, 2.0, 3.0, 6.0]], dtype=torch.float64)


class KilledAt(TrainingListener):
    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def evaluated(self, history):
        if history and history[0]["iteration"] == self.iteration:
            raise RuntimeError("killed")


class OneWeight(nn.Module):
    """K networks of one weight each, whose two logits are ``(weight * input, 0)``: inputs ``(K, B)``."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, inputs):
        logits = self.weight[:, None] * inputs
        return torch.stack([logits, torch.zeros_like(logits)], -1)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def origin(strength: float = 0.0, learner: nn.Module | None = None, counts=((3, 1),), earlier=()) -> Origin:
    return Origin([strength], learner or OneWeight(1.0), torch.tensor(counts), earlier)


def batch(losses=LOSSES, is_real=IS_REAL, learner=None, inputs=None, features=None) -> Batch:
    logits = learner(inputs) if learner else torch.zeros(*losses.shape, 2)
    return Batch(losses, logits, features, is_real, learner or nn.Identity(), inputs)


def test_without_more_it_is_the_mean_cross_entropy():
    assert Objective(origin())(batch()).tolist() == [3.0]


def test_domain_weights_make_both_domains_weigh_the_same():
    """30 nice and 10 real images: 40 / 60 and 40 / 20."""
    loss = DomainWeights(origin(counts=((30, 10),)))(batch())
    assert loss.item() == pytest.approx((2 / 3 * (1 + 2 + 3) + 2 * 6) / 4)
    everything = DomainWeights(origin(counts=((3, 1),)))(batch())  # the batch is the set: the mean of both means
    assert everything.item() == pytest.approx((2 + 6) / 2)


def test_group_dro_gives_the_domain_with_the_higher_loss_more_weight():
    """Two steps with the mean losses 2 (nice) and 6 (real), strength .1."""
    objective = GroupDRO(origin(0.1))
    q = 0.5
    for _ in range(2):
        nice, real = (1 - q) * math.exp(0.2), q * math.exp(0.6)
        q = real / (nice + real)
        assert objective(batch()).item() == pytest.approx((1 - q) * 2 + q * 6)
    assert objective.q.tolist() == [pytest.approx([1 - q, q])]
    assert objective(batch(is_real=torch.zeros(1, 4, dtype=torch.bool))).isfinite().all()  # a batch without real images
    assert "q" in objective.state_dict()  # a run that is continued goes on with these weights


def test_coral_adds_the_distance_of_the_covariances():
    """Nice features (0, 0), (2, 2): covariances 2. Real ones (0, 0), (0, 4): 8 for the second alone."""
    features = torch.tensor([[[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [0.0, 4.0]]])
    loss = Coral(origin(10.0))(batch(features=features))
    assert loss.item() == pytest.approx(3 + 10 * (2**2 + 2**2 + 2**2 + 6**2) / (4 * 2**2))


def test_elastic_weights_hold_what_mattered_before():
    """One weight w = 1 with logits (w x, 0): the gradient at the true category 0 is (p - 1) x."""
    learner, inputs = OneWeight(1.0), {0: 1.0, 1: -2.0, 2: 5.0}
    objective = ElasticWeights(origin(3.0, learner, earlier=[torch.tensor([0, 1])]))
    objective.start(learner, lambda places: torch.tensor([[inputs[int(p)] for p in places[0]]]), torch.zeros(3).long())
    chance = [1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(2.0))]
    information = np.mean([((chance[0] - 1) * 1) ** 2, ((chance[1] - 1) * -2) ** 2])
    assert objective(batch(learner=learner, inputs=torch.ones(1, 4))).item() == pytest.approx(3)  # nothing moved yet
    with torch.no_grad():
        learner.weight += 0.5
    loss = objective(batch(learner=learner, inputs=torch.ones(1, 4)))
    assert loss.item() == pytest.approx(3 + 3 / 2 * information * 0.25)
    loss.backward()
    assert learner.weight.grad.item() == pytest.approx(3 * information * 0.5)


def test_earlier_answers_are_kept_on_new_images():
    learner, inputs = OneWeight(1.0), torch.tensor([[1.0, 3.0]])
    objective = EarlierAnswers(origin(2.0, learner))
    with torch.no_grad():
        learner.weight.fill_(-1.0)
    losses = torch.tensor([[0.5, 1.5]])
    loss = objective(batch(losses, IS_REAL[:, :2], learner, inputs))
    kept = 0.0
    for x in (1.0, 3.0):
        before, now = 1 / (1 + math.exp(-x / 2)), 1 / (1 + math.exp(x / 2))
        kept -= (before * math.log(now) + (1 - before) * math.log(1 - now)) / 2
    assert loss.item() == pytest.approx(1 + 2 * kept)
    assert learner.training


def test_batches_of_both_domains_hold_as_many_of_each():
    images, is_real = np.arange(100, 150), np.arange(50) >= 40
    drawn = np.concatenate([Batches(images, 5, 9, is_real).draw(first) for first in (0, 20)])
    assert drawn.shape == (40, 8)  # an odd size is one smaller
    assert (drawn[:, :4] < 140).all() and (drawn[:, 4:] >= 140).all()
    assert np.bincount(drawn[:, :4].ravel() - 100).tolist() == [4] * 40  # 160 draws of 40 images: four passes
    assert np.bincount(drawn[:, 4:].ravel() - 140).tolist() == [16] * 10


def test_passes_follow_each_other_without_a_gap():
    images = np.arange(7)
    whole = draw_continuously(images, [1, 2], 0, 28)
    assert all(sorted(whole[start : start + 7]) == list(images) for start in range(0, 28, 7))
    np.testing.assert_array_equal(draw_continuously(images, [1, 2], 5, 10), whole[5:15])
    assert (whole[:7] != whole[7:14]).any() and (draw_continuously(images, [1, 3], 0, 28) != whole).any()


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stack_trains_with_every_objective_and_a_killed_one_goes_on(
    objective, small_manifest, small_pixels, tmp_path
):
    """The same weights, whether the training was killed or not; and others than those of plain training."""
    torch.set_default_dtype(torch.float32)
    trials = list_trials(Mixtures(ratios=(50,), seeds=(0, 1), learning_rate=0.02, l2=0.1))
    trials = trials.assign(objective=objective, strength=0.5, batch_size=4, balanced=True)
    sets = choose_training_sets(small_manifest, trials, True)
    pool = pool_images(small_manifest, small_pixels, sets["id"])
    begun = train_sweep(SmallNetwork, trials.assign(objective="cross_entropy"), sets, pool, BRIEF, tmp_path / "before")
    starts = {
        trial: Start(begun.weights[trial]["last"], (), tuple(own["id"][:8])) for trial, own in sets.groupby("trial")
    }
    course = Course(Continuation(starts))

    def train(folder, chosen=trials, events=SILENT):
        return train_sweep(SmallNetwork, chosen, sets, pool, BRIEF, tmp_path / folder, course, events)

    whole = train("whole")
    with pytest.raises(RuntimeError, match="killed"):
        train("killed", events=KilledAt(6))
    resumed = train("killed")
    plain = train("plain", trials.assign(objective="cross_entropy"))
    for trial, snapshots in whole.weights.items():
        for name, tensor in snapshots["last"].items():
            assert torch.equal(tensor, resumed.weights[trial]["last"][name]), name
        moved = (snapshots["last"]["head.0.weight"] - plain.weights[trial]["last"]["head.0.weight"]).abs().max()
        same = objective in ("cross_entropy", "domain_weights")  # these sets have as many images of both domains
        assert (moved == 0) == same
