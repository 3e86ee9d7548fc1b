"""The interface of timm's networks that this project uses, for type checkers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class TimmNetwork(nn.Module):
    """The common interface of timm's networks; their classes are not derived from this one.

    Attributes:
        pretrained_cfg: facts about the network's weights: architecture, tag, input_size, mean, std and others.
        num_features: number of channels of the last maps.
        head_hidden_size: number of inputs of the last layer.
        num_classes: number of outputs of the last layer.
    """

    pretrained_cfg: dict[str, Any]
    num_features: int
    head_hidden_size: int
    num_classes: int

    def forward_features(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        raise NotImplementedError

    def get_classifier(self) -> nn.Module | tuple[nn.Module, ...]:
        """The last layer, or the two last layers of a distilled network."""
        raise NotImplementedError

    def reset_classifier(self, num_classes: int) -> None:
        raise NotImplementedError

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which parameters belong to which layer; a few networks lack it."""
        raise NotImplementedError
