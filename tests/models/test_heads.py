"""Stacked heads compared with PyTorch's own layers; heads of a stack do not affect each other."""

from __future__ import annotations

import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mixvision.models.heads import HEADS, Dense, StackedBatchNorm, StackedDropout, StackedHeads, Standardise


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def random_features(*shape: int, seed: int = 9) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def of_one(stacked: nn.Module, k: int) -> dict[str, Tensor]:
    return {name: tensor[k] for name, tensor in stacked.state_dict().items()}


PLAIN = {
    "linear": lambda: [nn.Linear(7, 3)],
    "dropout": lambda: [nn.Dropout(0.4), nn.Linear(7, 3)],
    "dense": lambda: [nn.Linear(7, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.6), nn.Linear(256, 3)],
    "dense2": lambda: [
        *(nn.Linear(7, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.6)),
        *(nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.25)),
        nn.Linear(256, 3),
    ],
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("seeds", [(3,), (3, 4, 5)])
def test_each_head_is_the_plain_module(head, seeds):
    """Logits in evaluation, and statistics and gradients in training, with dropout switched off for the comparison."""
    stacked = StackedHeads(head, 7, 3, generators(*seeds))
    features = random_features(len(seeds), 10, 7) * 2 + 1
    targets = random_features(len(seeds), 10, 3, seed=8)
    plains = []
    for k in range(len(seeds)):
        plain = nn.Sequential(nn.Identity(), *PLAIN[head]())
        own = {name: tensor for name, tensor in of_one(stacked, k).items() if name not in ("0.mean", "0.std")}
        counts = {name: tensor for name, tensor in plain.state_dict().items() if name.endswith("num_batches_tracked")}
        plain.load_state_dict(own | counts)
        plains.append(plain)
    shares = [module.share for module in stacked.modules() if isinstance(module, StackedDropout)]
    assert shares == [module.p for module in plains[0].modules() if isinstance(module, nn.Dropout)]
    for module in (*stacked.modules(), *(module for plain in plains for module in plain.modules())):
        if isinstance(module, StackedDropout | nn.Dropout):
            module.eval()
    (stacked(features) * targets).sum().backward()
    for k, plain in enumerate(plains):
        (plain(features[k]) * targets[k]).sum().backward()
        for name, parameter in plain.named_parameters():
            torch.testing.assert_close(stacked.get_parameter(name).grad[k], parameter.grad, rtol=1e-4, atol=1e-4)
        for name, statistic in plain.named_buffers():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(stacked.get_buffer(name)[k], statistic)
        torch.testing.assert_close(stacked.eval()(features)[k], plain.eval()(features[k]))


def test_a_dense_layer_begins_as_pytorchs_does():
    layer = Dense(7, 3, generators(0, 6))
    with torch.random.fork_rng():
        torch.manual_seed(6)
        plain = nn.Linear(7, 3)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(of_one(layer, 1)[name], tensor)


@pytest.mark.parametrize("head", HEADS)
def test_heads_of_a_stack_do_not_affect_each_other(head):
    together, alone = StackedHeads(head, 7, 3, generators(0, 1)), StackedHeads(head, 7, 3, generators(1))
    features = random_features(2, 10, 7)
    features[0, 3] = torch.nan
    logits = together(features)  # in training, with dropout
    assert logits[0].isnan().any()
    torch.testing.assert_close(logits[1:], alone(features[1:]))
    for ours, expected in zip(together.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(ours[1:], expected)


def test_batch_normalisation_keeps_statistics_of_each_head():
    norm = StackedBatchNorm(2, 4)
    plains = [nn.BatchNorm1d(4), nn.BatchNorm1d(4)]
    for seed in range(3):
        features = random_features(2, 6, 4, seed=seed) * 3 - 1
        normalised = norm(features)
        for k, plain in enumerate(plains):
            torch.testing.assert_close(normalised[k], plain(features[k]))
    assert not torch.equal(norm.running_mean[0], norm.running_mean[1])
    for k, plain in enumerate(plains):
        torch.testing.assert_close(norm.running_mean[k], plain.running_mean)
        torch.testing.assert_close(norm.running_var[k], plain.running_var)
        torch.testing.assert_close(norm.eval()(features)[k], plain.eval()(features[k]))


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    dropout = StackedDropout(share, generators(0, 1))
    ones = torch.ones(2, 200, 200)
    first, second = dropout(ones), dropout(ones)
    for dropped in (first, second):
        torch.testing.assert_close(dropped.unique(), torch.tensor([0, 1 / (1 - share)]))
        for own in dropped:
            assert (own == 0).float().mean().item() == pytest.approx(share, abs=0.01)  # std 0.0025
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])
    assert torch.equal(dropout.eval()(ones), ones)


def test_dropout_passes_gradients_where_it_passes_features():
    features = torch.rand(1, 8, 8).requires_grad_()
    dropped = StackedDropout(0.5, generators(0))(features)
    dropped.sum().backward()
    torch.testing.assert_close(features.grad, (dropped != 0) * 2.0)


def test_dropout_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    StackedHeads("dense2", 7, 3, generators(0))(random_features(1, 4, 7))
    assert torch.equal(torch.rand(3), expected)


def test_standardising_equals_scikit_learn():
    features = random_features(50, 4) * torch.tensor([1.0, 5.0, 0.5, 0.0]) + torch.tensor([0.0, 1e3, 1.0, 5.3])
    standardise = Standardise(2, 4)
    standardise.fit(1, features)
    expected = torch.from_numpy(StandardScaler().fit_transform(features.double().numpy())).float()
    standardised = standardise(features.expand(2, -1, -1))
    torch.testing.assert_close(standardised[1], expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(standardised[0], features)  # not fitted: unchanged
    rounded = 5.3 + 5e-7 * (torch.arange(50) % 2)
    standardise.fit(0, rounded[:, None].expand(-1, 4))
    for constant in (standardised[1, :, 3], standardise(rounded[:, None].expand(2, -1, 4))[0]):
        assert (constant.abs() < 1e-5).all()  # centred, not blown up


def test_features_that_hardly_vary_are_not_blown_up():
    """The median standard deviation of the features that vary is 1, the lower of the middle two."""
    features = torch.tensor([[-1.0], [1.0]]) * torch.tensor([1.0, 2.0, 3.0, 1e-4, 0.0])
    standardise = Standardise(1, 5)
    standardise.fit(0, features)
    torch.testing.assert_close(standardise.std[0], torch.tensor([1.0, 2.0, 3.0, 0.1, 1.0]))
    torch.testing.assert_close(standardise(features[None])[0, 1], torch.tensor([1.0, 1.0, 1.0, 1e-3, 0.0]))
    standardise.fit(0, torch.full((4, 5), 0.3))  # nothing varies
    assert (standardise.std == 1).all()


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="head is 'deep'.*linear, dropout, dense, dense2"):
        StackedHeads("deep", 7, 3, generators(0))
