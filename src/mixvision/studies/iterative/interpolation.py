"""Networks with weights on the straight line between those of two trained ones."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from mixvision.progress import progress
from mixvision.training.config import Training
from mixvision.training.pool import ImagePool
from mixvision.training.predictions import predict, prediction_table
from mixvision.training.sweep.engine import BuildNetwork

ALPHAS = tuple(tenth / 10 for tenth in range(11))


@torch.no_grad()
def interpolate(
    build_network: BuildNetwork,
    ends: Mapping[str, tuple[Mapping[str, Tensor], Mapping[str, Tensor]]],
    pool: ImagePool,
    training: Training,
    alphas: tuple[float, ...] = ALPHAS,
) -> pd.DataFrame:
    """Predictions of the networks between two others: WiSE-FT (Wortsman et al. 2022, section 3).

    The networks of all alphas form one stack. If both ends have the same features, these are computed only once.

    Args:
        build_network: makes a stacked network from K random generators.
        ends: by trial, the tensors at alpha = 0 and at alpha = 1.
        pool: its held-out images are predicted.
        training: its device is used.
        alphas: shares of the second network. The statistics of the normalisation are interpolated as well.

    Returns:
        As the predictions of a sweep, with ``snapshot`` named "alpha_0.30".
    """
    device = training.device
    network = build_network([torch.Generator() for _ in alphas])
    single = build_network([torch.Generator()])
    pool = pool.to(device)
    tables = []
    for trial, (one, other) in progress(ends.items(), desc="interpolating networks", unit="model"):
        between = {name: torch.stack([one[name].lerp(other[name], alpha) for alpha in alphas]) for name in one}
        for target, tensors in ((network, between), (single, {name: tensor[None] for name, tensor in one.items()})):
            target.load_state_dict({name: tensor.to(device) for name, tensor in tensors.items()}, assign=True)
        frozen = all(torch.equal(one[name], other[name]) for name in one if not name.startswith("head."))

        def images(positions: Tensor) -> Tensor:
            return pool.gather(positions).repeat(1, len(alphas), 1, 1).contiguous(memory_format=torch.channels_last)

        def features(positions: Tensor) -> Tensor:
            return single.eval().embed(pool.gather(positions)).expand(len(alphas), -1, -1)

        learner, inputs = (network.head, features) if frozen else (network, images)
        top, probability = predict(learner, inputs, pool.all_held_out, batch=100)
        for k, alpha in enumerate(alphas):
            tables.append(prediction_table(trial, f"alpha_{alpha:.2f}", pool, top[k], probability[k]))
    return pd.concat(tables, ignore_index=True)
