"""Statistics by domain: in training and testing like two plain networks that share their weights."""

from __future__ import annotations

import torch
from small_network import SmallNetwork

from mixvision.models.domain_statistics import DomainStatistics, networks_of_domains


def made(networks: int = 2) -> DomainStatistics:
    network = DomainStatistics(SmallNetwork, [torch.Generator().manual_seed(seed) for seed in range(networks)])
    for module in network.modules():
        if hasattr(module, "momentum"):
            module.momentum = 0.3
    return network.double()


def plain(network: DomainStatistics, place: int) -> dict[str, SmallNetwork]:
    """The plain networks of both domains of network number ``place``."""
    weights = {name: value[place] for name, value in network.state_dict().items()}
    both = {}
    for domain, tensors in networks_of_domains(weights).items():
        both[domain] = SmallNetwork([torch.Generator()]).double()
        both[domain].load_state_dict({name: value[None] for name, value in tensors.items()})
        for module in both[domain].modules():
            if hasattr(module, "momentum"):
                module.momentum = 0.3
    return both


def test_each_half_of_a_batch_moves_the_statistics_of_its_own_domain_and_all_share_the_weights():
    network = made()
    images = torch.rand(6, 2 * 3, 16, 16, dtype=torch.float64)
    before = [plain(network, place) for place in range(2)]
    logits = network.train()(images)
    logits.square().sum().backward()
    for place, both in enumerate(before):
        own = images[:, place * 3 : place * 3 + 3]
        answers = {"nice": both["nice"].train()(own[:3]), "real": both["real"].train()(own[3:])}
        torch.testing.assert_close(logits[place], torch.cat([answers["nice"][0], answers["real"][0]]))
        sum(part.square().sum() for part in answers.values()).backward()
        after = plain(network, place)
        for domain, alone in both.items():
            for name, statistic in alone.named_buffers():
                torch.testing.assert_close(dict(after[domain].named_buffers())[name], statistic)
        for name, parameter in network.shared.named_parameters():
            gradient = sum(dict(alone.named_parameters())[name].grad for alone in both.values())
            torch.testing.assert_close(parameter.grad[place], gradient[0])


def test_an_image_is_answered_with_the_statistics_of_its_domain():
    network = made()
    network.train()(torch.rand(6, 6, 16, 16, dtype=torch.float64))  # so that the statistics differ
    images = torch.rand(5, 6, 16, 16, dtype=torch.float64)
    network.is_real = torch.tensor([True, False, False, True, True])
    logits = network.eval()(images)
    for place in range(2):
        own = images[:, place * 3 : place * 3 + 3]
        both = {domain: alone.eval()(own)[0] for domain, alone in plain(network, place).items()}
        assert not torch.allclose(both["nice"], both["real"])
        torch.testing.assert_close(logits[place], torch.where(network.is_real[:, None], both["real"], both["nice"]))
