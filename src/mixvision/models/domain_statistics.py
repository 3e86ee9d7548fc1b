"""Networks with statistics of their own for each domain: all weights are shared, the normalisation is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from mixvision.models.stacked import MovingNorm, StackedNetwork
from mixvision.vocabulary import DOMAINS


class DomainStatistics(StackedNetwork):
    """K networks whose normalisation follows each domain by itself; nice and real images share every weight.

    This is domain-specific batch normalisation (Chang et al., 2019) with moving statistics. To answer an image, the
    network must know its domain (``is_real``). In training, each batch holds as many nice as real images, the nice ones
    first.

    Args:
        build: makes K plain networks from their random generators.
        generators: one for each.

    Shapes: images ``(B, K * 3, S, S)``, floats in [0, 1]; logits ``(K, B, categories)``.
    """

    def __init__(
        self, build: Callable[[Sequence[torch.Generator]], StackedNetwork], generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        self.shared = build(generators)
        for module in self.shared.modules():
            if isinstance(module, MovingNorm):  # (K, C) becomes (K, 2, C)
                module.mean, module.variance = (torch.stack([of] * 2, 1) for of in (module.mean, module.variance))

    def forward(self, images: Tensor) -> Tensor:
        return self._train_both(images) if self.training else self._answer(images)

    def _train_both(self, images: Tensor) -> Tensor:
        """Each network as two, one for each domain, that have the same weights: (2K, B / 2) and back."""
        networks, half = images.shape[1] // 3, len(images) // 2
        halves = [part.unflatten(1, (networks, 3)) for part in images.split(half)]
        both = torch.stack(halves, 2).flatten(1, 3).contiguous(memory_format=torch.channels_last)
        weights = {name: value.repeat_interleave(2, 0) for name, value in self.shared.named_parameters()}
        statistics = {name: value.flatten(0, 1) for name, value in self.shared.named_buffers()}  # views, so they follow
        logits = functional_call(self.shared, weights | statistics, (both,))
        return logits.unflatten(0, (networks, 2)).flatten(1, 2)

    def _answer(self, images: Tensor) -> Tensor:
        """Each image with the statistics of its own domain."""
        is_real = torch.zeros(len(images), dtype=torch.bool) if self.is_real is None else self.is_real
        places = [part.nonzero().squeeze(1) for part in (~is_real, is_real)]
        parts = []
        for domain, own in enumerate(places):
            statistics = {name: value[:, domain].contiguous() for name, value in self.shared.named_buffers()}
            if len(own):
                parts.append(functional_call(self.shared, statistics, (images[own],)))
        return torch.cat(parts, 1)[:, torch.cat(places).argsort()]


def networks_of_domains(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A trained network with statistics by domain as two plain ones, by domain.

    Args:
        weights: of one network, as in ``SweepResult.weights[trial][name]``.
    """
    statistics = (".mean", ".variance")
    return {
        domain: {
            name.removeprefix("shared."): value[place].clone() if name.endswith(statistics) else value
            for name, value in weights.items()
        }
        for place, domain in enumerate(DOMAINS)
    }
