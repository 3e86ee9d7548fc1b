import pytest
import torch

from mixvision.training.sweep import schedules
from mixvision.training.sweep.optimizer import StackedSGD


@pytest.mark.parametrize(("iteration", "factor"), [(0, 1.0), (40, 0.9486833), (80, 0.9), (800, 0.3486784)])
def test_learning_rate_falls_smoothly_by_a_tenth_every_80_iterations(iteration, factor):
    assert schedules.learning_rate_decay(iteration) == pytest.approx(factor)


@pytest.mark.parametrize(("iteration", "value"), [(0, 0.2700996), (100, 0.3), (600, 0.4386351), (3000, 0.5981899)])
def test_momentum_by_hand(iteration, value):
    assert schedules.momentum(iteration) == pytest.approx(value, abs=2e-6)


@pytest.mark.parametrize(("iteration", "rate"), [(0, 1.0), (50, 0.9), (100, 0.81), (2185, 0.0100), (5000, 0.01)])
def test_normalisation_rate_by_hand(iteration, rate):
    assert schedules.batch_norm_momentum(iteration) == pytest.approx(rate, abs=1e-4)


def test_rate_is_halved_after_500_iterations_without_a_lower_loss():
    plateau = schedules.Plateau(2)
    plateau(torch.tensor([1.0, 1.0]))
    for iteration in range(1, 1101):
        factor = plateau(torch.tensor([1.0, 1.0 - iteration / 2000]))  # one trial stays, the other improves
        expected = 1.0 if iteration < 500 else 0.5 if iteration < 1000 else 0.25
        assert factor.tolist() == [expected, 1.0], iteration


def test_a_lower_loss_starts_the_wait_anew():
    plateau = schedules.Plateau(1, patience=3)
    losses = [5.0, 5.0, 5.0, 4.0, 4.0, 4.0, 4.0]
    assert [plateau(torch.tensor([loss])).item() for loss in losses] == [1, 1, 1, 1, 1, 1, 0.5]


def test_a_loss_that_is_no_number_is_no_drop():
    plateau = schedules.Plateau(1, patience=2)
    for _ in range(2):
        factor = plateau(torch.tensor([float("nan")]))
    assert factor.item() == 0.5


def test_one_trial_is_stepped_as_torch_does():
    start = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    ours, library = torch.nn.Parameter(start[None].clone()), torch.nn.Parameter(start.clone())
    stacked, plain = StackedSGD([ours]), torch.optim.SGD([library], lr=0.1, momentum=0.5)
    for step in range(5):
        ours.grad, library.grad = torch.full_like(ours, step - 2.0), torch.full_like(library, step - 2.0)
        stacked.rates, stacked.momentum = torch.tensor([0.1]), 0.5
        stacked.step()
        plain.step()
    torch.testing.assert_close(ours[0], library)


def test_each_trial_has_its_own_rate():
    parameter = torch.nn.Parameter(torch.zeros(2, 3))
    optimizer = StackedSGD([parameter])
    parameter.grad = torch.ones(2, 3)
    optimizer.rates = torch.tensor([0.1, 0.2])
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([[-0.1] * 3, [-0.2] * 3]))
