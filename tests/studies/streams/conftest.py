from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from mixvision.models.resnet25 import ResNet25
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams.state import State


@pytest.fixture
def images(small_manifest, small_pixels) -> pd.DataFrame:
    """The small digits, each a cluster of its own."""
    digests = [
        hashlib.sha256(small_pixels[row.domain][row.pixel_row].tobytes()).hexdigest()
        for row in small_manifest.itertuples()
    ]
    files = [f"file {number}" for number in range(len(digests))]
    return small_manifest.assign(sha256=files, pixels_sha256=digests, component=range(len(digests)), split="")


@pytest.fixture
def network() -> TrainedNetwork:
    built = ResNet25(3, 16, [torch.Generator().manual_seed(0)])
    tensors = {name: value[0].contiguous() for name, value in built.state_dict().items()}
    return TrainedNetwork("resnet25", ("0", "1", "2"), 16, tensors)


@pytest.fixture(scope="session")
def remember() -> Callable[..., State]:
    """From the last state (or None), what a run received and the network after it to the state that it leaves."""

    def after(state: State | None, received: pd.DataFrame, network: TrainedNetwork | None = None) -> State:
        fresh = received.loc[received["is_new"], ["id", "sha256", "pixels_sha256", "run", "held_out"]]
        run = 1 if state is None else len(state.arrivals) + 1
        seen = fresh if state is None else pd.concat([state.images, fresh], ignore_index=True)
        arrivals = pd.DataFrame({"run": range(1, run + 1)})
        return State(network, seen, arrivals, {"image_size": 16, "l2": 0.5}, Path("state"))

    return after
